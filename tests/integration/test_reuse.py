"""What was made before from the same frames and choices is not made again, and what is made instead is the same."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from schema.base import utc_now
from schema.image import Image
from schema.processes import FAILED, SUCCEEDED, Process
from schema.queries import operating, spans
from services.engine.publisher.changed_choices import by_other_choices
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.steps import steps_of
from tests.acceptance.programs import Programs
from tests.integration.small_night import FRAMES, Night

LIGHT = [step.command for step in steps_of("light")]
UNCHOSEN = {"solve_archive", "detrend", "crossmatch", "zero_point"}  # without a catalogue and detrending
UNCHOSEN |= {"append_relative"}  # which joins live nights only
UNCHOSEN |= {"force_places", "force_fluxes", "force_terms"}  # of places that somebody asks for
APERTURES = {"aperture_radii": (2.5, 6.0)}
# Choices, and the first step that is computed again by them: with all that follow it.
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "apertures": (APERTURES, "extract"),
    "threshold": ({"detection_threshold": 8.0}, "solve"),
    "linearity": ({"linearity": 3000.0}, "calibrate"),
    "method": ({"relative_methods": ("paper", "ensemble")}, "calibrate_relative"),
}


def publish(night: Night, kind: str = "light", **more: Any) -> Publication:
    number = night.observation(kind)
    with night.sessions.begin() as session:
        return Publisher(session, night.settings).publish(number, **more)


def processes(night: Night) -> int:
    with night.sessions() as session:
        return session.scalars(select(func.count()).select_from(Process)).one()


def from_on(step: str) -> set[str]:
    return set(LIGHT[LIGHT.index(step) :]) - UNCHOSEN


def assert_same(night: Night, expected: Night) -> None:
    found, wanted = ([(Path(row[1]).name, row[0], *row[2:]) for row in one.light_curves()] for one in (night, expected))
    assert len(found) == len(wanted) > 200
    assert [row[:3] for row in sorted(found)] == [row[:3] for row in sorted(wanted)]
    one, other = (np.array([row[2:] for row in sorted(rows)], dtype=np.float64) for rows in (found, wanted))
    np.testing.assert_allclose(one, other, rtol=1e-5)  # a server rounds single numbers to six digits


def test_a_second_time_nothing_is_computed(night: Night) -> None:
    before, count = night.light_curves(), processes(night)
    for kind in ("light", "flat", "dark", "bias"):
        again = publish(night, kind)
        assert again.processes == []
        assert again.graph_pid == night.facts(kind).graph_pid
        assert f"nothing to compute, graph {again.graph_pid} has the results" in again.says
    assert processes(night) == count
    assert night.work() == []
    assert night.light_curves() == before


@pytest.mark.parametrize("name", CHANGES)
def test_changed_choices_compute_what_reads_them_and_what_follows(
    night: Night, raw: Path, tmp_path: Path, name: str
) -> None:
    choices, first = CHANGES[name]
    before, changed = night.facts(), night.having(**choices)
    published = publish(changed)
    ran = Counter(changed.work())
    assert set(ran) == from_on(first)
    assert ran == published.runs()
    assert {state for _, state in night.states(published.graph_pid)} == {SUCCEEDED}
    assert (night.facts().graph_pid == before.graph_pid) == (name == "method")
    assert night.facts().graph_pid == published.graph_pid
    at_once = Night.open(tmp_path / "at_once", **choices)
    at_once.publish(raw)
    at_once.work()
    assert_same(night, at_once)
    assert publish(changed).processes == []


def test_old_choices_are_shown_again_by_calibrations_alone(night: Night) -> None:
    before, old = night.light_curves(), night.facts()
    changed = night.having(**APERTURES)
    publish(changed)
    changed.work()
    assert night.light_curves() != before
    back = publish(night)
    assert back.graph_pid == old.graph_pid
    assert set(night.work()) == from_on("calibrate_relative")
    assert night.facts().graph_pid == old.graph_pid
    assert night.light_curves() == before
    assert publish(night).processes == []


def test_detrending_is_added_and_taken_back(night: Night) -> None:
    before = night.light_curves()
    changed = night.having(detrend_method="tfa")
    publish(changed)
    assert changed.work() == ["detrend"]
    assert night.facts().detrend_pid is not None
    assert night.light_curves() == before
    assert publish(changed).processes == []
    publish(night)
    night.work()
    assert night.facts().detrend_pid is None


def test_again_makes_all_anew_and_counts_from_then_on(night: Night) -> None:
    before, old = night.light_curves(), night.facts().graph_pid
    made = publish(night, again=True)
    assert made.graph_pid != old
    assert set(night.work()) == from_on("calibrate")
    assert night.light_curves() == before
    again = publish(night)
    assert (again.processes, again.graph_pid) == ([], made.graph_pid)
    changed = night.having(**APERTURES)
    publish(changed)
    assert set(changed.work()) == from_on("extract")
    with night.sessions() as session:
        origins = session.scalars(
            select(Process.origin_pid).where(
                Process.graph_pid == night.facts().graph_pid, Process.origin_pid.is_not(None)
            )
        ).all()
        graphs = set(session.scalars(select(Process.graph_pid).where(Process.pid.in_(origins))))
    assert graphs == {made.graph_pid}


@pytest.mark.parametrize("step", ["detect", "extract", "calibrate_relative"])
def test_a_rerun_counts_from_then_on(night: Night, step: str) -> None:
    rerun = night.rerun(step)
    night.work()
    assert publish(night).processes == []
    changed = night.having(**APERTURES)
    published = publish(changed)
    assert set(changed.work()) == from_on("extract")
    with night.sessions() as session:
        for old, new in published.taken_over.items():
            assert session.get_one(Process, old).graph_pid == rerun.graph_pid
            assert session.get_one(Process, new).origin_pid == old


def test_choices_by_which_it_is_published_already_are_not_called_other_ones(night: Night) -> None:
    changed = night.having(**APERTURES)
    number = night.observation()
    with night.sessions() as session:
        assert by_other_choices(session, changed.settings, but=()) == ([number], [])
    publish(changed)
    with night.sessions() as session:
        assert by_other_choices(session, changed.settings, but=()) == ([], [])


def test_a_master_by_other_choices_is_made_anew_and_what_follows(night: Night) -> None:
    old = {kind: night.facts(kind).graph_pid for kind in ("bias", "dark", "flat")}
    changed = night.having(flat_method="mode")
    published = publish(changed)
    assert any("master flat" in note and "clipped_mean -> mode" in note for note in published.notes)
    ran = Counter(changed.work())
    assert set(ran) == from_on("calibrate") | {"combine_flat"}
    assert ran["combine_flat"] == 1
    assert [kind for kind, pid in old.items() if night.facts(kind).graph_pid != pid] == ["flat"]
    again = publish(night)  # the flat of before serves again
    assert again.graph_pid != published.graph_pid
    assert night.facts("flat").graph_pid == old["flat"]
    assert set(night.work()) == from_on("calibrate_relative")


def test_a_master_that_was_asked_for_anew_is_used(night: Night) -> None:
    publish(night, "bias", again=True)
    assert set(night.work()) == {"stack_bias"}
    publish(night)
    assert set(night.work()) == from_on("calibrate") | {"stack_dark", "calibrate_flat", "combine_flat"}


def test_what_is_at_work_or_failed_is_said(night: Night, raw: Path, tmp_path: Path) -> None:
    fresh = Night.open(tmp_path / "fresh")
    fresh.publish(raw)
    assert "is at work" in publish(fresh).says
    assert "--wait" in publish(fresh).says
    with night.sessions.begin() as session:
        calibrated = Process.command == "calibrate_relative"
        session.execute(update(Process).where(calibrated).values(status=FAILED, error_class="transient", error="away"))
    said = publish(night).says
    assert "without success" in said
    assert f"tianyu retry --failed --observation {night.observation()}" in said


@pytest.mark.parametrize(
    ("kind", "first"), [("calibrated", "calibrate"), ("template", "stack"), ("stacked", "extract")]
)
def test_a_deleted_file_is_missed_by_who_opens_it(night: Night, kind: str, first: str) -> None:
    with night.sessions.begin() as session:
        session.execute(update(Image).where(Image.kind == kind).values(deleted_at=utc_now()))
    for path in night.settings.root.glob(f"{kind}/*/*.fits"):
        path.unlink()
    assert publish(night).processes == []
    changed = night.having(**APERTURES)
    published = publish(changed)
    assert set(changed.work()) == from_on(first)
    assert {state for _, state in night.states(published.graph_pid)} == {SUCCEEDED}


@pytest.fixture
def damaged(raw: Path, tmp_path: Path) -> Night:
    """The night with one frame whose file is no good."""
    night = Night.open(tmp_path / "damaged")
    night.publish(raw)
    [(path,)] = night.rows("SELECT path FROM image WHERE kind = 'light' ORDER BY image_id LIMIT 1")
    whole = (night.settings.root / path).read_bytes()
    (tmp_path / "whole").write_bytes(whole)
    (night.settings.root / path).write_bytes(whole[: len(whole) // 2])
    try:
        night.work()
    finally:
        (night.settings.root / path).write_bytes(whole)  # the night is shared
    return night


def test_a_bad_frame_does_not_make_the_night_anew(damaged: Night) -> None:
    assert len({row[1] for row in damaged.light_curves()}) == FRAMES - 1
    assert publish(damaged).processes == []
    changed = damaged.having(**APERTURES)
    published = publish(changed)
    assert damaged.states(published.graph_pid)["calibrate", FAILED] == 1
    assert set(changed.work()) == from_on("extract")
    assert len({row[1] for row in damaged.light_curves()}) == FRAMES - 1


def test_what_went_on_without_a_frame_that_came_right_is_made_again(damaged: Night) -> None:
    number = damaged.observation()
    with damaged.sessions.begin() as session:
        operating.retry(session, operating.pids_in(session, [FAILED], number))
    damaged.work()
    publish(damaged)
    ran = Counter(damaged.work())
    assert set(ran) == from_on("choose_reference")
    assert len({row[1] for row in damaged.light_curves()}) == FRAMES
    assert publish(damaged).processes == []


def test_a_new_template_of_all_frames_is_that_of_a_night_that_was_published_at_once(raw: Path, tmp_path: Path) -> None:
    coming, later = tmp_path / "night", 3
    shutil.copytree(raw, coming, ignore=shutil.ignore_patterns("truth"))
    frames = sorted(coming.glob("Sim*.fits"))
    assert len(frames) == FRAMES
    for path in frames[-later:]:
        path.rename(tmp_path / path.name)
    night = Night.open(tmp_path / "work")
    night.publish(coming)
    night.work()
    for path in frames[-later:]:
        (tmp_path / path.name).rename(path)
    night.publish(coming)  # registers; the observation is published already
    published = publish(night, new_template=True)
    assert published.reused == {"calibrate": FRAMES - later}
    ran = Counter(night.work())
    assert set(ran) == from_on("calibrate")
    assert (ran["calibrate"], ran["extract"]) == (later, FRAMES)
    at_once = Night.open(tmp_path / "at_once")
    at_once.publish(coming)
    at_once.work()
    # Fewer frames showed fewer stars: those that were found later have other ids.
    found, wanted = (
        np.array([(Path(path).name[-9:-5], *row) for _, path, *row in one.light_curves()], dtype=np.float64)
        for one in (night, at_once)
    )
    found, wanted = (rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))] for rows in (found, wanted))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)  # sums go in the order of ids


def test_the_commands_compute_what_changed(processed: Night, raw: Path, tmp_path: Path) -> None:
    night = processed.copy(tmp_path / "work")
    number, graph = str(night.observation()), night.facts().graph_pid
    environment = {
        "TIANYU_DATABASE_URL": night.settings.database_url.get_secret_value(),
        "TIANYU_ROOT": str(night.settings.root),
    }
    said = Programs(environment, tmp_path).run("publish", number).stdout
    assert f"nothing to compute, graph {graph} has the results" in said
    changed = Programs(environment | {"TIANYU_APERTURE_RADII": "[2.5, 6.0]"}, tmp_path)
    count = processes(night)
    said = changed.run("publish", number, "--dry-run").stdout
    runs, _, reused = said.partition("; ")
    assert f"{FRAMES} extract" in runs
    assert "calibrate," not in runs
    assert f"results are reused ({FRAMES} calibrate, 1 choose_reference, {FRAMES} align" in reused
    assert processes(night) == count
    words = ("run", str(raw), "--workdir", str(night.settings.root), "--no-plots", "--consumers", "1")
    Programs({"TIANYU_APERTURE_RADII": "[2.5, 6.0]"}, tmp_path).run(*words)
    assert {row[2] for row in night.light_curves()} == {0, 1}
    assert night.commands_run(night.facts().graph_pid) == from_on("extract")
    count = processes(night)
    Programs({"TIANYU_APERTURE_RADII": "[2.5, 6.0]"}, tmp_path).run(*words)
    assert processes(night) == count


def test_every_database_takes_over(
    each_ready_url: str, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "LONG", 1)  # by ranges, as it is in large graphs
    night = Night.open(tmp_path / "work", database_url=SecretStr(each_ready_url))
    night.publish(raw)
    night.work()
    assert publish(night).processes == []
    at_once = Night.open(tmp_path / "at_once", **APERTURES)
    at_once.publish(raw)
    at_once.work()
    changed = night.having(**APERTURES)
    publish(changed)
    assert set(changed.work()) == from_on("extract")
    assert_same(night, at_once)
    night.sessions.kw["bind"].dispose()
