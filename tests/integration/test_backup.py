"""`tianyu backup` and `tianyu restore`: what is lost comes back, and goes on; what is damaged or in use is refused."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pika
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from schema import database
from schema.image import CALIBRATED
from schema.models import metadata
from schema.processes import SUCCEEDED
from schema.queries import image_hold, services
from schema.versions import SchemaVersionError, check_version
from services.checksums import sha256_of
from services.engine.broker import work_queue
from services.engine.presence import introduce
from services.errors import ConfigurationError, TianyuError
from services.operating.backup import back_up, open_backup, restore, server_dump, verify
from services.operating.backup.backup_folder import SUMS, BackupFolder, Manifest, write_sums
from services.operating.backup.client_programs import DUMPING
from services.operating.housekeeping import collect, policy_of
from services.settings import as_environment, load
from services.setup import initialise, open_engine
from tests.acceptance.programs import Programs
from tests.acceptance.test_distributed_night import light_curves
from tests.conftest import MARIADB, SQLITE, server_url
from tests.integration.small_night import Night
from tests.migration.test_upgrades import say_alive, upgrade_to

PATIENCE_S = 120.0
HALF = 15  # processes that have succeeded when the backup begins
MADE = "SELECT pid, path, background, background_rms, fwhm, jd_utc, airmass FROM image WHERE pid IS NOT NULL"
UNFINISHED = "SELECT COUNT(*) FROM process WHERE status IN ('waiting', 'queued', 'running')"
ODD = "p\"a's\\s #@;=$%"  # a password


def nobody(_done: int, _total: int) -> None:
    """Is told how far it is."""


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def distributed(
    each_ready_url: str, unique_site: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Night, Programs]]:
    """A night of a manager and consumers that are programs; RabbitMQ is beside servers."""
    broker = "local://" if each_ready_url.startswith(SQLITE) else request.getfixturevalue("broker_url")
    settings = load(
        database_url=each_ready_url, broker_url=broker, site=unique_site, root=tmp_path / "root",
        sweep_s=0.5, lease_s=5.0, resend_after_s=2.0, backoff_s=0.1,
    )  # fmt: skip
    engine = open_engine(settings)
    initialise(settings, engine)
    programs = Programs(as_environment(settings), tmp_path)
    yield Night(settings, database.session_factory(engine)), programs
    programs.stop()
    engine.dispose()


def url_of(night: Night) -> str:
    return night.settings.database_url.get_secret_value()


def destroy(night: Night) -> None:
    """The database, what the broker has of it, and all images."""
    engine = night.sessions.kw["bind"]
    engine.dispose()
    url = engine.url
    if url.get_backend_name() == SQLITE:
        for path in Path(url.database).parent.glob(f"{Path(url.database).name}*"):
            path.unlink()
    else:
        with create_engine(url.set(database=None), isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"DROP DATABASE {url.database}"))
            connection.execute(text(f"CREATE DATABASE {url.database}"))
        with pika.BlockingConnection(pika.URLParameters(night.settings.broker_url.get_secret_value())) as connection:
            connection.channel().queue_delete(work_queue(night.settings.site, "cpu"))
    shutil.rmtree(night.settings.root)


def test_a_night_goes_on_after_all_was_lost(
    distributed: tuple[Night, Programs], raw: Path, processed: Night, tmp_path: Path
) -> None:
    night, programs = distributed
    night.publish(raw)
    workers = [programs.start("manager"), programs.start("consumer", "--concurrency", "2")]
    wait(lambda: night.rows("SELECT COUNT(*) FROM process WHERE status = 'succeeded'") >= [(HALF,)])
    folder = Path(programs.run("backup", str(tmp_path / "backups")).stdout.strip())
    assert programs.run("backup", "--verify", str(folder)).stdout.endswith("files are as they were written\n")
    assert url_of(night) not in (folder / "manifest.json").read_text()
    before = set(night.rows(MADE))
    for worker in workers:
        worker.kill()
        worker.wait()
    destroy(night)

    restored = programs.run("restore", str(folder))
    assert "restored: " in restored.stdout
    assert "images are not there" not in restored.stderr
    assert night.rows(UNFINISHED) > [(0,)]
    made = night.rows(MADE)
    assert len(made) > HALF / 3
    assert set(made) <= before  # all that was there, to the last bit
    assert night.rows("SELECT COUNT(*) FROM service") == [(0,)]
    assert night.rows("SELECT images_held_by FROM upkeep") == [(None,)]
    programs.start("manager")
    programs.start("consumer", "--concurrency", "2")
    wait(lambda: night.rows(UNFINISHED) == [(0,)])
    assert night.rows("SELECT DISTINCT status FROM process") == [(SUCCEEDED,)]
    # Stars by their places: of stars that were registered after the backup, servers count on behind the lost ones.
    keys, values = light_curves(url_of(night))
    wanted_keys, wanted = light_curves(url_of(processed))
    assert keys == wanted_keys
    assert len(keys) > 200
    np.testing.assert_allclose(values, wanted, rtol=1e-12)
    again = programs.run("restore", str(folder), check=False)
    assert again.returncode == 1
    assert "is in use: " in again.stderr


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_passwords_are_in_no_command_line(
    each_ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique_site: str
) -> None:
    """The program in between writes down what it was called with, and how its file may be read."""
    kind = "mysql" if make_url(each_ready_url).port == make_url(server_url("TIANYU_TEST_MYSQL_URL")).port else MARIADB
    real = next(path for name in DUMPING[kind] if (path := shutil.which(name)))
    programs, log = tmp_path / "bin", tmp_path / "called"
    programs.mkdir()
    for name in DUMPING[kind]:
        script = (
            f'#!/bin/sh\necho "$0 $*" >> {log}\n'
            f'case "$1" in --defaults-file=*) stat -c %a "${{1#*=}}" >> {log};; esac\n'
            f'exec {real} "$@"\n'
        )
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    user = f"t{unique_site[1:10]}"
    administrator = create_engine(each_ready_url, isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE USER '{user}'@'%' IDENTIFIED BY :password"), {"password": ODD})
        connection.execute(text(f"GRANT ALL ON `{make_url(each_ready_url).database}`.* TO '{user}'@'%'"))
    try:
        url = make_url(each_ready_url).set(username=user, password=ODD).render_as_string(hide_password=False)
        settings = load(database_url=url, root=tmp_path / "root")
        engine = open_engine(settings)
        initialise(settings, engine)
        made = back_up(settings, engine, tmp_path / "backups", images=True, count=nobody)
        engine.dispose()
    finally:
        with administrator.connect() as connection:
            connection.execute(text(f"DROP USER '{user}'@'%'"))
        administrator.dispose()
    called = log.read_text()
    assert "--single-transaction" in called
    assert "600\n" in called
    assert ODD not in called
    assert 'p\\"a' not in called
    assert list(verify(open_backup(made.folder))) == []


@pytest.mark.parametrize("each_ready_url", ["mariadb"], indirect=True)
def test_a_program_that_is_missing_is_named(
    each_ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(database_url=each_ready_url, root=tmp_path / "root")
    engine = open_engine(settings)
    initialise(settings, engine)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match=r"mariadb-dump or mysqldump is not installed.*package mariadb-client"):
        back_up(settings, engine, tmp_path / "backups", images=True, count=nobody)
    with database.session_factory(engine)() as session:
        assert image_hold.holder(session) is None
    engine.dispose()


def test_no_column_but_one_is_of_single_precision() -> None:
    """Servers write these down with six digits, in a backup too; this one is told with six digits anyway."""
    single = [
        f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns
        if getattr(column.type, "precision", None) == 24
    ]  # fmt: skip
    assert single == ["reference_star.weight"]


def engine_of(night: Night) -> Any:
    return night.sessions.kw["bind"]


def backup_of(night: Night, target: Path, *, images: bool = True) -> BackupFolder:
    made = back_up(night.settings, engine_of(night), target, images=images, count=nobody)
    return open_backup(made.folder)


def inodes(backup: BackupFolder) -> dict[str, int]:
    return {path: (backup.path / "images" / path).stat().st_ino for path in backup.images}


def test_a_second_backup_copies_only_what_is_new(night: Night, tmp_path: Path) -> None:
    first = backup_of(night, tmp_path / "backups")
    paths = sorted(first.images)
    assert len(paths) > 15
    assert {path.split("/")[0] for path in paths} > {CALIBRATED, "template"}
    changed = night.settings.root / paths[0]
    with changed.open("r+b") as file:  # as a WCS is written into a header
        file.seek(100)
        file.write(b"#")
    second = backup_of(night, tmp_path / "backups")
    before, now = inodes(first), inodes(second)
    assert [path for path in paths if before[path] != now[path]] == [paths[0]]
    assert list(verify(first)) == list(verify(second)) == []
    assert (night.settings.root / paths[1]).stat().st_nlink == 1  # none is shared with the root
    shutil.rmtree(first.path)
    assert list(verify(second)) == []


def other_place(tmp_path: Path, name: str = "elsewhere") -> Any:
    folder = tmp_path / name
    return load(database_url=f"sqlite:///{folder / 'tianyu.db'}", root=folder)


def test_a_backup_comes_back_under_another_root(night: Night, processed: Night, tmp_path: Path) -> None:
    backup = backup_of(night, tmp_path / "backups")
    settings = other_place(tmp_path)
    done = restore(settings, backup, replace=False, count=nobody)
    assert (done.images, done.lost) == (len(backup.images), 0)
    moved = Night(settings, database.session_factory(open_engine(settings)))
    assert moved.light_curves() == processed.light_curves()
    assert moved.rows("SELECT root FROM site") == [(str(settings.root),)]
    moved.rerun("extract")
    moved.work()  # the images are where it looks for them
    assert moved.rows("SELECT COUNT(*) FROM process WHERE status <> 'succeeded'") == [(0,)]
    engine_of(moved).dispose()
    with pytest.raises(ConfigurationError, match=r"not empty \(observation: .*--replace"):
        restore(settings, backup, replace=False, count=nobody)
    restore(settings, backup, replace=True, count=nobody)


def test_without_images_the_database_knows_that_they_are_gone(night: Night, tmp_path: Path) -> None:
    backup = backup_of(night, tmp_path / "backups", images=False)
    assert backup.images == {}
    settings = other_place(tmp_path)
    done = restore(settings, backup, replace=False, count=nobody)
    images = night.rows("SELECT COUNT(*) FROM image WHERE pid IS NOT NULL AND deleted_at IS NULL")
    assert images == [(done.lost,)]
    moved = Night(settings, database.session_factory(open_engine(settings)))
    assert moved.rows("SELECT COUNT(*) FROM image WHERE pid IS NOT NULL AND deleted_at IS NULL") == [(0,)]
    engine_of(moved).dispose()
    there = restore(night.settings, backup, replace=True, count=nobody)  # where they are, nothing is lost
    assert there.lost == 0


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "an image": (lambda folder: next(folder.glob("images/calibrated/*/*.fits")).write_bytes(b"x"), "other bytes than"),
    "an image that is away": (lambda folder: next(folder.glob("images/calibrated/*/*.fits")).unlink(), "is not there"),
    "the database": (lambda folder: (folder / "database.db").open("ab").write(b"x"), "database.db has other bytes"),
    "a file too many": (lambda folder: (folder / "images" / "more.fits").write_text("x"), "is not of this backup"),
    "the manifest": (lambda folder: (folder / "manifest.json").write_text("{}"), "damaged or of another Tianyu"),
    "the checksums": (lambda folder: (folder / SUMS).write_text("x\n"), "is no checksum with a name"),
    "a way out": (lambda folder: (folder / SUMS).write_text(f"{'0' * 64}  ../x\n"), "is no checksum with a name"),
    "no list": (lambda folder: (folder / SUMS).unlink(), "is no backup"),
}


@pytest.fixture(scope="module")
def whole(processed: Night, tmp_path_factory: pytest.TempPathFactory) -> BackupFolder:
    """A backup that nobody changes."""
    return backup_of(processed, tmp_path_factory.mktemp("backups"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_not_restored(whole: BackupFolder, damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(whole.path, folder)
    change, words = DAMAGES[damage]
    change(folder)
    settings = other_place(tmp_path)
    with pytest.raises(TianyuError, match=words):
        restore(settings, open_backup(folder), replace=False, count=nobody)
    assert not settings.root.exists()


def test_what_does_not_fit_is_refused(whole: BackupFolder, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = other_place(tmp_path)

    def refused(words: str, **changes: Any) -> None:
        manifest = whole.manifest.model_copy(update=changes)
        with pytest.raises(ConfigurationError, match=words):
            restore(settings, BackupFolder(whole.path, manifest, whole.sums), replace=False, count=nobody)

    refused("knows ....: restore it by Tianyu", revision="9999")
    refused("set TIANYU_SITE", site="dome")
    engine = open_engine(settings)
    settings.root.mkdir()
    initialise(settings, engine)  # which is still empty
    with database.session_factory(engine).begin() as session:
        services.announce(session, introduce(services.MANAGER), services.ACTIVE, alive_s=60.0)
    refused("is in use: manager ")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM service"))
    stray = settings.root / CALIBRATED / "1" / "5.fits"
    stray.parent.mkdir(parents=True)
    stray.write_text("x")
    refused("1 images that are not of this backup")
    stray.unlink()
    engine.dispose()
    assert restore(settings, whole, replace=False, count=nobody).images == len(whole.images)


@pytest.mark.parametrize("each_ready_url", ["mariadb"], indirect=True)
def test_a_restore_that_was_cut_is_taken_for_no_database(
    each_ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a hold on images waits for marks that were begun."""
    settings = load(database_url=each_ready_url, root=tmp_path / "root")
    engine = open_engine(settings)
    initialise(settings, engine)
    sessions = database.session_factory(engine)
    with sessions.begin() as marking, sessions.begin() as holding:
        assert image_hold.holder(marking, lock=True) is None
        holding.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
        with pytest.raises(OperationalError, match="Lock wait timeout"):
            image_hold.take(holding, "a backup", 60.0)
    backup = open_backup(back_up(settings, engine, tmp_path / "backups", images=True, count=nobody).folder)
    with monkeypatch.context() as patch:
        patch.setattr(server_dump, "_pour", lambda packed, into: (into.write(packed.read(20_000)), into.close()))
        with pytest.raises(TianyuError, match=r"not whole, and no program takes it so.*--replace"):
            restore(settings, backup, replace=True, count=nobody)
    with pytest.raises(SchemaVersionError, match="has no Tianyu schema"):
        check_version(engine)
    restore(settings, backup, replace=True, count=nobody)
    check_version(engine)
    engine.dispose()


def test_a_backup_of_an_earlier_schema_is_upgraded(tmp_path: Path) -> None:
    folder = tmp_path / "earlier"
    folder.mkdir()
    engine = database.connect(f"sqlite:///{folder / 'database.db'}")
    upgrade_to(engine, "0019")
    say_alive(engine)  # when the backup was made, not now
    engine.dispose()
    manifest = Manifest(
        tianyu="0.0.9", revision="0019", engine="sqlite", server="3", taken_at="2026-11-20T12:00:00+00:00",
        site="local", root="/", with_images=True, images=0,
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    write_sums(folder, {name: sha256_of(folder / name) for name in ("manifest.json", "database.db")})
    settings = other_place(tmp_path)
    restore(settings, open_backup(folder), replace=False, count=nobody)
    restored = open_engine(settings)
    check_version(restored)
    restored.dispose()


@pytest.mark.parametrize("each_ready_url", ["mysql"], indirect=True)
def test_another_kind_of_server_is_refused(whole: BackupFolder, each_ready_url: str, tmp_path: Path) -> None:
    settings = load(database_url=each_ready_url, root=tmp_path / "root")
    with pytest.raises(ConfigurationError, match="is of SQLite, the database of the settings of MySQL"):
        restore(settings, whole, replace=False, count=nobody)
    assert not settings.root.exists()


def test_gc_deletes_nothing_while_a_backup_is_made(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs between the copy of the database and that of the images, and once more when the backup is done."""
    from services.operating.backup import backing_up

    policy = policy_of(night.settings.model_copy(update={"keep_calibrated": False}))
    notes: list[str] = []

    def collecting(*arguments: Any, **options: Any) -> Any:
        done = collect(engine_of(night), night.settings, policy)
        assert done.removed == []
        notes.extend(done.notes)
        return copy_images(*arguments, **options)

    copy_images = backing_up.copy_images
    monkeypatch.setattr(backing_up, "copy_images", collecting)
    backup = backup_of(night, tmp_path / "backups")
    assert "makes a backup since" in notes[0]
    assert backup.manifest.missing == []
    assert any(path.startswith(CALIBRATED) for path in backup.images)
    assert sum(one.files for one in collect(engine_of(night), night.settings, policy).removed) > 5


def test_one_backup_at_a_time(night: Night, tmp_path: Path) -> None:
    sessions = night.sessions
    with sessions.begin() as session:
        assert image_hold.take(session, "other:1:ab", 60.0)
        assert not image_hold.take(session, "mine", 60.0)
    with pytest.raises(ConfigurationError, match=r"another backup of this database.*other:1:ab"):
        backup_of(night, tmp_path / "backups")
    with sessions.begin() as session:
        assert image_hold.renew(session, "other:1:ab", -1.0)  # it fell silent
        assert not image_hold.renew(session, "other:1:ab", 60.0)
    assert list(verify(backup_of(night, tmp_path / "backups"))) == []


def test_an_image_that_is_lost_already_is_told(night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.integration.command_line import tianyu

    lost = next((night.settings.root / CALIBRATED).rglob("*.fits"))
    lost.unlink()
    target = str(tmp_path / "backups")
    made = tianyu("backup", target, "--workdir", str(night.settings.root))
    assert made.exit_code == 1
    assert str(lost.relative_to(night.settings.root)) in made.stderr
    assert "raw frames are not in it" in made.stderr
    [folder] = Path(target).glob("2*")
    assert tianyu("backup", "--verify", str(folder)).exit_code == 0
    nothing = tianyu("backup", target, "--workdir", str(tmp_path / "none"))
    assert (nothing.exit_code, "has no tianyu.db" in nothing.stderr) == (1, True)
    inside = tianyu("backup", str(night.settings.root / "mine"), "--workdir", str(night.settings.root))
    assert (inside.exit_code, "lies under the root" in inside.stderr) == (1, True)
