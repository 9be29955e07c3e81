"""An observation is run again from one step on: old results stay until the new ones are there."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from schema.base import utc_now
from schema.image import CALIBRATED, Image
from schema.processes import CANCELLED, FAILED, SKIPPED, SUCCEEDED, Process
from schema.queries import frames, operating
from services.engine.publisher.publish import Publisher
from services.errors import ConfigurationError
from services.steps import STEPS, steps_of
from tests.acceptance.programs import Programs
from tests.integration.small_night import FRAMES, Night

# By default there is no detrending, and nobody asks for places; without a catalogue no names and no zero points; live
# nights alone are appended to.
LIGHT_COMMANDS = tuple(
    step.command
    for step in steps_of("light")
    if step.command not in ("solve_archive", "detrend", "crossmatch", "zero_point", "append_relative")
    and not step.command.startswith("force_")
)
FOUND = ("dx", "dy", "rotation_deg", "scale", "alignment_rms", "transparency", "good", "weight", "gain")
UNUSABLE = "SELECT path, reason FROM frame WHERE kind = 'light' AND image_id IS NULL AND good = 0"
FILES = "SELECT path FROM image WHERE kind = 'calibrated'"


def from_on(step: str) -> set[str]:
    return set(LIGHT_COMMANDS[LIGHT_COMMANDS.index(step) :])


def assert_old_until_calibrated(night: Night) -> list[str]:
    """Work, and look at the view after each process: it changes with the default calibration and not before."""
    before = night.light_curves()
    calibration = night.facts().calibration_pid
    looked = 0

    def look(command: str) -> None:
        nonlocal looked
        if night.facts().calibration_pid == calibration:
            assert night.light_curves() == before, f"after {command}"
            looked += 1

    done = night.work(look)
    assert night.facts().calibration_pid != calibration
    assert looked >= (0 if done[0] == "calibrate_relative" else 1)
    return done


@pytest.mark.parametrize("step", LIGHT_COMMANDS[:-1])
def test_unchanged_settings_give_the_same_light_curves(night: Night, step: str) -> None:
    before, old = night.light_curves(), night.facts()
    files = set(night.settings.root.glob("calibrated/*/*.fits"))
    result = night.rerun(step)
    assert night.light_curves() == before
    assert Counter(p.command for p in result.again()).keys() == from_on(step)
    assert set(assert_old_until_calibrated(night)) == from_on(step)
    assert night.light_curves() == before
    new = night.facts()
    assert new.graph_pid == result.graph_pid
    assert (new.graph_pid == old.graph_pid) == STEPS[step].joins
    assert new.calibration_pid not in (None, old.calibration_pid)
    assert new.analysis_pid not in (None, old.analysis_pid)
    assert {state for _, state in night.states(new.graph_pid)} == {SUCCEEDED}
    more = set(night.settings.root.glob("calibrated/*/*.fits")) - files
    assert len(more) == (FRAMES if step == "calibrate" else 0)  # what is taken over is the same file


def test_extract_with_other_apertures(night: Night) -> None:
    before = night.light_curves()
    changed = night.having(aperture_radii=(2.5, 6.0))
    result = changed.rerun("extract")
    assert night.light_curves() == before
    assert_old_until_calibrated(changed)
    after = night.light_curves()
    assert {row[2] for row in after} == {0, 1}
    assert {row[1] for row in after} == {row[1] for row in before}  # the same frames
    radii = "SELECT aperture, radius FROM aperture WHERE graph_pid = :pid ORDER BY aperture"
    assert night.rows(radii, pid=result.graph_pid) == [(0, 2.5), (1, 6.0)]
    measured = {row[3] for row in after} - {None}
    assert len(measured) > 100
    assert not measured & {row[3] for row in before}


def test_what_is_taken_over_says_so_and_never_ran(night: Night) -> None:
    old = night.facts().graph_pid
    result = night.rerun("detect")
    night.work()
    assert night.commands_run(result.graph_pid) == from_on("detect")
    with night.sessions() as session:
        for old_pid, new_pid in result.taken_over.items():
            one, other = session.get_one(Process, old_pid), session.get_one(Process, new_pid)
            assert other.origin_pid == old_pid
            assert (one.graph_pid, other.graph_pid) == (old, result.graph_pid)
            for name in ("command", "status", "attempt", "finished_at", "error"):
                assert getattr(one, name) == getattr(other, name)
    counts = Counter(command for command, _ in night.states(result.graph_pid))
    assert counts["stack"] == 1
    assert night.states(result.graph_pid)["stack", SUCCEEDED] == 1  # the template, not the tree below it
    assert len(result.taken_over) == 2 * FRAMES + 4


def test_images_taken_over_keep_their_facts_and_lineage(night: Night) -> None:
    result = night.rerun("detect")
    facts = [column.name for column in Image.__table__.columns]
    renewed = {"image_id", "pid", "graph_pid", "path_digest"}
    with night.sessions() as session:
        taken = session.scalars(select(Image).where(Image.graph_pid == result.graph_pid)).all()
        assert Counter(image.kind for image in taken) == {"calibrated": FRAMES, "template": 1}
        origin = {new: old for old, new in result.taken_over.items()}
        for image in taken:
            old = session.scalars(select(Image).where(Image.pid == origin[image.pid or 0])).one()
            for name in facts:
                if name not in renewed:
                    assert getattr(image, name) == getattr(old, name), name
            if image.kind == CALIBRATED:
                one, other = (frames.by_pid(session, pid) for pid in (image.pid, old.pid))
                assert one is not None
                assert other is not None
                assert one.aligned_by == result.taken_over[other.aligned_by or 0]
                assert one.judged_by == result.taken_over[other.judged_by or 0]
                assert [getattr(one, name) for name in FOUND] == [getattr(other, name) for name in FOUND]
        chosen, before = (frames.reference_of(session, pid) for pid in (result.graph_pid or 0, result.source_pid))
        assert chosen is not None
        assert before is not None
        assert chosen.path == before.path
    parents = """SELECT p.kind, COUNT(*) FROM image i JOIN image_parent ip ON ip.image_id = i.image_id
                 JOIN image p ON p.image_id = ip.parent_id WHERE i.graph_pid = :pid GROUP BY p.kind"""
    new = dict(night.rows(parents, pid=result.graph_pid))
    assert new == {"light": FRAMES, "master_bias": FRAMES, "master_dark": FRAMES, "master_flat": FRAMES, "stacked": 2}


def test_select_forgets_what_was_selected_and_keeps_the_alignment(night: Night) -> None:
    result = night.rerun("select")
    with night.sessions() as session:
        taken = frames.of_graph(session, result.graph_pid or 0)
    assert len(taken) == FRAMES
    for frame in taken:
        assert frame.aligned_by in result.taken_over.values()
        assert frame.dx is not None
        assert (frame.judged_by, frame.good, frame.weight, frame.reject_reason) == (None, None, None, None)


def test_analyze_adds_statistics_to_the_same_light_curves(night: Night) -> None:
    before, old = night.light_curves(), night.facts()
    scatter = "SELECT source_id, aperture, scatter FROM light_curve_statistics WHERE pid = :pid ORDER BY 1, 2"
    result = night.rerun("analyze")
    assert result.graph_pid == old.graph_pid
    assert night.work() == ["analyze", "analyze"]
    new = night.facts()
    assert (new.graph_pid, new.calibration_pid) == (old.graph_pid, old.calibration_pid)
    assert new.analysis_pid in {process.pid for process in result.again()}
    assert night.light_curves() == before
    assert night.rows(scatter, pid=new.analysis_pid) == night.rows(scatter, pid=old.analysis_pid)


def test_detrending_joins_the_old_graph_and_is_shown_beside_the_same_light_curves(night: Night) -> None:
    before, old = night.light_curves(), night.facts()
    with pytest.raises(ConfigurationError, match="detrend_method is none"):
        night.rerun("detrend")
    changed = night.having(detrend_method="tfa")
    result = changed.rerun("detrend")
    assert result.graph_pid == old.graph_pid
    assert sorted(changed.work()) == ["analyze", "analyze", "detrend"]
    new = night.facts()
    assert (new.graph_pid, new.calibration_pid) == (old.graph_pid, old.calibration_pid)
    assert new.detrend_pid is not None
    assert night.light_curves() == before
    changed.rerun("calibrate_relative")
    changed.work()
    again = night.facts()
    assert again.calibration_pid != old.calibration_pid
    assert again.detrend_pid not in (None, new.detrend_pid)
    night.rerun("calibrate_relative")
    night.work()
    assert night.facts().detrend_pid is None
    assert night.light_curves() == before


def test_a_rerun_of_a_rerun(night: Night) -> None:
    before = night.light_curves()
    for step in ("detect", "extract", "select", "extract", "calibrate_relative", "analyze", "calibrate"):
        night.rerun(step)
        assert set(night.work()) == from_on(step)
        assert night.light_curves() == before, step


def test_another_fan_out_makes_another_tree(night: Night) -> None:
    changed = night.having(fan_out=3)
    result = changed.rerun("stack")
    changed.work()
    assert night.states(result.graph_pid)["stack", SUCCEEDED] == 4
    result = changed.rerun("extract")
    changed.work()
    assert night.states(result.graph_pid)["stack", SUCCEEDED] == 1
    assert {state for _, state in night.states(result.graph_pid)} == {SUCCEEDED}


def test_a_rerun_that_fails_leaves_the_old_light_curves(night: Night) -> None:
    before, old = night.light_curves(), night.facts()
    for path in night.settings.root.glob("calibrated/*/*.fits"):
        path.write_bytes(b"not a FITS file")
    result = night.rerun("extract")
    night.work()
    assert night.states(result.graph_pid)["calibrate_relative", FAILED] == 2
    assert night.light_curves() == before
    assert night.facts().calibration_pid == old.calibration_pid
    again = night.rerun("calibrate")  # of the graph that the views show, not of the one that failed
    assert again.source_pid == old.graph_pid
    assert str(result.graph_pid) in again.notes[0]
    night.work()
    assert night.light_curves() == before


@pytest.fixture
def damaged(raw: Path, tmp_path: Path) -> Night:
    """The night with one frame whose file is cut short, and processed with that."""
    folder = tmp_path / "night"
    shutil.copytree(raw, folder)
    frame = sorted(folder.glob("*R_0*.fits"))[3]
    night = Night.open(tmp_path / "damaged")
    night.publish(folder)
    whole = frame.read_bytes()
    (tmp_path / "whole").write_bytes(whole)
    frame.write_bytes(whole[: len(whole) // 2])
    night.work()
    return night


def test_failures_are_taken_over_too(damaged: Night) -> None:
    before = damaged.light_curves()
    assert len({row[1] for row in before}) == FRAMES - 1
    result = damaged.rerun("stack")
    states = damaged.states(result.graph_pid)
    assert states["calibrate", FAILED] == states["align", SKIPPED] == 1
    damaged.work()
    states = damaged.states(result.graph_pid)
    assert states["extract", SKIPPED] == 1
    assert states["extract", SUCCEEDED] == FRAMES - 1
    assert damaged.light_curves() == before


def test_a_frame_that_was_repaired_is_used_again(damaged: Night, tmp_path: Path) -> None:
    [(frame, reason)] = damaged.rows(UNUSABLE)
    assert "is it whole?" in reason
    (damaged.settings.root / frame).write_bytes((tmp_path / "whole").read_bytes())
    result = damaged.rerun("calibrate")
    damaged.work()
    assert damaged.states(result.graph_pid)["extract", SUCCEEDED] == FRAMES
    assert len({row[1] for row in damaged.light_curves()}) == FRAMES
    assert damaged.rows(UNUSABLE) == []


def test_a_failure_that_was_taken_over_can_be_retried(damaged: Night, tmp_path: Path) -> None:
    [(frame, _)] = damaged.rows(UNUSABLE)
    result = damaged.rerun("extract")
    (damaged.settings.root / frame).write_bytes((tmp_path / "whole").read_bytes())
    with damaged.sessions.begin() as session:
        failed = operating.pids_in(session, [FAILED], damaged.observation())
        assert len(failed) == 1
        assert failed[0] in result.taken_over.values()
        operating.retry(session, failed)
    damaged.work()
    assert {state for _, state in damaged.states(result.graph_pid)} == {SUCCEEDED}
    assert len({row[1] for row in damaged.light_curves()}) == FRAMES
    assert damaged.rows(UNUSABLE) == []


@pytest.mark.parametrize(
    ("kind", "step", "begins"),
    [
        ("calibrated", "select", "calibrate"),
        ("calibrated", "extract", "calibrate"),
        ("calibrated", "calibrate_relative", "calibrate_relative"),
        ("template", "detect", "stack"),
        ("template", "extract", "stack"),
        ("template", "align", "align"),
    ],
)
def test_it_begins_where_deleted_images_are_made(night: Night, kind: str, step: str, begins: str) -> None:
    before = night.light_curves()
    with night.sessions.begin() as session:
        session.execute(update(Image).where(Image.kind == kind).values(deleted_at=utc_now()))
    for path in night.settings.root.glob(f"{kind}/*/*.fits"):
        path.unlink()
    result = night.rerun(step)
    assert result.step == begins
    assert len(result.notes) == (step != begins)
    assert all("deleted by `tianyu gc`" in line for line in result.notes)
    assert set(night.work()) == from_on(begins)
    assert night.light_curves() == before


def test_flats_are_combined_anew_and_used_by_the_next_rerun(night: Night) -> None:
    before, old = night.light_curves(), night.facts("flat")
    changed = night.having(flat_method="mode")
    result = changed.rerun("combine_flat", "flat")
    assert changed.work() == ["combine_flat"]
    assert night.states(result.graph_pid) == {("calibrate_flat", SUCCEEDED): 3, ("combine_flat", SUCCEEDED): 1}
    assert night.facts("flat").graph_pid == result.graph_pid != old.graph_pid
    assert night.light_curves() == before
    [note] = changed.rerun("calibrate").notes
    assert note.endswith("flat_method: clipped_mean -> mode")
    changed.work()
    flux = {row[:3]: row[3] for row in before if row[3] is not None}
    common = [row for row in night.light_curves() if row[:3] in flux]
    assert len(common) > 0.5 * len(flux)  # with the noisier flat a faint one of the six sources may not be found
    assert all(row[3] != flux[row[:3]] for row in common)


@pytest.mark.parametrize(("kind", "step"), [("bias", "stack_bias"), ("dark", "stack_dark"), ("flat", "calibrate_flat")])
def test_masters_are_made_anew(night: Night, kind: str, step: str) -> None:
    before, old = night.light_curves(), night.facts(kind).graph_pid
    pixels = f"SELECT graph_pid, weight, nx FROM image WHERE kind = 'master_{kind}' ORDER BY pid"
    night.rerun(step, kind)
    assert step in night.work()
    one, other = night.rows(pixels)
    assert (one[0], other[0]) == (old, night.facts(kind).graph_pid)
    assert one[1:] == other[1:]
    night.rerun("calibrate")
    night.work()
    assert night.light_curves() == before


def test_a_master_that_failed_anew_is_not_used(night: Night) -> None:
    """The one of the graph before it serves, and that is said."""
    with night.sessions.begin() as session:
        session.execute(update(Image).where(Image.kind == "bias").values(path="gone.fits", path_digest=Image.image_id))
    night.rerun("stack_bias", "bias")
    night.work()
    before = night.light_curves()
    result = night.rerun("calibrate")
    assert any("for that of" in line for line in result.notes)
    night.work()
    assert night.light_curves() == before


def refused(night: Night, match: str, step: str = "extract", kind: str = "light", **more: Any) -> None:
    processes = night.rows("SELECT COUNT(*) FROM process")
    with pytest.raises(ConfigurationError, match=match):
        night.rerun(step, kind, **more)
    assert night.rows("SELECT COUNT(*) FROM process") == processes


def test_steps_that_there_are_not_are_refused(night: Night) -> None:
    refused(night, "no step 'extrakt': it can be run again from calibrate, choose_reference, align", "extrakt")
    refused(night, "no step 'stack_bias'", "stack_bias")
    refused(night, "flat frames.*from calibrate_flat, combine_flat", "extract", "flat")


def test_what_is_not_finished_is_refused_until_it_is_cancelled(night: Night) -> None:
    before = night.light_curves()
    night.rerun("extract")
    refused(night, "not finished.*tianyu cancel --observation")
    with night.sessions.begin() as session:
        operating.cancel(session, operating.unfinished_pids(session, night.observation()))
    night.rerun("extract")
    night.work()
    assert night.light_curves() == before


def test_nothing_is_refused_in_words(night: Night) -> None:
    with night.sessions() as session, pytest.raises(ConfigurationError, match="no observation 99"):
        Publisher(session, night.settings).observation(99)
    refused(night, "no graph 7: its graphs are", graph_pid=7)
    with night.sessions.begin() as session:
        session.execute(update(Process).where(Process.command == "detect").values(status=CANCELLED))
    refused(night, "no detect of graph .* succeeded; start from detect or an earlier step")
    refused(night.having(site="elsewhere"), "TIANYU_SITE=local")


def test_an_observation_that_was_never_published_is_refused(raw: Path, tmp_path: Path) -> None:
    night = Night.open(tmp_path / "empty")
    night.publish(raw)
    with night.sessions.begin() as session:
        number = night.observation()
        observation = session.get_one(type(night.facts()), number)
        observation.graph_pid = None
        session.execute(update(Process).where(Process.observation_id == number).values(observation_id=None))
    refused(night, "was never published: `tianyu publish")


def test_an_older_graph_can_be_chosen(night: Night) -> None:
    """The way back: its light curves come to the views again."""
    before, old = night.light_curves(), night.facts()
    changed = night.having(aperture_radii=(2.5, 6.0))
    changed.rerun("extract")
    changed.work()
    assert night.light_curves() != before
    night.rerun("calibrate_relative", graph_pid=old.graph_pid)
    night.work()
    assert night.facts().graph_pid == old.graph_pid
    assert night.light_curves() == before


def test_every_database_runs_again(each_ready_url: str, raw: Path, tmp_path: Path) -> None:
    night = Night.open(tmp_path / "work", database_url=SecretStr(each_ready_url))
    night.publish(raw)
    night.work()
    before = night.light_curves()
    assert len(before) > 200
    for step in ("extract", "select", "calibrate_relative"):
        night.rerun(step)
        assert set(assert_old_until_calibrated(night)) == from_on(step)
        assert night.light_curves() == before, step
    night.sessions.kw["bind"].dispose()


def test_the_command_and_the_run_that_carries_it_out(processed: Night, raw: Path, tmp_path: Path) -> None:
    night = processed.copy(tmp_path / "work")
    before = night.light_curves()
    environment = {
        "TIANYU_DATABASE_URL": night.settings.database_url.get_secret_value(),
        "TIANYU_ROOT": str(night.settings.root),
        "TIANYU_APERTURE_RADII": "[2.5, 6.0]",
    }
    programs, number = Programs(environment, tmp_path), str(night.observation())
    said = programs.run("rerun", "--from", "extract", number, "--dry-run").stdout
    assert f"would run again from extract: {FRAMES + 6} processes" in said
    assert night.rows("SELECT COUNT(DISTINCT graph_pid) FROM process") == [(4,)]
    said = programs.run("rerun", "--from", "extract", number, "--priority", "-5").stdout
    assert f"{2 * FRAMES + 5} processes are taken over" in said
    assert night.rows("SELECT DISTINCT priority FROM process WHERE origin_pid IS NOT NULL") == [(-5,)]
    assert night.light_curves() == before
    failed = programs.run("rerun", "--from", "detect", number, check=False)
    assert failed.returncode == 1
    assert "not finished" in failed.stderr
    Programs({"TIANYU_APERTURE_RADII": "[2.5, 6.0]"}, tmp_path).run(
        "run", str(raw), "--workdir", str(night.settings.root), "--no-plots", "--consumers", "1"
    )
    assert {row[2] for row in night.light_curves()} == {0, 1}
    assert CALIBRATED in {kind for (kind,) in night.rows("SELECT kind FROM image")}
