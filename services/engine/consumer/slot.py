"""A slot: one thread of a consumer, which carries out between broker, database and worker what ``SlotState`` says."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import ceil
from typing import assert_never

from schema.attempts import Claim, NoteEnd
from schema.processes import LOST, SUCCEEDED
from services.background_thread import BackgroundThread
from services.engine.broker import Broker, Delivery, event_queue
from services.engine.consumer.child import Child
from services.engine.consumer.claims import Claims
from services.engine.consumer.limits import Limits, resident_bytes
from services.engine.consumer.messages import Died, Report
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
from services.engine.consumer.slot_events import Event, Given, LeaseLost, Leave, Looked, Recalled, Refused, Silent
from services.engine.consumer.slot_state import SlotState
from services.errors import TransientError
from services.log import facts_of, get_logger
from services.settings import Settings

log = get_logger("consumer")
RENEWALS_A_LEASE = 3
LAST_WORD_S = 0.5  # for the worker of a lost lease


class Slot:
    """Works on deliveries, one after the other."""

    def __init__(
        self, name: str, settings: Settings, broker: Callable[[], Broker], child: Child, note_end: NoteEnd | None = None
    ) -> None:
        self.thread = BackgroundThread(name, self._work)
        self._inbox: deque[Given | Recalled] = deque()
        self._given = self._settled = 0  # deliveries; each is counted by one thread
        self._events = event_queue(settings.site)
        self._broker = broker  # asked each time: the main thread may have connected anew
        self._child = child
        self._note_end = note_end or (lambda _claim, _usage, _outcome: None)
        self._leaving = threading.Event()
        self._claims = Claims(name, settings, self._leaving)
        self._state = SlotState(partial(Limits.of, settings), settings.lease_s / RENEWALS_A_LEASE)
        self._called, self._call = os.pipe()
        os.set_blocking(self._call, False)

    @property
    def load(self) -> int:
        """Deliveries given and not yet settled."""
        return self._given - self._settled

    def give(self, delivery: Delivery) -> None:
        """Take on a delivery; called by one thread at a time."""
        self._given += 1
        self._inbox.append(Given(delivery))
        self._wake()

    def recall(self) -> None:
        """What was given and has not begun is back in the queue; called by the thread that gives, or when none does."""
        self._inbox.append(Recalled())
        self._wake()

    def leave(self) -> None:
        """Finish what runs, then end; a database that is away is not waited for."""
        self._leaving.set()
        self._child.ask_to_end()
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full: it is awake
            os.write(self._call, b".")

    def _work(self) -> None:
        """Until told to leave; what has not begun then goes back to the queue with the connection.

        After an error the lease of what it held runs out, and the manager sends that again.
        """
        while self._state.held or not self._leaving.is_set():
            while self._inbox:
                self._handle(self._inbox.popleft())
            if self._leaving.is_set():
                self._handle(Leave())
            worker_speaks = self._wait()
            if self._state.held:
                self._attend(worker_speaks)

    def _wait(self) -> bool:
        """Until there is a delivery, the worker says something (True), or something is due."""
        timeout_s = self._state.next_look_s(time.monotonic())
        if timeout_s is None:
            ready = _readable(self._called)
        else:
            ready = _readable(self._called, self._child.fileno(), timeout_s=timeout_s)
        if self._called in ready:
            os.read(self._called, 4096)
        return bool(ready - {self._called})

    def _attend(self, worker_speaks: bool) -> None:
        """To what the worker says, and to what must be done while it says nothing."""
        event = self._child.hear() if worker_speaks else self._child.late()
        if event is not None:
            self._handle(event)
        if not isinstance(event, Report | Died):
            memory_bytes = resident_bytes(self._child.pid) if self._state.watches_memory else None
            self._handle(Looked(self._child.ready, memory_bytes))

    def _handle(self, event: Event) -> None:
        """An event, and those by which its actions are answered."""
        events = deque([event])
        while events:
            for action in self._state.on(events.popleft(), time.monotonic()):
                answer = self._do(action)
                if answer is not None:
                    events.append(answer)

    def _do(self, action: Action) -> Event | None:
        match action:
            case TryClaim(delivery):
                return self._claims.take(delivery)
            case Submit(claim):
                return self._child.submit(claim)
            case SubmitNext(claim):
                return None if self._child.submit_next(claim) else Refused(claim)
            case Settle(delivery):
                self._settled += 1  # first: what the broker sends for it should find this slot free
                self._ask_broker(lambda broker: broker.settle(delivery), delivery)
            case HandOn(delivery):
                log.debug("handed on, what runs takes long", pid=delivery.message.pid)
                self._claims.hand_on(delivery.message)
            case Forget():
                self._settled += 1
            case Reject(delivery):
                self._settled += 1
                self._ask_broker(lambda broker: broker.settle(delivery, accepted=False), delivery)
            case Tell(delivery):
                self._ask_broker(lambda broker: broker.tell(self._events, delivery.message), delivery)
            case Renew(claim):
                return None if self._claims.renew(claim) else LeaseLost(claim)
            case NoteSuccess(claim, usage):
                log.debug("succeeded", **facts_of(claim), seconds=round(usage.seconds, 3))
                self._note_end(claim, usage, SUCCEEDED)
            case RecordFailure(claim, failure, usage):
                log.warning("failed", **facts_of(claim), error_class=failure.error_class, reason=failure.message)
                self._claims.record_failure(action)
                self._note_end(claim, usage, failure.error_class)
            case AwaitLastWord(claim):
                return self._last_word(claim)
            case Drop(claim):
                self._child.kill()
                log.warning("lease lost, work dropped", **facts_of(claim))
                self._note_end(claim, None, LOST)
            case RestartWorker():
                self._child.kill()
                self._child.start()
            case _:
                assert_never(action)
        return None

    def _last_word(self, claim: Claim) -> Report | Died | Silent:
        while _readable(self._child.fileno(), timeout_s=LAST_WORD_S):
            event = self._child.hear()
            if isinstance(event, Report | Died):
                return event
        return Silent(claim)

    def _ask_broker(self, work: Callable[[Broker], None], delivery: Delivery) -> None:
        try:
            work(self._broker())
        except TransientError as error:
            # It may be delivered again, and the claim will drop it; the manager's sweep finds what has ended.
            log.debug("broker not reached", pid=delivery.message.pid, reason=str(error))


def _readable(*files: int, timeout_s: float | None = None) -> set[int]:
    """File descriptors that have something to read, or have ended. (`select.select` takes no numbers above 1023.)"""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return {file for file, _ in poll.poll(None if timeout_s is None else ceil(1000 * timeout_s))}
