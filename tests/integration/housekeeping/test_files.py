"""Marks before files: crashes in between, files that nobody knows, files that are not ours, files that stay."""

import os
from pathlib import Path

import pytest

from schema.image import CALIBRATED, STACKED
from schema.processes import CANCELLED, FAILED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, WAITING
from schema.queries import housekeeping
from services.errors import ConfigurationError
from services.image_store import TEMPORARY_FOLDER
from services.operating.housekeeping import collect, folders
from services.settings import Settings
from tests.integration.housekeeping.house import ALL, HERE, NOTHING, PARTIALS, House

TWO_HOURS_S = 7200.0
FINISHED = (SUCCEEDED, FAILED, CANCELLED, SKIPPED)


def test_a_crash_between_mark_and_removal_is_made_good_by_the_next_call(house: House) -> None:
    observation = house.observation(1)
    path = house.image(1, observation, STACKED)
    with house.sessions.begin() as session:
        [marked] = housekeeping.mark_deleted(session, observation, HERE, PARTIALS, {path})
    assert marked.path == path
    assert house.there() == {path}
    assert house.live() == set()
    [removed] = house.collect(NOTHING).removed
    assert (removed.kind, removed.what, removed.files) == (STACKED, "unneeded", 1)
    assert house.there() == set()


def test_a_crash_before_the_marks_are_committed_changes_nothing(house: House) -> None:
    observation = house.observation(1)
    path = house.image(1, observation, STACKED)
    with house.sessions() as session:
        housekeeping.mark_deleted(session, observation, HERE, PARTIALS, {path})
        session.rollback()
    assert house.live() == house.there() == {path}
    assert house.collect(NOTHING).removed == []


def test_a_dry_run_says_the_same_and_changes_nothing(house: House) -> None:
    observation = house.observation(1)
    paths = {house.image(1, observation, STACKED), house.image(2, observation, CALIBRATED)}
    house.process(3, observation, status=FAILED)
    stray = f"{CALIBRATED}/{observation}/3.fits"
    house.file(stray, TWO_HOURS_S)
    would = house.collect(dry_run=True)
    assert house.there() == {*paths, stray}
    assert house.live() == paths
    assert house.collect() == would
    assert [(item.kind, item.what) for item in would.removed] == [
        (STACKED, "unneeded"),
        (CALIBRATED, "unneeded"),
        (CALIBRATED, "orphan"),
    ]
    assert house.there() == house.live() == set()


def test_an_image_whose_file_is_lost_is_not_said_to_be_deleted(house: House) -> None:
    observation = house.observation(1)
    path = house.image(1, observation, STACKED)
    (house.root / path).unlink()
    assert house.collect().removed == []
    assert house.live() == {path}


@pytest.mark.parametrize(
    ("folder", "name", "what"),
    [
        ("", "{pid}.fits", "orphan"),
        ("", "{pid}.fits.77.part", "unfinished"),
        (f"{TEMPORARY_FOLDER}/", "{pid}.fits.77-ab12.part", "unfinished"),
        (f"{TEMPORARY_FOLDER}/", "{pid}.fits", None),  # no name that the image store makes there
    ],
)
def test_files_without_a_row_go_when_they_are_old_and_their_process_is_over(
    house: House, folder: str, name: str, what: str | None
) -> None:
    observation = house.observation(1)
    states = dict(enumerate((*FINISHED, WAITING, QUEUED, RUNNING), start=10))
    for pid, status in states.items():
        house.process(pid, observation, status=status)

    def path(pid: int) -> str:
        return f"{CALIBRATED}/{observation}/{folder}{name.format(pid=pid)}"

    unknown, beyond, young = 5, 1000, 6
    for pid in (*states, unknown, beyond):
        house.file(path(pid), TWO_HOURS_S)
    house.file(path(young), 1800.0)
    before = house.there()
    over = {path(pid) for pid, status in states.items() if status in FINISHED} | {path(unknown)}
    going = over if what else set()
    removed = house.collect(NOTHING).removed
    assert house.there() == before - going
    assert [(item.what, item.files) for item in removed] == ([(what, len(going))] if what else [])


def test_folders_of_observations_that_are_not_known_are_looked_at_too(house: House) -> None:
    house.process(10, house.observation(1))
    house.file(f"{CALIBRATED}/0/9.fits", TWO_HOURS_S)
    house.file(f"{CALIBRATED}/4711/9.fits", TWO_HOURS_S)
    removed = house.collect(NOTHING).removed
    assert [(item.observation_id, item.files) for item in removed] == [(None, 1), (4711, 1)]
    assert house.there() == set()


def test_another_databases_files_are_left_alone(house: House) -> None:
    """With an empty database, or one that was restored from a copy, all images look like orphans."""
    house.file(f"{CALIBRATED}/1/1700000000000000000.fits", TWO_HOURS_S)
    assert house.collect().removed == []
    assert len(house.there()) == 1


def test_nothing_but_the_image_stores_own_names_is_touched(house: House) -> None:
    house.process(10, house.observation(1))
    others = (
        "tianyu.db",
        "5.fits",
        "plots/1/5.fits",
        "raw/1/5.fits",
        "calibrated/5.fits",
        "calibrated/one/5.fits",
        "calibrated/01/5.fits",
        "calibrated/1/5.fit",
        "calibrated/1/x5.fits",
        "calibrated/1/5.fits.gz",
        "calibrated/1/5.part",
        "calibrated/1/99999999999999999999.fits",
        "calibrated/1/deeper/5.fits",
    )
    for path in others:
        house.file(path, TWO_HOURS_S)
    assert house.collect().removed == []
    assert house.there() == set(others)


def test_links_are_not_followed(house: House, tmp_path: Path) -> None:
    first, second = house.observation(1), house.observation(2)
    outside = tmp_path / "outside"
    (outside / str(first)).mkdir(parents=True)
    (house.root / STACKED).symlink_to(outside)
    linked = house.image(1, first, STACKED)  # its file lies outside
    (outside / str(first) / "2.fits").write_bytes(b"stray")
    os.utime(outside / str(first) / "2.fits", (0, 0))
    target = tmp_path / "target.fits"
    target.write_bytes(b"precious")
    (house.root / CALIBRATED / str(second)).mkdir(parents=True)
    (house.root / CALIBRATED / str(second) / "1.fits").symlink_to(target)
    collection = house.collect()
    assert collection.removed == []
    assert f"folder '{STACKED}/{first}' is a link or no folder: left alone" in collection.notes
    assert house.live() == {linked}
    assert (outside / str(first) / "1.fits").exists()
    assert (outside / str(first) / "2.fits").exists()
    assert (house.root / CALIBRATED / str(second) / "1.fits").is_symlink()
    assert target.read_bytes() == b"precious"


def test_a_file_that_cannot_be_removed_is_named_and_the_others_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    observation = house.observation(1)
    stubborn, other = house.image(1, observation, STACKED), house.image(2, observation, STACKED)
    unlink = os.unlink

    def refuse(path: str, **more: int) -> None:
        if path == "1.fits":
            raise PermissionError(13, "Permission denied", path)
        unlink(path, **more)

    monkeypatch.setattr(folders.os, "unlink", refuse)
    collection = house.collect()
    assert [item.files for item in collection.removed] == [1]
    [failure] = collection.failures
    assert str(house.root / stubborn) in failure
    assert "Permission denied" in failure
    assert house.there() == {stubborn}
    assert other not in house.live()
    monkeypatch.undo()
    assert [item.files for item in house.collect().removed] == [1]
    assert house.there() == set()


def test_a_wrong_root_a_missing_one_and_an_unknown_observation_are_refused(house: House, tmp_path: Path) -> None:
    path = house.image(1, house.observation(1), STACKED)
    with pytest.raises(ConfigurationError, match=r"has its root at .*root', the settings say .*elsewhere'"):
        collect(house.engine, Settings(site="here", root=tmp_path / "elsewhere"), ALL)
    with pytest.raises(ConfigurationError, match=r"site 'nowhere' is not registered"):
        collect(house.engine, Settings(site="nowhere", root=house.root), ALL)
    with pytest.raises(ConfigurationError, match=r"there is no observation 4711"):
        house.collect(ALL, 4711)
    house.root.rename(tmp_path / "unmounted")
    with pytest.raises(ConfigurationError, match=r"is its disk mounted"):
        house.collect()
    assert house.live() == {path}
