"""What a slot does next: events in, actions out. It knows no clock, thread, pipe or database.

Of a process the slot holds the claim and the message that told of it. While the worker commits what one process made,
the next is claimed and waits in the pipe: two processes are held then, and never while a step still works, for
another consumer may be free. From the claim on a process is the lease's affair, and its message can go; but the broker
then sends another. So it is settled when the step is done, or at once where steps of its kind are done before the
broker could answer. What then waits behind a step that takes long all the same is handed on.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from schema.attempts import Claim, Failure, Usage
from services.engine.broker import Delivery
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

SHORT_S = 0.01  # of a step; a quorum queue needs 2 ms and more from a settled message to the next one
PATIENCE_S = 1.0  # that a message waits behind what runs before it is sent to others too
NOTHING_USED = Usage(seconds=0.0)  # as far as anybody knows
PIPE_CHARACTERS = 16_000  # of parameters; more may not fit beside another claim in a pipe that nobody reads


@dataclass
class Held:
    """A process that the slot has claimed, and the message that told of it."""

    claim: Claim
    delivery: Delivery
    renew_at: float
    submitted: bool = False  # to the worker process that is there now
    saving: bool = False  # its outputs are being committed
    settled: bool = False  # its message


class SlotState:
    """What is held and what waits. Every ``now`` is seconds of one monotonic clock."""

    def __init__(self, limits_of: Callable[[str], Limits], renewal_s: float) -> None:
        """``limits_of`` a command; ``renewal_s``: a lease is renewed so often."""
        self._limits_of = limits_of
        self._renewal_s = renewal_s
        self._waiting: deque[Delivery] = deque()
        self._handed_on = 0  # so many of those that wait, the first ones, are for others too
        self._claiming: Delivery | None = None  # the database was asked and has not yet answered
        self._held: deque[Held] = deque()  # the first is in work, a second waits for it to be committed
        self._leaving = False
        self._limits = Limits(None, None)
        self._began = 0.0  # the first of those held
        self._timed_from = 0.0  # time in which the worker itself starts is not the step's
        self._lasted: dict[str, float] = {}  # seconds that the last step of each command took

    @property
    def held(self) -> list[Claim]:
        """The claim in work, and the one that waits for it to be committed."""
        return [held.claim for held in self._held]

    @property
    def watches_memory(self) -> bool:
        """Whether ``Looked`` needs the worker's memory."""
        return bool(self._held) and self._limits.memory_bytes is not None

    def next_look_s(self, now: float) -> float | None:
        """Seconds until ``Looked`` is due; None: nothing is held, so that there is nothing to look at."""
        if not self._held:
            return None
        due_s = min(held.renew_at for held in self._held) - now
        if len(self._waiting) > self._handed_on:
            due_s = min(due_s, self._began + PATIENCE_S - now)
        return max(min(due_s, self._limits.next_look_s(now - self._timed_from)), 0.0)

    def on(self, event: Event, now: float) -> list[Action]:
        """What to do about an event, in this order."""
        return [*self._answer(event, now), *self._claim_next()]

    def _answer(self, event: Event, now: float) -> list[Action]:
        match event:
            case Given(delivery):
                if not self._leaving:
                    self._waiting.append(delivery)
            case Claimed(delivery, claim):
                return self._hold(Held(claim, delivery, now + self._renewal_s), now)
            case Duplicate(delivery):
                self._claiming = None
                return [Settle(delivery)]
            case Misdirected(delivery):
                self._claiming = None
                return [Reject(delivery)]
            case Refused(claim):
                self._one(claim).submitted = False
            case Looked(ready, memory_bytes):
                return self._look(ready, memory_bytes, now) if self._held else []
            case Ready():
                self._timed_from = now
            case Saving():
                return self._save(now)
            case Report(usage, failure):
                if failure is None:
                    return self._end(NoteSuccess(self._held[0].claim, usage), now)
                return self._fail(failure, now, usage)
            case Died(reason, at_work):
                self._forget_pipe()
                return self._fail(Failure("transient", reason), now, killed=at_work)
            case LeaseLost(claim):
                # That of one that waits is found lost again when it is in work.
                return [AwaitLastWord(claim)] if self.held[:1] == [claim] else []
            case Silent(claim):
                self._forget_pipe()
                return self._end(Drop(claim), now)
            case Recalled():
                forgotten: list[Action] = [Forget(delivery) for delivery in self._waiting]
                self._waiting.clear()
                self._handed_on = 0
                return forgotten
            case Leave():
                self._leaving = True
                self._waiting.clear()  # these go back to the queue with the connection
                self._handed_on = 0
                self._claiming = None
            case _:
                assert_never(event)
        return []

    def _claim_next(self) -> list[Action]:
        """Claim what was given, as long as the worker has no step before it."""
        actions: list[Action] = []
        while self._waiting and self._claiming is None and self._may_hold_another():
            delivery = self._waiting.popleft()
            self._handed_on = max(self._handed_on - 1, 0)
            message = delivery.message
            if any((message.pid, message.attempt) == (held.pid, held.attempt) for held in self.held):
                actions.append(Settle(delivery))  # its own claim again would be given to the slot
            else:
                self._claiming = delivery
                actions.append(TryClaim(delivery))
        return actions

    def _may_hold_another(self) -> bool:
        return not self._held or (len(self._held) == 1 and self._held[0].saving)

    def _hold(self, held: Held, now: float) -> list[Action]:
        self._claiming = None
        self._held.append(held)
        if len(self._held) == 1:
            return self._begin(now)
        if len(held.claim.parameters) >= PIPE_CHARACTERS:
            return []
        held.submitted = True
        return [SubmitNext(held.claim)]

    def _begin(self, now: float) -> list[Action]:
        """The first of those held is in work from now on."""
        held = self._held[0]
        command = held.claim.command
        self._began = self._timed_from = now
        self._limits = self._limits_of(command)
        actions = self._settle(held) if self._lasted.get(command, SHORT_S) < SHORT_S else []
        if not held.submitted:
            held.submitted = True
            actions.append(Submit(held.claim))
        return actions

    def _save(self, now: float) -> list[Action]:
        held = self._held[0]
        held.saving = True
        self._lasted[held.claim.command] = now - self._began
        return self._settle(held)

    def _look(self, ready: bool, memory_bytes: int | None, now: float) -> list[Action]:
        if not ready:
            self._timed_from = now
        excess = self._limits.exceeded(now - self._timed_from, memory_bytes)
        if excess is not None:
            claim = self._held[0].claim
            self._forget_pipe()
            failure = Failure("transient", f"process {claim.pid} ({claim.command}) was ended: {excess}")
            return [RestartWorker(), *self._fail(failure, now, killed=True)]
        due = [held for held in self._held if now >= held.renew_at]
        for held in due:
            held.renew_at = now + self._renewal_s
        return [*self._hand_on(now), *(Renew(held.claim) for held in due)]

    def _hand_on(self, now: float) -> list[Action]:
        """What waits behind a step that takes long: its message was settled early, for steps of its kind are short."""
        if now < self._began + PATIENCE_S:
            return []
        first, self._handed_on = self._handed_on, len(self._waiting)
        return [HandOn(delivery) for delivery in list(self._waiting)[first:]]

    def _fail(self, failure: Failure, now: float, usage: Usage = NOTHING_USED, *, killed: bool = False) -> list[Action]:
        return self._end(RecordFailure(self._held[0].claim, failure, usage, killed), now)

    def _end(self, ending: Action, now: float) -> list[Action]:
        """The first of those held has ended, and the next is in work."""
        held = self._held.popleft()
        following = self._begin(now) if self._held else []
        return [ending, *self._settle(held), Tell(held.delivery), *following]

    def _settle(self, held: Held) -> list[Action]:
        if held.settled:
            return []
        held.settled = True
        return [Settle(held.delivery)]

    def _forget_pipe(self) -> None:
        """The worker is gone, and what waited in its pipe with it."""
        for held in self._held:
            held.submitted = False

    def _one(self, claim: Claim) -> Held:
        return next(held for held in self._held if held.claim == claim)
