"""What a slot does about each event: no thread, no clock, no database."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from schema.attempts import Claim, Failure, Usage
from services.engine.broker import Delivery, Message
from services.engine.consumer.limits import LOOK_EVERY_S, Limits
from services.engine.consumer.messages import Died, Ready, Report, Saving
from services.engine.consumer.slot_actions import (
    Action,
    AwaitLastWord,
    Drop,
    Forget,
    HandOn,
    NoteSuccess,
    RecordFailure,
    Reject,
    Renew,
    RestartWorker,
    Settle,
    Submit,
    SubmitNext,
    Tell,
    TryClaim,
)
from services.engine.consumer.slot_events import (
    Claimed,
    Duplicate,
    Event,
    Given,
    LeaseLost,
    Leave,
    Looked,
    Misdirected,
    Recalled,
    Refused,
    Silent,
)
from services.engine.consumer.slot_state import NOTHING_USED, PATIENCE_S, PIPE_CHARACTERS, SHORT_S, SlotState

RENEWAL_S = 20.0
USAGE = Usage(seconds=1.0)
LIMITS = {"slow": Limits(5.0, None), "large": Limits(None, 1000), "free": Limits(None, None)}
MESSAGES = {pid: Delivery("tianyu.here.cpu", Message(pid, 1), pid) for pid in range(1, 5)}
KILLED = Died("the worker process was ended by SIGKILL", at_work=True)


def claim_of(pid: int, command: str = "free") -> Claim:
    return Claim(pid, 1, 3, command, "{}", 1, None, 1)


CLAIMS = {pid: claim_of(pid) for pid in MESSAGES}


@pytest.fixture
def slot() -> SlotState:
    return SlotState(LIMITS.__getitem__, RENEWAL_S)


def play(slot: SlotState, events: Iterable[Event], now: float = 0.0) -> list[Action]:
    """The actions of the last event."""
    actions: list[Action] = []
    for event in events:
        actions = slot.on(event, now)
    return actions


def begin(pid: int, command: str = "free") -> list[Event]:
    return [Given(MESSAGES[pid]), Claimed(MESSAGES[pid], claim_of(pid, command))]


def test_what_has_not_begun_is_forgotten_with_its_connection_and_what_has_goes_on(slot: SlotState) -> None:
    play(slot, [*begin(1), Given(MESSAGES[2]), Given(MESSAGES[3])])
    assert slot.on(Recalled(), 1.0) == [Forget(MESSAGES[2]), Forget(MESSAGES[3])]
    assert slot.held == [CLAIMS[1]]
    assert slot.on(Saving(), 1.0) == [Settle(MESSAGES[1])]  # and no other is claimed
    assert slot.on(Given(MESSAGES[2]), 1.0) == [TryClaim(MESSAGES[2])]


def hold_two(slot: SlotState) -> None:
    """Process 1 took a second and sits in its commit, process 2 waits for it in the pipe."""
    play(slot, begin(1), -1.0)
    play(slot, [Saving(), *begin(2)], 0.0)


def test_a_delivery_is_claimed_and_handed_to_the_worker(slot: SlotState) -> None:
    assert slot.on(Given(MESSAGES[1]), 0.0) == [TryClaim(MESSAGES[1])]
    assert slot.on(Claimed(MESSAGES[1], CLAIMS[1]), 0.0) == [Submit(CLAIMS[1])]
    assert slot.held == [CLAIMS[1]]


def test_one_claim_is_tried_at_a_time(slot: SlotState) -> None:
    assert play(slot, [Given(MESSAGES[1]), Given(MESSAGES[2])]) == []
    assert slot.on(Duplicate(MESSAGES[1]), 0.0) == [Settle(MESSAGES[1]), TryClaim(MESSAGES[2])]


def test_nothing_is_claimed_while_a_step_works(slot: SlotState) -> None:
    assert play(slot, [*begin(1), Given(MESSAGES[2])]) == []
    assert slot.on(Saving(), 1.0) == [Settle(MESSAGES[1]), TryClaim(MESSAGES[2])]
    assert slot.on(Claimed(MESSAGES[2], CLAIMS[2]), 1.0) == [SubmitNext(CLAIMS[2])]
    assert slot.on(Given(MESSAGES[3]), 1.0) == []
    assert slot.on(Report(USAGE), 1.0) == [NoteSuccess(CLAIMS[1], USAGE), Tell(MESSAGES[1])]
    assert slot.held == [CLAIMS[2]]


def test_a_duplicate_is_settled_and_nothing_else(slot: SlotState) -> None:
    assert play(slot, [Given(MESSAGES[1]), Duplicate(MESSAGES[1])]) == [Settle(MESSAGES[1])]
    assert slot.held == []


def test_a_message_in_the_wrong_queue_is_put_aside_and_the_next_is_asked_for(slot: SlotState) -> None:
    play(slot, [Given(MESSAGES[1]), Given(MESSAGES[2])])
    assert slot.on(Misdirected(MESSAGES[1]), 0.0) == [Reject(MESSAGES[1]), TryClaim(MESSAGES[2])]


def test_the_message_of_what_is_held_is_not_claimed_again(slot: SlotState) -> None:
    again = replace(MESSAGES[1], tag=99)
    assert play(slot, [*begin(1), Saving(), Given(again)]) == [Settle(again)]
    assert slot.held == [CLAIMS[1]]


def test_the_next_attempt_of_what_is_held_is_another_message(slot: SlotState) -> None:
    later = Delivery("tianyu.here.cpu", Message(1, 2), 99)
    assert play(slot, [*begin(1), Saving(), Given(later)]) == [TryClaim(later)]


def test_a_step_that_ends_within_a_round_trip_lets_its_message_go_at_once(slot: SlotState) -> None:
    play(slot, begin(1))
    assert slot.on(Saving(), SHORT_S / 2) == [Settle(MESSAGES[1])]
    slot.on(Report(USAGE), SHORT_S)
    assert play(slot, begin(2), 1.0) == [Settle(MESSAGES[2]), Submit(CLAIMS[2])]
    assert slot.on(Saving(), 1.0 + 2 * SHORT_S) == []
    slot.on(Report(USAGE), 2.0)
    assert play(slot, begin(3), 2.0) == [Submit(CLAIMS[3])], "the one before it was long"


def test_what_waits_behind_a_step_that_takes_long_is_handed_on_once_and_still_waits(slot: SlotState) -> None:
    play(slot, [*begin(1), Given(MESSAGES[2])], 10.0)
    assert slot.next_look_s(10.0) == PATIENCE_S
    assert slot.on(Looked(ready=True), 10.0 + PATIENCE_S / 2) == []
    assert slot.on(Looked(ready=True), 10.0 + PATIENCE_S) == [HandOn(MESSAGES[2])]
    assert slot.next_look_s(11.0) == RENEWAL_S - PATIENCE_S
    slot.on(Given(MESSAGES[3]), 12.0)
    assert slot.next_look_s(12.0) == 0.0
    assert slot.on(Looked(ready=True), 12.0) == [HandOn(MESSAGES[3])]
    assert slot.on(Saving(), 13.0) == [Settle(MESSAGES[1]), TryClaim(MESSAGES[2])]
    assert slot.on(Duplicate(MESSAGES[2]), 13.0) == [Settle(MESSAGES[2]), TryClaim(MESSAGES[3])]


def test_what_failed_is_recorded_settled_and_told_in_this_order(slot: SlotState) -> None:
    failure = Failure("data", "no stars")
    assert play(slot, [*begin(1), Report(USAGE, failure)]) == [
        RecordFailure(CLAIMS[1], failure, USAGE, killed=False),
        Settle(MESSAGES[1]),
        Tell(MESSAGES[1]),
    ]


def test_after_one_has_ended_the_next_delivery_is_claimed(slot: SlotState) -> None:
    actions = play(slot, [*begin(1), Given(MESSAGES[2]), Report(USAGE)])
    assert actions == [NoteSuccess(CLAIMS[1], USAGE), Settle(MESSAGES[1]), Tell(MESSAGES[1]), TryClaim(MESSAGES[2])]


def test_a_claim_in_the_pipe_of_a_worker_that_dies_goes_to_the_next(slot: SlotState) -> None:
    hold_two(slot)
    assert play(slot, [KILLED]) == [
        RecordFailure(CLAIMS[1], Failure("transient", KILLED.reason), NOTHING_USED, killed=True),
        Tell(MESSAGES[1]),
        Submit(CLAIMS[2]),
    ]


def test_a_worker_that_did_not_start_is_no_fault_of_the_process(slot: SlotState) -> None:
    reason = "the worker process did not start within 120 s"
    actions = play(slot, [*begin(1), Died(reason, at_work=False)])
    assert actions[0] == RecordFailure(CLAIMS[1], Failure("transient", reason), NOTHING_USED, killed=False)


def test_a_claim_that_the_pipe_refused_is_handed_over_when_its_turn_comes(slot: SlotState) -> None:
    hold_two(slot)
    assert play(slot, [Refused(CLAIMS[2]), Report(USAGE)])[-1] == Submit(CLAIMS[2])


def test_parameters_that_do_not_fit_a_pipe_wait_outside(slot: SlotState) -> None:
    """Two such claims would fill it, while the worker fills it from the other end with its report."""
    long = replace(CLAIMS[2], parameters=" " * PIPE_CHARACTERS)
    assert play(slot, [*begin(1), Saving(), Given(MESSAGES[2]), Claimed(MESSAGES[2], long)]) == []
    assert slot.on(Report(USAGE), 0.0)[-1] == Submit(long)


def test_each_lease_is_renewed_when_it_is_due(slot: SlotState) -> None:
    hold_two(slot)  # a second after each other
    assert slot.next_look_s(0.0) == RENEWAL_S - 1.0
    assert slot.on(Looked(ready=True), RENEWAL_S - 1.1) == []
    assert slot.on(Looked(ready=True), RENEWAL_S - 1.0) == [Renew(CLAIMS[1])]
    assert slot.on(Looked(ready=True), RENEWAL_S - 1.0) == []
    assert slot.on(Looked(ready=True), RENEWAL_S) == [Renew(CLAIMS[2])]
    assert slot.next_look_s(RENEWAL_S) == RENEWAL_S - 1.0
    assert slot.on(Looked(ready=True), 2 * RENEWAL_S) == [Renew(CLAIMS[1]), Renew(CLAIMS[2])]


def test_a_lease_is_renewed_while_the_worker_starts(slot: SlotState) -> None:
    assert play(slot, [*begin(1), Looked(ready=False)], 0.0) == []
    assert slot.on(Looked(ready=False), RENEWAL_S) == [Renew(CLAIMS[1])]


def test_a_worker_whose_lease_is_lost_is_heard_and_dropped(slot: SlotState) -> None:
    hold_two(slot)
    assert play(slot, [LeaseLost(CLAIMS[1])]) == [AwaitLastWord(CLAIMS[1])]
    assert slot.on(Silent(CLAIMS[1]), 0.0) == [Drop(CLAIMS[1]), Tell(MESSAGES[1]), Submit(CLAIMS[2])]


def test_a_worker_whose_lease_is_lost_may_just_have_committed(slot: SlotState) -> None:
    hold_two(slot)
    play(slot, [LeaseLost(CLAIMS[1])])
    assert slot.on(Report(USAGE), 0.0) == [NoteSuccess(CLAIMS[1], USAGE), Tell(MESSAGES[1])]
    assert slot.held == [CLAIMS[2]]


def test_a_lost_lease_of_one_that_waits_shows_when_it_is_in_work(slot: SlotState) -> None:
    hold_two(slot)
    assert play(slot, [LeaseLost(CLAIMS[2])]) == []
    assert play(slot, [Report(USAGE), LeaseLost(CLAIMS[2])]) == [AwaitLastWord(CLAIMS[2])]


def test_a_step_over_its_time_is_ended_with_its_worker(slot: SlotState) -> None:
    play(slot, begin(1, "slow"))
    assert slot.next_look_s(2.0) == 3.0
    assert slot.on(Looked(ready=True), 4.9) == []
    restart, record, settle, tell = slot.on(Looked(ready=True), 5.0)
    assert (restart, settle, tell) == (RestartWorker(), Settle(MESSAGES[1]), Tell(MESSAGES[1]))
    assert isinstance(record, RecordFailure)
    assert record.killed
    assert record.failure == Failure(
        "transient",
        "process 1 (slow) was ended: it was not done within its time limit of 5 s; raise time_limit_s if it needs more",
    )


def test_time_in_which_the_worker_starts_is_not_the_step_s(slot: SlotState) -> None:
    play(slot, begin(1, "slow"))
    assert slot.on(Looked(ready=False), 8.0) == []
    assert slot.next_look_s(9.0) == 4.0
    assert play(slot, [Ready(), Looked(ready=True)], 12.5) == []
    assert slot.next_look_s(12.5) == 5.0
    assert slot.on(Looked(ready=True), 17.4) == []
    assert slot.on(Looked(ready=True), 17.5)[0] == RestartWorker()


def test_a_step_over_its_memory_is_ended_with_its_worker(slot: SlotState) -> None:
    assert not slot.watches_memory
    play(slot, begin(1, "large"))
    assert slot.watches_memory
    assert slot.next_look_s(0.0) == LOOK_EVERY_S
    assert slot.on(Looked(ready=True, memory_bytes=1000), 1.0) == []
    assert slot.on(Looked(ready=True), 1.0) == [], "a platform may not tell"
    restart, record, *_ = slot.on(Looked(ready=True, memory_bytes=1001), 1.0)
    assert restart == RestartWorker()
    assert isinstance(record, RecordFailure)
    assert record.killed
    assert "raise memory_limit_bytes" in record.failure.message


def test_each_process_has_the_limits_of_its_command_from_its_own_beginning(slot: SlotState) -> None:
    play(slot, [*begin(1), Saving(), *begin(2, "slow")])
    assert slot.on(Looked(ready=True), 9.0) == []
    slot.on(Report(USAGE), 9.0)
    assert slot.on(Looked(ready=True), 13.9) == []
    assert slot.on(Looked(ready=True), 14.0)[0] == RestartWorker()


def test_what_waits_in_the_pipe_of_a_worker_over_its_limit_goes_to_the_next(slot: SlotState) -> None:
    play(slot, [*begin(1, "slow"), Saving(), *begin(2)])
    assert slot.on(Looked(ready=True), 5.0)[-1] == Submit(CLAIMS[2])


def test_who_leaves_finishes_what_is_held_and_begins_nothing(slot: SlotState) -> None:
    hold_two(slot)
    assert play(slot, [Given(MESSAGES[3]), Leave()]) == []
    assert play(slot, [Report(USAGE)]) == [NoteSuccess(CLAIMS[1], USAGE), Tell(MESSAGES[1])]
    assert slot.on(Saving(), 1.0) == [Settle(MESSAGES[2])]
    assert slot.on(Report(USAGE), 1.0) == [NoteSuccess(CLAIMS[2], USAGE), Tell(MESSAGES[2])]
    assert slot.held == []
    assert slot.on(Given(MESSAGES[4]), 0.0) == []


def test_a_claim_that_was_under_way_when_leaving_is_finished(slot: SlotState) -> None:
    assert play(slot, [Given(MESSAGES[1]), Leave(), Claimed(MESSAGES[1], CLAIMS[1])]) == [Submit(CLAIMS[1])]


def test_nothing_is_looked_at_while_nothing_is_held(slot: SlotState) -> None:
    assert slot.next_look_s(0.0) is None
    assert slot.on(Looked(ready=True), 0.0) == []
