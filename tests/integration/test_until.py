"""A night that is taken up to a step and on from there: nothing is made twice, and the numbers are the same."""

from collections import Counter
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from services.choices import Choices
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.engine.publisher.stopped import stopped_before
from services.errors import ConfigurationError
from services.ingest.raw_folder import read_folder
from services.operating.modes import Modes
from services.operating.night_outcome import is_success
from services.operating.reduction import publish as publish_folder
from services.operating.status import ObservationStatus, status
from services.setup import open_engine
from tests.integration.small_night import FRAMES, Night

BEFORE_DETECT = {"calibrate", "choose_reference", "align", "select", "stack", "solve"}


def take(night: Night, raw: Path, **modes: Any) -> Counter[str]:
    """As `tianyu run` does; returns what ran."""
    refused: list[str] = []
    publish_folder(
        open_engine(night.settings), night.settings, read_folder(raw), lambda _: None, refused.append, Modes(**modes)
    )
    assert not refused
    return Counter(night.work())


def publish(night: Night, **more: Any) -> Publication:
    number = night.observation()
    with night.sessions.begin() as session:
        return Publisher(session, night.settings).publish(number, **more)


def state(night: Night) -> ObservationStatus:
    with night.sessions() as session:
        return status(session, night.observation())[0]


def waiting(night: Night) -> Counter[str]:
    return Counter(row[0] for row in night.rows("SELECT command FROM process WHERE status = 'waiting'"))


def test_step_by_step_gives_the_same_and_makes_nothing_twice(raw: Path, tmp_path: Path, processed: Night) -> None:
    night = Night.open(tmp_path / "work")
    ran = take(night.having(until_step="combine_flat"), raw)
    assert ran["combine_flat"] == 1
    assert not ran["calibrate"]
    ran = take(night.having(until_step="calibrate"), raw)
    assert ran == {"calibrate": FRAMES}
    ran = take(night.having(until_step="detect"), raw)
    assert set(ran) == {"choose_reference", "align", "select", "stack", "solve", "detect"}
    stopped = state(night)
    assert stopped.stopped_after == "detect"
    assert stopped.end == "succeeded"
    assert not stopped.light_curves
    assert is_success([stopped], Choices(until_step="detect"), strict=True)
    assert not is_success([stopped], Choices(), strict=True), "light curves were asked for"
    ran = take(night, raw)
    assert ran["extract"] == FRAMES
    assert not BEFORE_DETECT & set(ran)
    assert state(night).stopped_after is None
    assert night.facts().graph_pid == stopped.graph_pid, "one graph, as one that was published at once"
    assert night.light_curves() == processed.light_curves()
    with night.sessions() as session:
        assert stopped_before(session, night.settings.site, night.settings.choices) == []
    assert not take(night, raw)


def test_what_is_at_work_goes_on_too(raw: Path, tmp_path: Path, processed: Night) -> None:
    night = Night.open(tmp_path / "work", until_step="align")
    publish_folder(open_engine(night.settings), night.settings, read_folder(raw), print, print)
    assert waiting(night)["align"] == FRAMES
    assert not waiting(night)["select"]
    whole = night.having(until_step=None)
    ran = take(whole, raw)
    assert ran["calibrate"] == ran["extract"] == FRAMES
    assert len(whole.rows("SELECT DISTINCT graph_pid FROM process WHERE command = 'calibrate'")) == 1
    assert whole.light_curves() == processed.light_curves()


def test_going_on_by_other_choices_gives_what_these_give(raw: Path, tmp_path: Path, processed: Night) -> None:
    """Apertures stand in the graph from `detect` on, though `extract` alone goes by them."""
    night = Night.open(tmp_path / "work", until_step="detect")
    take(night, raw)
    other = {"aperture_radii": (2.5, 6.0)}
    ran = take(night.having(until_step=None, **other), raw)
    assert ran["extract"] == FRAMES
    assert not BEFORE_DETECT & set(ran)
    at_once = processed.copy(tmp_path / "other")
    publish(at_once.having(**other))
    at_once.work()
    assert night.light_curves() == at_once.light_curves()


def test_files_that_are_gone_are_made_again(raw: Path, tmp_path: Path, processed: Night) -> None:
    night = Night.open(tmp_path / "work", until_step="detect")
    take(night, raw)
    with night.sessions.begin() as session:
        session.execute(text("UPDATE image SET deleted_at = CURRENT_TIMESTAMP WHERE kind = 'calibrated'"))
    ran = take(night.having(until_step=None), raw)
    assert ran["calibrate"] == ran["extract"] == FRAMES
    assert night.light_curves() == processed.light_curves()


def test_frames_that_came_since_are_measured_on_the_template(raw: Path, tmp_path: Path) -> None:
    early = Path(copytree(raw, tmp_path / "raw", ignore=ignore_patterns("Sim*R_0008.fits")))
    [late] = raw.rglob("Sim*R_0008.fits")
    night = Night.open(tmp_path / "work", until_step="detect")
    assert take(night, early)["calibrate"] == FRAMES - 1
    copy(late, early / late.relative_to(raw))
    assert take(night, early)["calibrate"] == 1, "and it is aligned with the template's stars"
    ran = take(night.having(until_step=None), early)
    assert ran["extract"] == FRAMES
    assert not {"calibrate", "stack", "detect"} & set(ran)


def test_one_step_alone(processed: Night, tmp_path: Path) -> None:
    night = processed.copy(tmp_path / "work")
    before = night.light_curves()
    other = night.having(until_step="extract", aperture_radii=(2.5, 6.0))
    with pytest.raises(ConfigurationError, match=r"extract cannot run alone.*solve \(1\), detect \(1\).*8\.0"):
        publish(other.having(detection_threshold=8.0), only=True)
    assert publish(other, only=True).runs() == {"extract": FRAMES}
    assert set(night.work()) == {"extract"}
    assert night.light_curves() == before, "until there are new ones"
    assert state(night).stopped_after == "extract"
    assert state(night).light_curves
    publish(night.having(aperture_radii=(2.5, 6.0)))
    assert "extract" not in night.work()
    assert night.light_curves() != before


def test_a_part_is_run_again_up_to_a_step(processed: Night, tmp_path: Path) -> None:
    night = processed.copy(tmp_path / "work", until_step="align")
    night.rerun("choose_reference")
    assert set(night.work()) == {"choose_reference", "align"}
    assert state(night).stopped_after == "align"


def test_steps_have_names(processed: Night) -> None:
    with pytest.raises(ConfigurationError, match=r"no step 'photometry': the steps are stack_bias.*extract"):
        publish(processed.having(until_step="photometry"))


def test_every_database_goes_on(each_ready_url: str, raw: Path, tmp_path: Path) -> None:
    night = Night.open(tmp_path / "work", database_url=SecretStr(each_ready_url), until_step="stack_dark")
    assert take(night, raw) == {"stack_bias": 1, "stack_dark": 1}
    graphs = []
    for until in ("calibrate", "detect", None):
        graphs.append(publish(night.having(until_step=until)).graph_pid)
        with night.sessions() as session:
            assert stopped_before(session, night.settings.site, Choices(until_step=until)) == []
    assert len(set(graphs)) == 1
    assert waiting(night)["calibrate"] == waiting(night)["extract"] == FRAMES
    night.sessions.kw["bind"].dispose()
