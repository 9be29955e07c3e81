"""The facts of steps fit together."""

from collections import Counter

import pytest

from schema.found import OF_CALIBRATED
from services.choices import Choices
from services.steps import COMMANDS, ORDER, STEPS, from_on
from services.steps.shared.needs import KNOWN, Each, Need
from services.steps.shared.step import AnyStep

NEEDS = [(step, need) for step in ORDER for need in step.needs]


def name_of(value: object) -> str:
    return "+".join(value.commands) if isinstance(value, Need) else getattr(value, "command", str(value))


@pytest.mark.parametrize(("step", "need"), NEEDS, ids=name_of)
def test_needs_are_made_before_and_told_in_parameters_that_there_are(step: AnyStep, need: Need) -> None:
    if need.template != KNOWN:  # whose template is there already
        earlier = COMMANDS[: COMMANDS.index(step.command)]
        assert set(need.commands) & set(earlier)
        assert step.knows_former or set(need.commands) <= set(earlier)
    assert set(need.commands) <= set(COMMANDS)
    assert {need.into, need.all_into} - {None} <= set(step.parameters.model_fields)
    assert need.into is None or need.all_into is None


@pytest.mark.parametrize("step", [step for step in ORDER if step.each.item], ids=name_of)
def test_a_process_tells_its_frame_or_method(step: AnyStep) -> None:
    own = [need for need in step.needs if need.into and step.goes_with(STEPS[need.commands[0]])]
    assert own or str(step.each.item) in step.parameters.model_fields


def test_what_follows_a_step_that_joins_a_graph_joins_it_too() -> None:
    for step in ORDER:
        assert not step.joins or all(other.joins for other in from_on(step))


def test_an_image_has_one_maker_and_is_opened_behind_it() -> None:
    makers = Counter(kind for step in ORDER for kind in (*step.makes, *step.partial))
    assert set(makers.values()) == {1}
    for step in ORDER:
        for kind in step.opens:
            makers_of = [one for one in ORDER if kind in (*one.makes, *one.partial)]
            assert all(ORDER.index(maker) <= ORDER.index(step) for maker in makers_of)
            assert all(maker is not step or step.each is Each.TREE for maker in makers_of)


def test_choices_that_are_read_are_there() -> None:
    assert {name for step in ORDER for name in step.reads} <= set(Choices.model_fields)


def test_what_one_step_passes_on_a_later_one_reads() -> None:
    for step in ORDER:
        read_later = {name for other in ORDER[ORDER.index(step) + 1 :] for name in other.reads}
        assert set(step.passes_on) <= read_later
        assert not set(step.passes_on) & set(step.reads)


def test_what_reads_only_a_choice_is_told_of_it_and_makes_rows_of_images() -> None:
    reading = [step for step in ORDER if step.read_of]
    assert reading
    for step in reading:
        assert set(step.read_of) <= {need.into for need in step.needs}
        assert all(need.into for need in step.needs)  # it reads nothing that its parameters do not tell
        assert not {*step.makes, *step.partial}
        assert step.tables
        assert set(step.tables) <= set(OF_CALIBRATED)


def test_what_the_choices_can_leave_out_says_so_in_words() -> None:
    for step in ORDER:
        assert step.gives
        assert step.version >= 1
        assert step.unwanted is None or step.wanted is not None
