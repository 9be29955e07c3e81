"""Of a live night only what came since is laid out: the same light curves, and all again when something changed."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.image import TEMPLATE, Image
from schema.observing import Observation
from schema.photometry import RelativeCalibration
from schema.processes import SUCCEEDED, ProcessDependence
from services.engine.publisher.appending import Calibration
from services.engine.publisher.growing import Standing
from services.engine.publisher.live import LivePublisher
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.ingest.raw_folder import read_folder
from services.ingest.register import register
from tests.integration.small_night import Night
from tests.integration.test_appending import APPENDED, LATER, OF_FRAMES, begun, curves, raw

__all__ = ["begun", "raw"]  # fixtures
CALIBRATION = {"calibrate_relative": 2, "analyze": 2}


class Live:
    """A night whose frames come one by one; with ``remembers`` what was published tells what came since."""

    def __init__(self, night: Night, raw: Path, *, remembers: bool = True) -> None:
        self.night, self.raw, self.remembers = night, raw, remembers
        self.standing: Standing | None = None

    def publish(self, number: int | None = None, how: Calibration = Calibration.LATER) -> Publication:
        """Frames of a folder, or nothing new."""
        night, observation = self.night, self.night.observation()
        with night.sessions.begin() as session:
            if number is not None:
                register(
                    session, read_folder(self.raw / str(number)), site=night.settings.site, root=night.settings.root
                )
            publisher = LivePublisher(session, night.settings, how, self.standing if self.remembers else None)
            published = publisher.publish(observation)
        self.standing = publisher.standing
        return published

    def waited_for(self, command: str) -> list[int]:
        """Of how many processes each of a command waits, in order."""
        query = select(ProcessDependence.child_pid).order_by(ProcessDependence.child_pid)
        with self.night.sessions() as session:
            children = session.scalars(query.where(ProcessDependence.child_pid.in_(self.pids(command))))
            return list(Counter(children).values())

    def pids(self, command: str) -> list[int]:
        return [pid for (pid,) in self.night.rows("SELECT pid FROM process WHERE command = :c ORDER BY pid", c=command)]


@pytest.fixture
def live(begun: Night, raw: Path, tmp_path: Path) -> Live:
    return Live(begun.copy(tmp_path / "live", aperture_radii=(3.5, 6.0)), raw)


@pytest.fixture
def laid_out_whole(begun: Night, raw: Path, tmp_path: Path) -> Live:
    return Live(begun.copy(tmp_path / "whole", aperture_radii=(3.5, 6.0)), raw, remembers=False)


def test_what_came_since_gives_the_same_light_curves(live: Live, laid_out_whole: Live) -> None:
    for number in range(1, LATER + 1):
        for one in (live, laid_out_whole):
            assert one.publish(number).runs() == OF_FRAMES | APPENDED
            assert Counter(one.night.work()) == OF_FRAMES | APPENDED
    assert curves(live.night) == curves(laid_out_whole.night)  # to the bit
    for one in (live, laid_out_whole):
        assert one.publish().processes == []
        assert {state for _, state in one.night.states(one.night.facts().graph_pid)} == {SUCCEEDED}
    # The first portion looked at all; behind it each waits for the one before, a frame that succeeded, and its own.
    assert laid_out_whole.waited_for("select")[-LATER:] == [10, 11, 12]
    assert live.waited_for("select")[-LATER:] == [10, 3, 3]
    # Which of its frames they looked at no key tells.
    again = {"select": 1, "place_frames": 1}
    assert live.publish(how=Calibration.WHOLE).runs() == laid_out_whole.publish(how=Calibration.WHOLE).runs() + Counter(
        again
    )


def test_a_calibration_of_all_frames_behind_them_knows_each(live: Live, laid_out_whole: Live) -> None:
    for one in (live, laid_out_whole):
        one.publish(1)
        one.publish(2)
        one.night.work()
        behind = one.publish(3, Calibration.BEHIND)
        assert behind.runs() == OF_FRAMES | APPENDED | CALIBRATION
        one.night.work()
        assert one.publish().processes == []
    assert curves(live.night) == curves(laid_out_whole.night)
    assert live.waited_for("calibrate_relative")[-1] == laid_out_whole.waited_for("calibrate_relative")[-1]


def test_frames_of_a_portion_that_failed_hold_up_no_later_ones(live: Live) -> None:
    live.publish(1)
    first = live.night.work()
    [frame] = (live.raw / "2").glob("*.fits")
    bad = live.night.settings.root / "bad"
    bad.mkdir()
    content = frame.read_bytes()
    (bad / frame.name).write_bytes(content[:5760] + bytes(len(content) - 5760))  # all pixels are one number
    with live.night.sessions.begin() as session:
        register(session, read_folder(bad), site=live.night.settings.site, root=live.night.settings.root)
    live.publish()
    live.night.work()
    live.publish(3)
    assert Counter(live.night.work()) == Counter(first)
    assert len(live.pids("append_relative")) == 2 * 3
    assert all(
        state == SUCCEEDED for command, state in live.night.states(live.night.facts().graph_pid) if "rel" in command
    )


def test_what_is_calibrated_whole_is_laid_out_whole(live: Live) -> None:
    live.publish(1)
    live.night.work()
    with live.night.sessions.begin() as session:  # as of a poor field
        session.execute(update(RelativeCalibration).values(takes_later=None))
    published = live.publish(2)
    assert published.runs() == OF_FRAMES | {"select": 1, "place_frames": 1} | CALIBRATION
    assert all(process.result_key for process in published.processes)
    live.night.work()
    assert live.publish(how=Calibration.WHOLE).processes == []


def other_choices(live: Live, session: Session) -> None:
    live.night.settings = live.night.settings.model_copy(update={"catalog_mag_limit": 15.0})


def other_scale(live: Live, session: Session) -> None:
    session.execute(update(Observation).values(pixel_scale_arcsec=0.77))


def deleted_template(live: Live, session: Session) -> None:
    session.execute(update(Image).where(Image.kind == TEMPLATE).values(deleted_at=utc_now()))


def published_by_another(live: Live, session: Session) -> None:
    Publisher(session, live.night.settings).publish(
        session.scalars(select(func.max(Observation.observation_id))).one(), again=True
    )


@pytest.mark.parametrize("change", [other_choices, other_scale, deleted_template, published_by_another])
def test_all_is_looked_at_again_where_something_else_changed(live: Live, change: Any) -> None:
    live.publish(1)
    live.night.work()
    frames = live.standing.frames if live.standing else frozenset()
    assert live.standing is not None
    number = live.night.observation()
    with live.night.sessions() as session:
        text = live.night.settings.choices.text()
        assert live.standing.holds(session, number, text, frames)
        assert not live.standing.holds(session, number, text, set(frames) - {min(frames)})
    with live.night.sessions.begin() as session:
        change(live, session)
    with live.night.sessions() as session:
        text = live.night.settings.choices.text()
        assert not live.standing.holds(session, number, text, frames)
