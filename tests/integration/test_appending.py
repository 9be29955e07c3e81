"""Between calibrations of all frames a live night's frames go by the reference stars of the last one."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import update

from pipeline.flags import SPOILING
from schema.photometry import RelativeCalibration
from schema.processes import FAILED, SUCCEEDED
from services.engine.publisher.appending import BEHIND, Calibration
from services.engine.publisher.live import LivePublisher
from services.engine.publisher.publication import Publication
from services.ingest.raw_folder import read_folder
from services.ingest.register import register
from services.operating.housekeeping.prune import Policy, prune
from services.operating.live.portions import Portions
from services.operating.live.rhythm import WHOLE_SHARE, Rhythm
from services.setup import open_engine
from services.trials.simulate import night_spec, simulate
from tests.integration.small_night import SPEC, Night

FIRST, LATER = 9, 3
OF_FRAMES = {"calibrate": 1, "align": 1, "extract": 1}
OF_ALL = {"calibrate_relative": 2, "analyze": 2}
APPENDED = {"select": 1, "place_frames": 1, "append_relative": 2}
MARKS = "SELECT calibration_pid, image_id, pid FROM later_frame ORDER BY 1, 2"
CURVES = """
SELECT source_id, jd_utc, aperture, flux_relative, flux_relative_error, flag, image_good FROM light_curve
WHERE flux_relative IS NOT NULL
"""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In `0` what is there first, in the others a frame each."""
    folder = tmp_path_factory.mktemp("raw")
    spec = night_spec("demo", **SPEC | {"n_frames": FIRST + LATER, "n_stars": 60, "drift": (0.0, 0.0)})
    whole = simulate(spec, folder / "whole")
    for number, path in enumerate(sorted(whole.glob("Sim*R_0*.fits"))[FIRST:], start=1):
        (folder / str(number)).mkdir()
        path.rename(folder / str(number) / path.name)
    whole.rename(folder / "0")
    return folder


@pytest.fixture(scope="module")
def begun(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    night = Night.open(tmp_path_factory.mktemp("begun"), aperture_radii=(3.5, 6.0))
    night.publish(raw / "0")
    night.work()
    night.sessions.kw["bind"].dispose()
    return night


@pytest.fixture
def night(begun: Night, tmp_path: Path) -> Night:
    return begun.copy(tmp_path / "work", aperture_radii=(3.5, 6.0))


def come(night: Night, folder: Path, how: Calibration) -> Publication:
    """Frames of a folder come, and are published."""
    with night.sessions.begin() as session:
        register(session, read_folder(folder), site=night.settings.site, root=night.settings.root)
    return publish(night, how)


def publish(night: Night, how: Calibration) -> Publication:
    number = night.observation()
    with night.sessions.begin() as session:
        return LivePublisher(session, night.settings, how).publish(number)


def curves(night: Night) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Relative fluxes, errors, flags and whether the frame is good, by star, time and aperture."""
    return {row[:3]: row[3:] for row in night.rows(CURVES)}


def test_frames_are_appended_and_then_calibrated_with_all(night: Night, raw: Path) -> None:
    before, shown = curves(night), night.facts().calibration_pid
    for number in (1, 2):
        published = come(night, raw / str(number), Calibration.LATER)
        assert published.runs() == OF_FRAMES | APPENDED
        assert all(process.result_key for process in published.processes)
        assert Counter(night.work()) == published.runs()
    assert publish(night, Calibration.LATER).processes == []
    appended = curves(night)
    assert {point: appended[point] for point in before} == before  # to the bit
    assert len({point[1] for point in appended}) == FIRST + 2
    assert night.facts().calibration_pid == shown
    marks = night.rows(MARKS)
    assert Counter(mark[0] for mark in marks)[shown] == 2
    assert {state for _, state in night.states(night.facts().graph_pid)} == {SUCCEEDED}

    whole = come(night, raw / "3", Calibration.BEHIND)
    assert whole.runs() == OF_FRAMES | APPENDED | OF_ALL
    behind = Counter(process.command for process in whole.processes if process.priority >= BEHIND)
    assert behind == OF_ALL
    night.work()
    assert night.facts().calibration_pid not in (None, shown)
    assert publish(night, Calibration.LATER).processes == []  # it knows all frames
    assert publish(night, Calibration.WHOLE).processes == []
    found = curves(night)
    assert len({point[1] for point in found}) == FIRST + LATER
    later = appended.keys() - before.keys()
    clean = [p for p in later if found[p][3] and not (found[p][2] | appended[p][2]) & SPOILING]
    assert len(clean) > 60  # of one frame, for the other is no good
    # Levels are medians over 9 and over 12 frames, so that of a point's error they differ by some 0.2.
    shares = [(appended[point][0] - found[point][0]) / found[point][1] for point in clean]
    assert np.median(np.abs(shares)) < 0.3
    assert abs(np.median(shares)) < 0.15
    # Whether a point stands alone, which enlarges its error, is told by frames after it too.
    errors = np.array([appended[point][1] / found[point][1] for point in clean])
    assert np.percentile(np.abs(errors - 1.0), 80) < 0.1


def few(raw: Path, workdir: Path, **changes: Any) -> Night:
    """A night of four frames, and then a portion of one: fewer than a point is compared with."""
    night = Night.open(workdir, aperture_radii=(3.5, 6.0), **changes)
    first = workdir / "raw"
    lights = sorted(path.name for path in (raw / "0").glob("Sim*R_0*.fits"))
    shutil.copytree(raw / "0", first, ignore=shutil.ignore_patterns("truth", *lights[4:]))
    night.publish(first)
    night.work()
    published = come(night, raw / "1", Calibration.LATER)
    assert published.runs() == OF_FRAMES | APPENDED
    night.work()
    assert {state for _, state in night.states(night.facts().graph_pid)} == {SUCCEEDED}
    return night


@pytest.fixture(scope="module")
def few_curves(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return curves(few(raw, tmp_path_factory.mktemp("few")))


def test_a_portion_is_appended_to_a_night_of_few_frames(few_curves: dict[Any, Any]) -> None:
    assert len({point[1] for point in few_curves}) == 5


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_servers_append_what_sqlite_appends(
    few_curves: dict[Any, Any], each_ready_url: str, raw: Path, tmp_path: Path
) -> None:
    night = few(raw, tmp_path / "work", database_url=SecretStr(each_ready_url))
    found = curves(night)
    night.sessions.kw["bind"].dispose()
    assert found.keys() == few_curves.keys()
    for point, values in found.items():
        assert values == pytest.approx(few_curves[point], rel=1e-6)  # servers tell weights with six digits


def test_frames_that_came_during_a_calibration_of_all_go_by_it_afterwards(night: Night, raw: Path) -> None:
    whole = come(night, raw / "1", Calibration.BEHIND)
    later = come(night, raw / "2", Calibration.LATER)  # nothing has run yet
    assert later.runs() == OF_FRAMES | APPENDED
    night.work()
    assert len({point[1] for point in curves(night)}) == FIRST + 1  # of the new calibration alone
    caught_up = publish(night, Calibration.LATER)
    assert caught_up.runs() == {"append_relative": 2}
    night.work()
    assert len({point[1] for point in curves(night)}) == FIRST + 2
    shown = night.facts().calibration_pid
    assert shown in {process.pid for process in whole.processes}
    assert Counter(mark[0] for mark in night.rows(MARKS))[shown] == 1


def test_what_takes_no_later_frames_is_calibrated_whole(night: Night, raw: Path) -> None:
    with night.sessions.begin() as session:  # as of a Tianyu before, or of a poor field
        session.execute(update(RelativeCalibration).values(takes_later=None))
    published = come(night, raw / "1", Calibration.LATER)
    assert published.runs() == OF_FRAMES | {"select": 1, "place_frames": 1} | OF_ALL
    assert {process.priority for process in published.processes} == {0}


def test_a_portion_of_bad_frames_alone_appends_nothing_and_fails_nothing_else(night: Night, raw: Path) -> None:
    [frame] = (raw / "1").glob("*.fits")
    bad = night.settings.root / "bad"
    bad.mkdir()
    content = frame.read_bytes()
    (bad / frame.name).write_bytes(content[:5760] + bytes(len(content) - 5760))  # all pixels are one number
    come(night, bad, Calibration.LATER)
    night.work()
    states = night.states(night.facts().graph_pid)
    assert states["append_relative", SUCCEEDED] == 2
    assert ("append_relative", FAILED) not in states
    assert night.rows(MARKS) == []


def test_all_frames_are_calibrated_anew_for_a_small_share_of_the_time(night: Night, raw: Path) -> None:
    number, said = night.observation(), list[str]()
    portions = Portions(open_engine(night.settings), night.settings, Rhythm(), said.append)

    def ran(folder: str, now: float) -> Counter[str]:
        with night.sessions.begin() as session:
            register(session, read_folder(raw / folder), site=night.settings.site, root=night.settings.root)
        portions.add([number])
        portions.advance(now)
        return Counter(night.work())

    assert ran("1", 0.0) == OF_FRAMES | APPENDED | OF_ALL
    assert portions.advance(2.0) == [number]  # it took 2 s
    assert ran("2", 2.0 + 0.9 * WHOLE_SHARE * 2.0) == OF_FRAMES | APPENDED
    assert ran("3", 2.0 + 1.1 * WHOLE_SHARE * 2.0) == OF_FRAMES | APPENDED | OF_ALL
    portions.advance(60.0)
    portions.advance(61.0)
    assert not portions.at_work
    assert said == [f"observation {number}: 1 frame to measure"] * 3


def test_what_was_appended_goes_with_its_calibration(night: Night, raw: Path) -> None:
    first = night.facts().calibration_pid
    come(night, raw / "1", Calibration.LATER)
    night.work()
    come(night, raw / "2", Calibration.BEHIND)
    night.work()
    come(night, raw / "3", Calibration.LATER)
    night.work()
    found = curves(night)
    prune(open_engine(night.settings), Policy(keep=0, days=0.0), night.observation(), dry_run=False)
    assert curves(night) == found
    assert {mark[0] for mark in night.rows(MARKS)} & {first} == set()
    assert night.rows("SELECT COUNT(*) FROM relative_flux WHERE pid = :pid", pid=first) == [(0,)]
    assert night.states(night.facts().graph_pid)["append_relative", SUCCEEDED] == 2
    assert publish(night, Calibration.LATER).processes == []
