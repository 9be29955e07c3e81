"""Ranges of images grow with the rows, whoever writes meanwhile, and no row is lost or hidden."""

import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from schema import database, models, partitions
from schema.partitions import Partitions
from services.engine.manager import range_keeper
from services.engine.manager.range_keeper import RangeKeeper
from services.engine.troubles import Troubles
from services.operating import doctor

ROWS = 50  # a range
STARS = 10
NEEDED = ("flux", "relative_flux", "image", "process")
pytestmark = pytest.mark.parametrize("each_database_url", ["mariadb", "mysql"], indirect=True)


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    """A database with the tables that take part, and two ranges."""
    engine = database.connect(each_database_url)
    tables = {table for name in NEEDED for table in _with_referred(name)}
    models.metadata.create_all(engine, tables=[models.metadata.tables[name] for name in tables])
    with engine.begin() as connection:
        partitions.arrange(connection, ROWS)
        connection.execute(text("INSERT INTO site (site_id, name, root) VALUES (1, 's', '/')"))
        connection.execute(text("INSERT INTO process_group (group_id, name, description) VALUES (1, 'cpu', '')"))
    yield engine
    engine.dispose()


def _with_referred(name: str) -> set[str]:
    referred = {key.column.table.name for key in models.metadata.tables[name].foreign_keys}
    return {name}.union(*map(_with_referred, referred - {name}))


def add_image(engine: Engine, image: int, graph: int | None = None) -> None:
    row = {"i": image, "g": graph, "p": f"{image}"}
    statement = (
        "INSERT INTO image (image_id, kind, site_id, path, path_digest, graph_pid) "
        "VALUES (:i, 'calibrated', 1, :p, :p, :g)"
    )
    with engine.begin() as connection:
        connection.execute(text(statement), row)


def measure(engine: Engine, image: int) -> None:
    """Fluxes and relative fluxes of an image."""
    keys = [{"s": star, "i": image} for star in range(STARS)]
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO flux (source_id, image_id, aperture, flux, flag) VALUES (:s, :i, 0, :i, 0)"), keys
        )
        connection.execute(
            text("INSERT INTO relative_flux (source_id, image_id, aperture, pid, flux) VALUES (:s, :i, 0, 1, 1.0)"),
            keys,
        )


def arrange(engine: Engine) -> Partitions:
    with engine.begin() as connection:
        partitions.arrange(connection, ROWS)
        return look(engine)


def look(engine: Engine) -> Partitions:
    with engine.begin() as connection:
        flux, relative = partitions.look(connection)
    assert flux.beyond == relative.beyond == 0
    return flux


def fluxes(engine: Engine) -> list[int]:
    """Images of one star's light curve."""
    with engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM relative_flux WHERE source_id = 3")).scalar_one() > 0
        return list(connection.execute(text("SELECT flux FROM flux WHERE source_id = 3 ORDER BY image_id")).scalars())


def test_ranges_grow_ahead_of_the_rows_while_they_are_written(engine: Engine) -> None:
    images = range(1, 151)
    writer = threading.Thread(target=lambda: [(add_image(engine, one), measure(engine, one)) for one in images])
    writer.start()
    while writer.is_alive():
        with engine.begin() as connection:
            partitions.arrange(connection, ROWS)  # what is written behind the last range meanwhile, the next one finds
    writer.join()
    with engine.begin() as connection:  # the server's estimates of rows lag behind the writer
        connection.execute(text("ANALYZE TABLE flux, relative_flux")).all()
    found = arrange(engine)
    assert fluxes(engine) == list(images)
    assert found.end > max(images)
    assert len(found.ranges) >= 3  # how many depends on how often they were arranged
    assert arrange(engine).ranges == found.ranges


def test_rows_beyond_the_last_range_are_kept_and_get_one(engine: Engine) -> None:
    """The manager was away, or its user had no right."""
    far = look(engine).end + 1000
    add_image(engine, far)
    measure(engine, far)
    with engine.begin() as connection:
        found = partitions.look(connection)
        assert {one.beyond for one in found} == {STARS}
        told = doctor.partitions_of(connection, found[0], ROWS)
    assert f"{STARS} rows lie behind them" in told.found
    assert f"GRANT ALTER ON `{engine.url.database}`.`flux` TO 'root'@" in told.remedy
    now = arrange(engine)
    assert now.end > far
    with engine.begin() as connection:
        assert doctor.partitions_of(connection, now, ROWS).ok
    assert fluxes(engine) == [far]


def test_a_table_that_is_full_goes_on_and_gets_room(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ranges that are all full, and of which `init` alone may copy two at once."""
    ends = range(110, 210, 10)
    images = [end - 2 for end in ends]
    with engine.begin() as connection:
        for table in partitions.TABLES:
            partitions._reorganize(connection, table, [partitions.OVERFLOW], ends, overflow=True)
    for image in images:
        add_image(engine, image)
        measure(engine, image)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE TABLE flux, relative_flux")).all()
    monkeypatch.setattr(partitions, "COPIED_MOST", STARS)
    monkeypatch.setattr(partitions, "ENGINE_MOST", len(look(engine).ranges) - 1)  # the first three become one
    monkeypatch.setattr(partitions, "FREE_LEAST", 3)
    assert look(engine).is_full
    far = look(engine).end + 1000
    add_image(engine, far)
    measure(engine, far)
    troubles = Troubles()
    keeper = RangeKeeper(engine, ROWS, troubles)
    assert "tianyu doctor" in keeper._look()  # the manager may not copy so much, and says so
    with engine.begin() as connection:
        found = partitions.look(connection)[0]
        assert "makes room by merging the oldest" in doctor.partitions_of(connection, found, ROWS).remedy
        done = partitions.arrange(connection, ROWS, copies_all=True)
    assert any("ranges became" in line for line in done), done
    now = look(engine)
    assert now.end > far
    assert len(now.ranges) < partitions.ENGINE_MOST
    assert fluxes(engine) == [*images, far]
    assert keeper._look() == ""


def test_small_ranges_become_one_unless_their_images_are_at_work(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO process (pid, graph_pid, command, parameters, generation, site_id, group_id, status, "
                "priority, pending, propagated, attempt, max_attempts, created_at) "
                "VALUES (1, 50, 'extract', '{}', 0, 1, 1, 'waiting', 0, 0, 0, 0, 3, '2026-01-01')"
            )
        )
    for image in range(50, 401, 50):
        add_image(engine, image, graph=image)
        arrange(engine)  # nothing is measured yet: each range is narrow
    assert [one.below for one in arrange(engine).ranges] == list(range(50, 501, 50))
    for image in (50, 100, 300, 350):
        measure(engine, image)
    with engine.begin() as connection:
        connection.execute(text("UPDATE process SET graph_pid = 250"))
    assert [one.below for one in arrange(engine).ranges][:5] == [250, 300, 350, 400, 450]
    with engine.begin() as connection:
        connection.execute(text("UPDATE process SET status = 'succeeded'"))
    assert [(one.below, one.rows) for one in arrange(engine).ranges][:2] == [(400, 40), (450, 0)]
    assert fluxes(engine) == [50, 100, 300, 350]


def test_a_range_of_which_most_was_deleted_gives_its_room_back(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "SPARSE_LEAST", 500_000)  # bytes
    for image in (10, 20, 60):
        add_image(engine, image)
    for image in (10, 20):
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO flux (source_id, image_id, aperture, flux, flag) "
                    "WITH RECURSIVE star (s) AS (SELECT 0 UNION ALL SELECT s + 1 FROM star WHERE s < 799) "
                    "SELECT 1000 * one.s + two.s, :i, 0, :i, 0 FROM star AS one JOIN star AS two WHERE two.s < 25"
                ),
                {"i": image},
            )
    measure(engine, 60)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM flux WHERE image_id = 10 OR source_id >= 1000"))
        connection.execute(text("ALTER TABLE flux ANALYZE PARTITION below_50")).all()
    before = look(engine).ranges[0]
    assert (before.below, before.is_sparse) == (50, True)
    with engine.begin() as connection:
        done = partitions.arrange(connection, ROWS)
    assert [line for line in done if line.startswith("table flux: range below_50 of about ")], done
    now = look(engine).ranges[0]
    assert (now.rows, now.is_sparse) == (25, False)
    assert now.size_bytes < 0.2 * before.size_bytes
    assert fluxes(engine) == [20, 60]
    assert arrange(engine).ranges[0].rows == 25  # and once only


def test_a_keeper_gives_way_to_an_open_transaction_and_comes_again(engine: Engine) -> None:
    add_image(engine, 300)
    keeper = RangeKeeper(engine, ROWS, Troubles())
    with engine.connect() as reader:
        assert reader.execute(text("SELECT COUNT(*) FROM flux")).scalar_one() == 0  # and does not commit
        with pytest.raises(OperationalError, match="Lock wait timeout"):
            keeper.keep()
        with engine.connect() as other:  # nobody waits behind a change that was given up
            assert other.execute(text("SELECT COUNT(*) FROM flux")).scalar_one() == 0
    keeper.keep()
    assert look(engine).end > 300


def test_who_has_no_right_says_so_once_and_the_right_that_is_advised_is_enough(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, schema = f"tianyu_{uuid4().hex[:16]}", engine.url.database
    add_image(engine, 300)
    said: list[str] = []
    troubles = Troubles()
    monkeypatch.setattr(range_keeper, "LOOK_S", 0.01)
    monkeypatch.setattr(range_keeper, "AGAIN_S", 0.01)
    monkeypatch.setattr(range_keeper.log, "warning", said.append)
    with engine.begin() as administrator:
        administrator.execute(text(f"CREATE USER {name} IDENTIFIED BY 'secret'"))
        administrator.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{schema}`.* TO {name}"))
    limited = database.connect(engine.url.set(username=name, password="secret").render_as_string(hide_password=False))
    keeper = RangeKeeper(limited, ROWS, troubles)
    try:
        keeper.thread.start()
        while troubles.newest() is None:
            assert keeper.thread.is_alive()
        with engine.begin() as administrator:
            for table in partitions.TABLES:
                administrator.execute(text(f"GRANT ALTER ON `{schema}`.{table} TO {name}"))
        while keeper.thread.is_alive() and look(engine).end <= 300:
            pass
        assert look(engine).end > 300
        assert [range_keeper.RIGHT in one for one in said] == [True]
    finally:
        keeper.stop()
        keeper.thread.join()
        trouble = troubles.newest()
        assert trouble is not None
        assert trouble.until_s is not None
        limited.dispose()
        with engine.begin() as administrator:
            administrator.execute(text(f"DROP USER {name}"))
