"""Random lives of a slot beside a model of broker, database and worker: nothing is done twice, nothing is forgotten."""

from collections import Counter, deque

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schema.attempts import Claim, Failure, Usage
from services.engine.broker import Delivery, Message
from services.engine.consumer.limits import Limits
from services.engine.consumer.messages import Died, Ready, Report, Saving
from services.engine.consumer.slot_actions import (
    Action,
    AwaitLastWord,
    Drop,
    Forget,
    HandOn,
    NoteSuccess,
    RecordFailure,
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
    Recalled,
    Refused,
    Silent,
)
from services.engine.consumer.slot_state import PIPE_CHARACTERS, SlotState

USAGE = Usage(seconds=1.0)
TIME_LIMIT_S = 30.0
RENEWAL_S = 10.0
QUEUED, RUNNING, LOST, ENDED = "queued", "running", "lost", "ended"
CHANCE = st.booleans()


class SlotLives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.slot = SlotState(lambda _: Limits(TIME_LIMIT_S, None), RENEWAL_S)
        self.now = 0.0
        self.leaving = False
        self.claims: dict[int, Claim] = {}
        self.states: dict[int, str] = {}  # in the database
        self.unsettled: dict[int, Delivery] = {}  # by tag
        self.taken: set[int] = set()  # tags of messages whose process the slot got
        self.tags = 0
        self.pipe: list[Claim] = []  # what the worker has and has not reported
        self.saving = False
        self.handed_on: set[int] = set()  # tags
        self.recalled: set[int] = set()  # tags of a connection that was closed
        self.load = 0  # messages given, and not settled or forgotten
        self.claimed: Counter[int] = Counter()
        self.told: Counter[int] = Counter()
        self.starts = self.takes = self.reports_late = True  # whether the next of these goes well

    # The surroundings

    def handle(self, event: Event) -> None:
        events = deque([event])
        while events:
            for action in self.slot.on(events.popleft(), self.now):
                answer = self.carry_out(action)
                if answer is not None:
                    events.append(answer)

    def carry_out(self, action: Action) -> Event | None:
        match action:
            case TryClaim(delivery):
                return self.claim(delivery)
            case Submit(claim):
                assert self.pipe == [], "the worker has another step before it"
                if not self.starts:
                    return Died("did not start", at_work=False)
                self.pipe.append(claim)
            case SubmitNext(claim):
                assert len(self.pipe) == 1
                assert self.saving
                assert len(claim.parameters) < PIPE_CHARACTERS
                if not self.takes:
                    return Refused(claim)
                self.pipe.append(claim)
            case Settle(delivery):
                self.load -= 1
                if delivery.tag not in self.recalled:
                    del self.unsettled[delivery.tag]  # settled twice: not there
            case HandOn(delivery):
                assert delivery.tag not in self.handed_on | self.taken
                self.handed_on.add(delivery.tag)
            case Forget(delivery):
                self.load -= 1
                assert delivery.tag in self.recalled
                assert delivery.tag not in self.taken
            case Tell(delivery):
                self.told[delivery.message.pid] += 1
            case Renew(claim):
                return None if self.states[claim.pid] == RUNNING else LeaseLost(claim)
            case NoteSuccess(claim):
                assert self.states[claim.pid] == ENDED
            case RecordFailure(claim):
                if self.states[claim.pid] == RUNNING:
                    self.states[claim.pid] = ENDED
            case AwaitLastWord(claim):
                assert self.pipe[0] == claim
                return self.report() if self.reports_late else Silent(claim)
            case Drop() | RestartWorker():
                self.pipe, self.saving = [], False
        return None

    def claim(self, delivery: Delivery) -> Event:
        held = self.slot.held
        assert not held or (len(held) == 1 and self.saving), "another consumer may be free"
        assert not self.leaving
        pid = delivery.message.pid
        if self.states[pid] == QUEUED:
            self.states[pid] = RUNNING
            self.claimed[pid] += 1
        elif self.states[pid] != RUNNING:  # a worker may repeat its own claim
            return Duplicate(delivery)
        self.taken.add(delivery.tag)
        return Claimed(delivery, self.claims[pid])

    def report(self) -> Report:
        claim = self.pipe.pop(0)
        self.saving = False
        if self.states[claim.pid] != RUNNING:
            return Report(USAGE, Failure("transient", "no longer held"))
        self.states[claim.pid] = ENDED
        return Report(USAGE)

    def deliver(self, pid: int) -> None:
        self.tags += 1
        delivery = Delivery("queue", Message(pid, 1), self.tags)
        if not self.leaving:
            self.unsettled[self.tags] = delivery
            self.load += 1
            self.handle(Given(delivery))

    # What happens

    @rule(long=CHANCE)
    def a_new_message(self, long: bool) -> None:
        pid = len(self.claims) + 1
        self.claims[pid] = Claim(pid, 1, 3, "command", " " * (PIPE_CHARACTERS if long else 1), 1, None, 1)
        self.states[pid] = QUEUED
        self.deliver(pid)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def a_message_again(self, data: st.DataObject) -> None:
        self.deliver(data.draw(st.sampled_from(sorted(self.claims))))

    @rule(starts=CHANCE, takes=CHANCE, reports_late=CHANCE)
    def luck_turns(self, starts: bool, takes: bool, reports_late: bool) -> None:
        self.starts, self.takes, self.reports_late = starts, takes, reports_late

    @precondition(lambda self: self.pipe and not self.saving)
    @rule()
    def the_step_is_done(self) -> None:
        self.saving = True
        self.handle(Saving())

    @precondition(lambda self: self.saving)
    @rule()
    def the_worker_reports(self) -> None:
        self.handle(self.report())

    @precondition(lambda self: self.pipe)
    @rule()
    def the_step_fails(self) -> None:
        self.pipe.pop(0)
        self.saving = False
        self.handle(Report(USAGE, Failure("data", "no stars")))

    @precondition(lambda self: self.pipe)
    @rule(at_work=CHANCE)
    def the_worker_dies(self, at_work: bool) -> None:
        self.pipe, self.saving = [], False
        self.handle(Died("killed", at_work))

    @rule(seconds=st.sampled_from([0.0, 1.0, RENEWAL_S, TIME_LIMIT_S]), ready=CHANCE)
    def time_passes(self, seconds: float, ready: bool) -> None:
        due = self.slot.next_look_s(self.now)
        assert (due is None) == (not self.slot.held)
        assert due is None or 0.0 <= due <= RENEWAL_S
        self.now += seconds
        self.handle(Looked(ready))

    @rule()
    def the_worker_is_ready(self) -> None:
        self.handle(Ready())

    @precondition(lambda self: self.slot.held)
    @rule(data=st.data())
    def the_manager_frees_a_process(self, data: st.DataObject) -> None:
        self.states[data.draw(st.sampled_from(self.slot.held)).pid] = LOST

    @rule()
    def the_connection_is_closed(self) -> None:
        self.recalled |= set(range(1, self.tags + 1))
        self.unsettled.clear()
        self.handle(Recalled())

    @precondition(lambda self: not self.leaving and self.tags > 5)
    @rule()
    def it_is_told_to_leave(self) -> None:
        self.leaving = True
        self.handle(Leave())

    # What holds

    @invariant()
    def no_more_than_two_are_held_and_the_worker_has_them(self) -> None:
        assert len(self.slot.held) <= 2
        assert self.pipe == self.slot.held[: len(self.pipe)]
        assert bool(self.pipe) == bool(self.slot.held)

    @invariant()
    def what_was_claimed_is_held_until_it_is_told(self) -> None:
        held = Counter(claim.pid for claim in self.slot.held)
        assert self.claimed == self.told + held
        assert max(self.claimed.values(), default=0) <= 1

    def teardown(self) -> None:
        """All goes well from here on: nothing may be left over."""
        self.starts = True
        for pid in [pid for pid, state in self.states.items() if state == QUEUED]:
            self.deliver(pid)  # what went back comes again
        while self.slot.held:
            if not self.saving:
                self.the_step_is_done()
            self.the_worker_reports()
        assert RUNNING not in self.states.values()
        if not self.leaving:
            assert self.unsettled == {}
            assert self.load == 0
            assert QUEUED not in self.states.values()
        assert not self.taken & self.unsettled.keys()


SlotLives.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSlotLives = SlotLives.TestCase
