"""A master that failed stops its nights until it is mended, or left out by name; steps make nothing of nothing."""

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from pydantic import SecretStr
from sqlalchemy import delete, select, update

from schema.image import Image, ImageParent
from schema.processes import FAILED, SKIPPED, SUCCEEDED, Process, ProcessDependence
from schema.queries import operating
from services.cli.summary_lines import results_of, show_results
from services.errors import TransientError
from services.image_store import LocalImageStore
from services.masters import masters_used
from services.operating.status import ObservationStatus, status
from services.results.summary.notes import notes_on
from services.settings import as_environment
from tests.integration.command_line import tianyu
from tests.integration.small_night import FRAMES, Night
from tests.integration.test_reuse import assert_same, publish


@pytest.fixture(scope="module")
def flatless(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The night of which no flats were taken."""
    folder = tmp_path_factory.mktemp("flatless")
    shutil.copytree(raw, folder / "night", ignore=shutil.ignore_patterns("flat*"))
    night = Night.open(folder / "work")
    night.publish(folder / "night")
    night.work()
    night.sessions.kw["bind"].dispose()
    return night


@contextmanager
def saturated(raw: Path) -> Iterator[None]:
    """All flats are saturated, behind the back of their registration."""
    kept = {path: path.read_bytes() for path in raw.glob("flat*.fits")}
    assert kept
    for path in kept:
        with fits.open(path) as hdus:
            fits.writeto(path, np.full_like(hdus[0].data, 65535), hdus[0].header, overwrite=True)
    try:
        yield
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def blocked_night(raw: Path, workdir: Path, **settings: Any) -> Night:
    night = Night.open(workdir, **settings)
    night.publish(raw)
    with saturated(raw):
        night.work()
    return night


def state(night: Night) -> ObservationStatus:
    with night.sessions() as session:
        [found] = status(session, night.observation())
    return found


def retry(night: Night) -> None:
    with night.sessions.begin() as session:
        operating.retry(session, operating.pids_in(session, [FAILED], night.observation()))


def command(night: Night, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What a command says that is given to the night."""
    for name, value in as_environment(night.settings).items():
        monkeypatch.setenv(name, value)
    result = tianyu(*words)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def told(night: Night, number: int) -> bool:
    """Print its summary; whether its newest graph gave light curves."""
    [result] = results_of(night.sessions.kw["bind"], [number])
    show_results([result])
    return result.is_made


def assert_same_but_ids(night: Night, expected: Night) -> None:
    """Another graph found stars first, so that they have other ids; sums go in their order."""
    found, wanted = (
        np.array([(Path(path).name[-9:-5], *row) for _, path, *row in one.light_curves()], dtype=np.float64)
        for one in (night, expected)
    )
    found, wanted = (rows[np.lexsort(rows[:, [8, 2, 1, 0]].T)] for rows in (found, wanted))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_master_that_failed_stops_the_night_until_it_is_mended_or_left_out(
    each_ready_url: str,
    raw: Path,
    processed: Night,
    flatless: Night,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    night = blocked_night(raw, tmp_path / "work", database_url=SecretStr(each_ready_url))
    number, flats = night.observation(), night.observation("flat")
    found = state(night)
    assert night.states(found.graph_pid)["calibrate", SKIPPED] == FRAMES
    assert (found.end, found.light_curves) == (FAILED, False)
    [master] = found.failed_masters
    assert (master.kind, master.observation_id, master.status) == ("flat", flats, FAILED)
    said = master.says(number)
    assert "none of its 3 calibrate_flat processes succeeded (3 failed); frame " in said
    assert "every pixel of the frame is 65535" in said
    assert f"`tianyu retry --failed --observation {number}`" in said
    assert f"`tianyu publish {number} --without flat`" in said
    reference = next(failure for failure in found.failures if failure.command == "choose_reference")
    assert f"none of its {FRAMES} calibrate processes succeeded ({FRAMES} skipped); " in reference.error
    assert f"combine_flat {master.pid} failed: " in reference.error

    again = publish(night)
    assert again.processes == []
    assert any("master flat" in note and "--without flat" in note for note in again.notes)
    assert told(night, number) is False
    assert "--without flat" in capsys.readouterr().out.replace("\n", " ")

    accepting = night.having(without=("flat",))
    published = publish(accepting)
    assert any("without flat, by choice" in note for note in published.notes)
    ran = set(accepting.work())
    assert ran.isdisjoint({"stack_bias", "stack_dark", "calibrate_flat", "combine_flat"})
    assert_same(night, flatless)
    assert state(night).end == SUCCEEDED
    assert state(night).failed_masters == ()
    facts = night.facts()
    with night.sessions() as session:
        assert "calibrated without flat (left out by choice)" in notes_on(session, facts, 0)
        used = masters_used(session, facts.graph_pid)
    assert "; ".join(map(str, used)) == "bias used; dark used; flat none: left out by choice"
    assert told(night, number) is True

    # The flats are put back; the frames behind them come to life in another graph than theirs.
    retry(night)
    night.work()
    assert_same(night, flatless)  # what was accepted stays until somebody publishes
    publish(night)
    night.work()
    assert_same_but_ids(night, processed)
    facts = night.facts()
    with night.sessions() as session:
        assert not [note for note in notes_on(session, facts, 0) if "calibrated without" in note]
    night.sessions.kw["bind"].dispose()


def test_a_mended_master_gives_the_night_without_a_fault(
    raw: Path, processed: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = blocked_night(raw, tmp_path / "work")
    [found] = state(night).failed_masters
    words = re.search(r"`tianyu (retry [^`]*)`", found.says(night.observation()))
    assert words is not None
    said = command(night, monkeypatch, *words[1].split())
    assert "publish" not in said  # nothing went on without it
    night.work()
    assert_same(night, processed)


def test_the_commands_leave_masters_out_by_name(
    raw: Path, flatless: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = blocked_night(raw, tmp_path / "work")
    number = str(night.observation())
    assert "left out" not in command(night, monkeypatch, "publish", number)
    refused = tianyu("publish", number, "--without", "sky")
    assert refused.exit_code == 2
    said = command(night, monkeypatch, "publish", number, "--without", "flat", "--without", "flat")
    assert "going on without flat, by choice" in said
    night.work()
    assert_same(night, flatless)
    assert 'without ["flat"]' in command(night, monkeypatch, "status", number)
    source = str(night.light_curves()[0][0])
    exported = command(night, monkeypatch, "lightcurve", "--source", source, "--format", "ecsv")
    assert "flat none: left out by choice" in exported


def test_a_night_made_before_masters_were_required_is_not_made_again(processed: Night, tmp_path: Path) -> None:
    night = processed.copy(tmp_path / "work")
    _loosen_masters(night)
    assert publish(night).processes == []


def test_a_night_made_before_that_went_on_without_a_failed_master_is_no_result(
    processed: Night, tmp_path: Path
) -> None:
    night = processed.copy(tmp_path / "work")
    _loosen_masters(night)
    with night.sessions.begin() as session:
        flat = select(Image.image_id).where(Image.kind == "master_flat")
        [image_id] = session.scalars(flat).all()
        session.execute(delete(ImageParent).where(ImageParent.parent_id == image_id))
        session.execute(delete(ImageParent).where(ImageParent.image_id == image_id))
        session.execute(delete(Image).where(Image.image_id == image_id))
        failed = update(Process).where(Process.command == "combine_flat")
        session.execute(failed.values(status=FAILED, error_class="data", error="no flat"))
    published = publish(night)
    assert any("no flat" in note for note in published.notes)
    assert set(night.work()) == {"choose_reference", "select"}  # which say that there is nothing
    before = night.light_curves()
    accepting = night.having(without=("flat",))
    publish(accepting)
    accepting.work()
    assert night.light_curves() != before


def _loosen_masters(night: Night) -> None:
    """Dependencies on masters as they were when frames went on without one that failed."""
    masters = select(Process.pid).where(Process.command.in_(("stack_bias", "stack_dark", "combine_flat")))
    with night.sessions.begin() as session:
        edges = update(ProcessDependence).where(ProcessDependence.parent_pid.in_(masters))
        session.execute(edges.values(required=False))


@contextmanager
def sick_disk(monkeypatch: pytest.MonkeyPatch, calls: range) -> Iterator[None]:
    """Some of the calibrated images cannot be written."""
    real, count = LocalImageStore.write, iter(range(10_000))

    def write(self: LocalImageStore, path: str, *content: Any) -> int:
        if path.startswith("calibrated") and next(count) in calls:
            raise TransientError("the disk gives errors")
        return real(self, path, *content)

    with monkeypatch.context() as patched:
        patched.setattr(LocalImageStore, "write", write)
        yield


def test_what_has_no_input_fails_and_comes_back_with_it(
    raw: Path, processed: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night.open(tmp_path / "work")
    night.publish(raw)
    with sick_disk(monkeypatch, range(FRAMES)):
        night.work()
    failures = {failure.command: failure.error for failure in state(night).failures}
    assert set(failures) == {"calibrate", "choose_reference", "select"}
    assert f"none of its {FRAMES} calibrate processes succeeded ({FRAMES} failed); " in failures["choose_reference"]
    assert f"none of its {FRAMES} align processes succeeded ({FRAMES} skipped); " in failures["select"]
    assert "the disk gives errors" in failures["select"]
    assert "publish" not in command(night, monkeypatch, "retry", "--failed")
    night.work()
    assert_same(night, processed)


def test_retry_prints_what_makes_again_that_went_on_without(
    raw: Path, processed: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night.open(tmp_path / "work")
    night.publish(raw)
    with sick_disk(monkeypatch, range(1, 2)):
        night.work()
    assert len({row[1] for row in night.light_curves()}) == FRAMES - 1
    said = command(night, monkeypatch, "retry", "--failed")
    number = night.observation()
    assert said.count(f"observation {number}:") == 1
    printed = re.findall(r"`tianyu (publish [^`]*)`", said)
    assert printed == [f"publish {number}"]
    night.work()
    assert len({row[1] for row in night.light_curves() if row[5] is not None}) == FRAMES - 1
    command(night, monkeypatch, *shlex.split(printed[0]))
    night.work()
    assert_same_but_ids(night, processed)


def test_a_failure_that_was_run_again_counts_no_more(
    processed: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = processed.copy(tmp_path / "work")
    with night.sessions.begin() as session:
        session.execute(
            update(Process)
            .where(Process.command == "calibrate_relative")
            .values(status=FAILED, error_class="bug", error="a bug")
        )
        session.execute(update(Process).where(Process.command == "analyze").values(status=SKIPPED))
    methods = len(state(night).failures)
    assert methods == 2

    def failed() -> list[str]:
        facts = night.facts()
        with night.sessions() as session:
            return [note for note in notes_on(session, facts, 0) if "failed" in note]

    assert len(failed()) == 1
    night.rerun("calibrate_relative")
    night.work()
    assert failed() == []
    found = state(night)
    assert (found.failures, found.count(FAILED, SKIPPED), found.end) == ((), 0, SUCCEEDED)
    monkeypatch.setenv("TIANYU_DATABASE_URL", night.settings.database_url.get_secret_value())
    result = tianyu("retry", "--failed")
    assert (result.exit_code, "0 processes" in result.output) == (1, True)
