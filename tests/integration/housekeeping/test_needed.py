"""What may go and what somebody may still ask for, on every engine."""

import pytest

from schema.image import (
    CALIBRATED,
    DEBIASED_FLAT,
    MASTER_BIAS,
    MASTER_FLAT,
    PACKED,
    PARTIAL_BIAS,
    PARTIAL_DARK,
    STACKED,
    TEMPLATE,
)
from schema.observing import Observation
from schema.processes import CANCELLED, FAILED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, WAITING
from schema.queries import images
from schema.queries.housekeeping import Policy
from services.operating.housekeeping.image_kinds import MADE
from tests.integration.housekeeping.house import ALL, ELSEWHERE, NOTHING, PARTIALS, House

OLD, NEW, NEWEST = 1000, 2000, 3000  # PIDs of graphs


def with_each_kind(house: House, graph: int = OLD) -> tuple[int, dict[str, str]]:
    observation = house.observation(graph)
    paths = {
        kind: house.image(graph + number, observation, kind, graph=graph) for number, kind in enumerate(MADE.derived)
    }
    return observation, paths


@pytest.mark.parametrize(
    ("policy", "going"),
    [
        (NOTHING, set()),
        (PARTIALS, {PARTIAL_BIAS, PARTIAL_DARK, DEBIASED_FLAT, STACKED, PACKED}),
        (ALL, {PARTIAL_BIAS, PARTIAL_DARK, DEBIASED_FLAT, STACKED, PACKED, CALIBRATED}),
    ],
)
def test_the_policy_names_the_kinds_that_go_of_the_current_graph(house: House, policy: Policy, going: set[str]) -> None:
    _, paths = with_each_kind(house)
    removed = house.collect(policy).removed
    assert {item.kind for item in removed} == going
    assert {(item.what, item.files, item.size_bytes) for item in removed} <= {("unneeded", 1, 100)}
    left = {paths[kind] for kind in MADE.derived if kind not in going}
    assert house.there() == left
    assert house.live() == left


@pytest.mark.parametrize("status", [WAITING, QUEUED, RUNNING, FAILED, CANCELLED, SKIPPED])
def test_what_a_process_that_may_run_depends_on_stays_until_it_has_succeeded(house: House, status: str) -> None:
    observation = house.observation(1)
    path = house.image(1, observation)
    house.process(2, observation, 1)
    house.process(3, observation, 1, status=status)
    assert house.collect().removed == []
    assert house.there() == house.live() == {path}
    house.set_status(3, SUCCEEDED)
    assert [item.files for item in house.collect().removed] == [1]
    assert house.there() == house.live() == set()


def test_a_master_of_an_older_graph_stays_while_another_observation_may_be_made_from_it(house: House) -> None:
    bias = house.observation(NEW, "bias")
    path = house.image(OLD, bias, MASTER_BIAS, graph=OLD)
    newer = house.image(NEW, bias, MASTER_BIAS, graph=NEW)
    light = house.observation(NEW + 500)
    house.process(NEW + 500, light, OLD, graph=NEW + 500)  # its graph counts, so a rerun would ask for the master
    assert house.collect().removed == []
    house.process(NEWEST, light, NEW, graph=NEWEST)
    house.image(NEWEST + 1, light, TEMPLATE, graph=NEWEST)
    _views_show(house, light, NEWEST)
    house.set_status(NEW + 500, FAILED)  # of a graph that was replaced, but an operator may retry it
    assert house.collect().removed == []
    house.set_status(NEW + 500, SUCCEEDED)
    assert {(item.kind, item.files) for item in house.collect().removed} == {(MASTER_BIAS, 1)}
    assert path not in house.there()
    assert newer in house.there()


def test_the_reference_stays_while_a_frame_may_still_be_aligned_to_it(house: House) -> None:
    observation = house.observation(1)
    chosen = 10
    house.process(chosen, observation)
    reference = house.image(1, observation, reference=chosen)
    house.image(2, observation)
    house.process(11, observation, 2, chosen)
    house.process(12, observation, chosen, status=SKIPPED)  # `align` of a frame that could not be calibrated
    assert [item.files for item in house.collect().removed] == [1]
    assert house.there() == {reference}
    house.set_status(12, SUCCEEDED)
    assert house.collect().removed == []  # frames may come later
    house.process(NEW, observation, graph=NEW)
    template = house.image(NEW + 1, observation, TEMPLATE, graph=NEW)
    _views_show(house, observation, NEW)
    house.set_status(12, SKIPPED)  # of a graph that was replaced, but an operator may retry it
    assert house.collect().removed == []
    house.set_status(12, SUCCEEDED)
    assert [item.files for item in house.collect().removed] == [1]
    assert house.there() == {template}


def test_all_of_a_replaced_graph_goes_whatever_the_policy_keeps(house: House) -> None:
    observation, old = with_each_kind(house)
    new = {kind: house.image(NEW + i, observation, kind, graph=NEW) for i, kind in enumerate(MADE.derived)}
    _views_show(house, observation, NEW)
    removed = house.collect(NOTHING).removed
    assert {item.kind for item in removed} == set(MADE.derived)
    assert house.there() == house.live() == set(new.values())
    assert not set(old.values()) & house.there()


def test_a_graph_is_not_replaced_before_the_new_one_has_a_result(house: House) -> None:
    """The graph of bias frames stands for them as soon as it is published; it may fail."""
    bias = house.observation(NEW, "bias")
    path = house.image(OLD, bias, MASTER_BIAS, graph=OLD)
    house.process(NEW, bias, graph=NEW, status=FAILED)
    assert house.collect().removed == []
    assert house.there() == {path}


def test_a_graph_that_is_still_in_the_making_keeps_its_results(house: House) -> None:
    """`detect` has used its template, and the views still show the graph before."""
    observation = house.observation(OLD)
    house.image(OLD, observation, TEMPLATE, graph=OLD)
    house.image(NEW, observation, TEMPLATE, graph=NEW)
    house.process(NEW + 1, observation, NEW, graph=NEW)
    assert house.collect().removed == []


def test_a_file_that_a_rerun_took_over_goes_when_no_row_needs_it(house: House) -> None:
    observation = house.observation(NEW)
    shared = house.image(OLD, observation, graph=OLD)
    house.image(NEW, observation, path=shared, graph=NEW)
    house.image(NEW + 1, observation, TEMPLATE, graph=NEW)
    house.process(NEW + 2, observation, NEW, graph=NEW, status=WAITING)
    assert house.collect().removed == []
    assert shared in house.live()
    house.set_status(NEW + 2, SUCCEEDED)
    assert house.collect(PARTIALS).removed == []  # the new graph keeps its calibrated images, so the file stays
    [removed] = house.collect().removed
    assert (removed.kind, removed.files) == (CALIBRATED, 1)
    assert shared not in house.there() | house.live()


def test_frames_are_never_touched_wherever_they_lie(house: House) -> None:
    observation = house.observation(1)
    house.image(1, observation, MASTER_FLAT)
    with house.sessions.begin() as session:
        for path in (f"light/{observation}/5.fits", f"calibrated/{observation}/6.fits"):
            images.add_image(session, kind="light", site_id=1, path=path, observation_id=observation)
            house.file(path, age_s=1e6)
    house.process(6, observation)
    before = house.there()
    assert house.collect().removed == []
    assert house.there() == before


def test_another_sites_images_are_left_alone(house: House) -> None:
    observation = house.observation(1)
    path = house.image(1, observation, STACKED, site=ELSEWHERE)
    house.file(path, age_s=1e6)
    assert house.collect().removed == []
    assert house.there() == house.live() == {path}


def test_young_images_stay_when_only_old_ones_shall_go(house: House) -> None:
    observation = house.observation(1)
    old = house.image(1, observation, STACKED, days=31)
    young = house.image(2, observation, STACKED, days=29)
    policy = Policy(MADE, PARTIALS.kinds, 30 * 86_400.0)
    assert [item.files for item in house.collect(policy).removed] == [1]
    assert house.there() == house.live() == {young}
    assert old not in house.there()


def test_one_observation_can_be_named(house: House) -> None:
    first, second = house.observation(1), house.observation(2)
    house.image(1, first, STACKED)
    kept = house.image(2, second, STACKED, graph=2)
    assert [item.observation_id for item in house.collect(ALL, first).removed] == [first]
    assert house.there() == {kept}


def test_what_was_deleted_keeps_the_time_at_which_it_was(house: House) -> None:
    observation = house.observation(1)
    house.image(1, observation, STACKED)
    house.collect()
    with house.sessions.begin() as session:
        image = images.by_pid(session, 1)
        assert image is not None
        assert image.deleted_at is not None
        first = image.deleted_at
    assert house.collect().removed == []
    with house.sessions() as session:
        image = images.by_pid(session, 1)
        assert image is not None
        assert image.deleted_at == first


def _views_show(house: House, observation: int, graph: int) -> None:
    with house.sessions.begin() as session:
        session.get_one(Observation, observation).graph_pid = graph
