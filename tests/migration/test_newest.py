"""Databases of before the mark: of several rows about an image the newest process's gets it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from schema import database, versions
from tests.migration.made_before import take_back
from tests.migration.test_upgrades import upgrade_to

ROWS = {  # image and PID of what was found, in no order
    "alignment": [(1, 5), (1, 7), (2, 6), (1, 6)],
    "verdict": [(3, 9), (1, 8), (3, 2**62), (3, 7)],
    "frame_sight": [(1, 1)],
    "masked_pixels": [(4, 2), (4, 1)],
}
NEEDED = {"verdict": ", good, weight", "masked_pixels": ", hot_pixels, cosmic_rays"}


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    engine = database.connect(each_database_url)
    upgrade_to(engine, "0031")
    yield engine
    engine.dispose()


def test_the_newest_of_each_image_gets_the_mark(engine: Engine) -> None:
    with engine.begin() as connection:
        for table, rows in ROWS.items():
            more = NEEDED.get(table, "")
            values = ", 1, 1" if more else ""
            for image, pid in rows:
                connection.execute(text(f"INSERT INTO {table} (image_id, pid{more}) VALUES ({image}, {pid}{values})"))
    versions.migrate(engine)
    with engine.connect() as connection:
        for table, rows in ROWS.items():
            marks = connection.execute(text(f"SELECT image_id, pid, is_newest FROM {table}")).all()
            newest = {image: max(pid for one, pid in rows if one == image) for image, _ in rows}
            assert {*marks} == {(image, pid, 1 if pid == newest[image] else None) for image, pid in rows}
    take_back(engine, "0031")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM verdict")) == len(ROWS["verdict"])
