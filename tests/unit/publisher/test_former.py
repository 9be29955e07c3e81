"""Which results of an earlier graph stand for processes of a new one."""

from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from schema.image import CALIBRATED, TEMPLATE, Image, ImageParent
from schema.processes import CANCELLED, FAILED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, WAITING, Process
from schema.queries import spans
from schema.queries.outdated import OUTDATED
from services.engine.publisher.publication import Publication
from tests.unit.publisher.made_up import Telescope
from tests.unit.services.made_up import BEGAN

FRAMES = 4
BEFORE = {
    "calibrate",
    "choose_reference",
    "align",
    "select",
    "stack",
    "solve",
    "detect",
}  # what apertures do not concern
OTHER: dict[str, Any] = {"aperture_radii": (2.0,)}


@pytest.fixture
def telescope(tmp_path: Path) -> Telescope:
    made = Telescope(tmp_path)
    made.publish(made.observe(frames=FRAMES))
    made.succeed()
    return made


def change(telescope: Telescope, command: str, first: int | None = None, **values: Any) -> None:
    """Change the rows of a command's processes, or of the ``first`` of them."""
    with telescope.sessions.begin() as session:
        pids = session.scalars(select(Process.pid).where(Process.command == command).order_by(Process.pid)).all()
        session.execute(update(Process).where(Process.pid.in_(pids[:first])).values(**values))


def publish(telescope: Telescope, **choices: Any) -> Publication:
    telescope.settings = telescope.settings.model_copy(update=choices)
    return telescope.publish(1)


def reused(publication: Publication) -> set[str]:
    return set(publication.reused)


def assert_closed(telescope: Telescope, publication: Publication) -> None:
    """What is taken over needs of its own graph only what is, and comes from one graph."""
    from services.engine.publisher.keys import needed

    own = {process.pid for process in publication.processes}
    taken = set(publication.taken_over.values())
    for process in publication.processes:
        if process.pid in taken:
            assert needed(process) & own <= taken
    with telescope.sessions() as session:
        origins = select(Process.graph_pid).where(Process.pid.in_(publication.taken_over)).distinct()
        assert len(session.scalars(origins).all()) <= 1


def test_what_is_not_concerned_is_taken_over(telescope: Telescope) -> None:
    published = publish(telescope, **OTHER)
    assert reused(published) == BEFORE
    assert_closed(telescope, published)


@pytest.mark.parametrize("state", [WAITING, QUEUED, RUNNING, FAILED, CANCELLED])
@pytest.mark.parametrize(
    ("command", "kept"), [("align", {"calibrate", "choose_reference", "align"}), ("detect", BEFORE)]
)
def test_what_did_not_succeed_is_computed_with_all_that_needs_it(
    telescope: Telescope, state: str, command: str, kept: Collection[str]
) -> None:
    change(telescope, command, 1, status=state, error_class="transient" if state == FAILED else None)
    published = publish(telescope, **OTHER)
    assert reused(published) == set(kept) - ({"detect"} if command == "detect" else set())
    assert published.reused["align"] == FRAMES - (command == "align")
    assert_closed(telescope, published)


def test_a_frame_that_is_no_good_is_a_result(telescope: Telescope) -> None:
    change(telescope, "calibrate", 1, status=FAILED, error_class="data", error="torn")
    change(telescope, "align", 1, status=SKIPPED)
    published = publish(telescope, **OTHER)
    assert reused(published) == BEFORE
    assert_closed(telescope, published)
    with telescope.sessions() as session:
        states = session.scalars(
            select(Process.status).where(Process.graph_pid == published.graph_pid, Process.origin_pid.is_not(None))
        ).all()
    assert (states.count(FAILED), states.count(SKIPPED)) == (1, 1)
    assert states.count(SUCCEEDED) == len(states) - 2
    with telescope.sessions() as session:
        measured = session.scalars(
            select(Process).where(Process.graph_pid == published.graph_pid, Process.command == "extract")
        ).all()
    # What requires it is skipped from the start, and what is taken over needs not be waited for.
    assert Counter(one.status for one in measured) == {SKIPPED: 1, WAITING: FRAMES - 1}
    assert {one.pending for one in measured} == {0}


@pytest.fixture(params=[spans.LONG, 1])
def by_ranges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are asked for one by one, as in small graphs, and by ranges, as in large ones."""
    monkeypatch.setattr(spans, "LONG", request.param)


@pytest.mark.usefixtures("by_ranges")
def test_what_went_on_before_something_ended_again_is_outdated(telescope: Telescope) -> None:
    change(telescope, "calibrate", 1, finished_at=BEGAN + timedelta(minutes=1))
    with telescope.sessions() as session:
        outdated = session.scalars(OUTDATED).all()
        commands = set(session.scalars(select(Process.command).where(Process.pid.in_(outdated))))
    assert commands == {"align", "choose_reference", "extract", "stack"}
    published = publish(telescope)
    assert reused(published) == {"calibrate"}
    assert published.reused["calibrate"] == FRAMES
    assert_closed(telescope, published)


@pytest.mark.usefixtures("by_ranges")
@pytest.mark.parametrize("bias_frames", [5, 10])  # trees of two levels, and of three
def test_what_used_a_master_that_lacks_a_frame_is_outdated_too(tmp_path: Path, bias_frames: int) -> None:
    telescope = Telescope(tmp_path)
    telescope.observe("bias", frames=bias_frames)
    lights = telescope.observe(frames=FRAMES)
    telescope.publish(lights)
    telescope.succeed()
    assert telescope.publish(lights).processes == []
    change(telescope, "stack_bias", 1, finished_at=BEGAN + timedelta(minutes=1))  # a branch that was tried again
    published = telescope.publish(lights)
    commands = Counter(process.command for process in published.processes)
    assert commands["stack_bias"] - published.reused["stack_bias"] >= 1
    assert (commands["calibrate"], published.reused["calibrate"]) == (FRAMES, 0)


def test_of_several_graphs_the_one_that_saves_most_is_taken(telescope: Telescope) -> None:
    first = telescope.publish(1).graph_pid
    second = publish(telescope, detection_threshold=9.0).graph_pid
    telescope.succeed()
    for choices, graph in (({"detection_threshold": 5.0, **OTHER}, first), ({"detection_threshold": 9.0}, second)):
        published = publish(telescope, **choices)
        with telescope.sessions() as session:
            assert {session.get_one(Process, pid).graph_pid for pid in published.taken_over} == {graph}


def test_what_only_joins_a_graph_joins_while_it_is_at_work(tmp_path: Path) -> None:
    telescope = Telescope(tmp_path)
    graph = telescope.publish(telescope.observe(frames=FRAMES)).graph_pid
    published = publish(telescope, detrend_method="tfa")
    assert published.graph_pid == graph
    assert [process.command for process in published.processes] == ["detrend"]
    assert publish(telescope).processes == []


@pytest.mark.usefixtures("by_ranges")
def test_images_taken_over_were_made_from_the_frames_and_from_each_other(telescope: Telescope) -> None:
    with telescope.sessions.begin() as session:
        frame = session.scalars(select(Image.image_id).where(Image.pid.is_(None))).first()
        calibrated = session.scalars(select(Image.image_id).where(Image.kind == CALIBRATED)).all()
        template = session.scalars(select(Image.image_id).where(Image.kind == TEMPLATE)).one()
        edges = [*((image, frame) for image in calibrated), *((template, image) for image in calibrated)]
        session.execute(insert(ImageParent), [{"image_id": image, "parent_id": made} for image, made in edges])
    published = publish(telescope, **OTHER)
    with telescope.sessions() as session:
        new = dict(
            session.execute(select(Image.image_id, Image.kind).where(Image.graph_pid == published.graph_pid)).all()
        )
        lineage = session.execute(
            select(ImageParent.image_id, ImageParent.parent_id).where(ImageParent.image_id.in_(new))
        ).all()
    assert len(lineage) == 2 * FRAMES
    for image, made in lineage:
        assert made == frame if new[image] == CALIBRATED else new[made] == CALIBRATED
