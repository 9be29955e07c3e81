"""What earlier versions kept in image's own row stands in rows of its own, and the views show what they showed."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from schema import database, versions
from tests.migration.made_before import load, read, take_back

KEYS = {
    "light_curve": "source_id, image_id, aperture",
    "source_place": "observation_id, source_id",
    "source_catalog": "source_id",
}
PRECISION = 1e-13  # relative: engines differ in the last digit of what views compute


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    engine = database.connect(each_database_url)
    load(engine, "0005")
    yield engine
    engine.dispose()


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def image_before(name: str) -> dict[int, Any]:
    """A column of table image by image id."""
    table = read("0005")["tables"]["image"]
    key, value = table["columns"].index("image_id"), table["columns"].index(name)
    return {row[key]: row[value] for row in table["rows"]}


def assert_equal(one: Any, other: Any, name: str) -> None:
    if isinstance(other, float):
        assert one == pytest.approx(other, rel=PRECISION, abs=PRECISION), name
    else:
        assert one == other, name


def assert_views_show_what_they_showed(engine: Engine) -> None:
    for view, key in KEYS.items():
        before = read("0005")["views"][view]
        columns = ", ".join(f"`{name}`" for name in before["columns"])
        after = rows(engine, f"SELECT {columns} FROM {view} ORDER BY {key}")
        assert len(after) == len(before["rows"]) > 50
        for new, old in zip(after, before["rows"], strict=True):
            for name, one, other in zip(before["columns"], new, old, strict=True):
                assert_equal(one, other, f"{view}.{name}")


def assert_each_fact_has_the_pid_of_its_finder(engine: Engine) -> None:
    found = rows(engine, "SELECT a.image_id, a.pid, p.command, a.dx FROM alignment a JOIN process p ON p.pid = a.pid")
    assert {image_id: pid for image_id, pid, *_ in found} == {k: v for k, v in image_before("align_pid").items() if v}
    assert {command for _, _, command, _ in found} == {"align", "select"}
    assert all(dx == image_before("dx")[image_id] for image_id, *_, dx in found)
    judged = rows(engine, "SELECT v.image_id, v.good, p.command FROM verdict v JOIN process p ON p.pid = v.pid")
    good, kind = image_before("good"), image_before("kind")
    assert {image_id: one for image_id, one, _ in judged} == {i: good[i] for i in good if kind[i] == "calibrated"}
    assert {command for *_, command in judged} == {"select"}
    assert rows(engine, "SELECT COUNT(*) FROM reference_frame") == [(2,)]
    sights = rows(engine, "SELECT s.image_id, s.bjd_tdb, p.command FROM frame_sight s JOIN process p ON p.pid = s.pid")
    assert len(sights) == 8  # of two graphs, the frames with stars
    assert {command for *_, command in sights} == {"extract"}
    assert all(bjd == image_before("bjd_tdb")[image_id] for image_id, bjd, _ in sights)


def assert_frames_keep_their_reasons(engine: Engine) -> None:
    reasons, kind = image_before("reject_reason"), image_before("kind")
    [(image_id, reason)] = [(i, r) for i, r in reasons.items() if kind[i] == "light" and r]
    assert rows(engine, "SELECT image_id, reason FROM rejection") == [(image_id, reason)]
    assert rows(engine, f"SELECT good, reason, image_id FROM frame WHERE frame_id = {image_id}") == [(0, reason, None)]
    assert rows(engine, "SELECT COUNT(*) FROM image WHERE good = 0") == [(0,)]
    counted = "SELECT SUM(good = 1), SUM(good = 0), SUM(is_reference), COUNT(*) FROM frame WHERE kind = 'light'"
    assert [int(one) for one in rows(engine, counted)[0]] == [4, 2, 1, 6]


def test_a_database_of_earlier_versions(engine: Engine) -> None:
    """There, and back again. One test, for loading takes a while."""
    versions.migrate(engine)
    assert_views_show_what_they_showed(engine)
    assert_each_fact_has_the_pid_of_its_finder(engine)
    assert_frames_keep_their_reasons(engine)
    take_back(engine, "0005")
    before = read("0005")["tables"]["image"]
    assert {column["name"] for column in inspect(engine).get_columns("image")} == set(before["columns"])
    after = rows(engine, f"SELECT {', '.join(before['columns'])} FROM image ORDER BY image_id")
    assert after == [tuple(row) for row in before["rows"]]
