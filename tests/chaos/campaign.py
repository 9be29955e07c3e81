"""One night through the distributed system, disturbed by a plan or not at all."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.engine.broker.message import dead_letter_queue
from tests.chaos import checks, messages, snapshot
from tests.chaos.disturb import disturb
from tests.chaos.plan import EMBEDDED, KILLS, Event, Kind
from tests.chaos.servers import Servers
from tests.chaos.snapshot import Snapshot
from tests.chaos.system import System

LEASE_S = 3.0
STUCK_AFTER_S = 90.0  # without another success
POLL_S = 0.03
LINES_SHOWN = 25  # of a traceback
SETTINGS = {
    "TIANYU_LEASE_S": str(LEASE_S),
    "TIANYU_SWEEP_S": "0.5",
    "TIANYU_RESEND_AFTER_S": "3",
    "TIANYU_STRAGGLER_AFTER_S": "0.5",
    "TIANYU_BACKOFF_S": "0.1",
    "TIANYU_BACKOFF_MAX_S": "1",
    "TIANYU_SURROUNDINGS_BACKOFF_MAX_S": "1",
    # Workers are killed on purpose, and the same process may be hit again and again: it is not to blame.
    "TIANYU_MAX_ATTEMPTS": "25",
    "TIANYU_POISON_ATTEMPTS": "25",
}


# The night is published a second time by other choices: what the first graph has of it is taken over.
CHANGED = {"TIANYU_APERTURE_RADII": "[2.5, 4.0]"}

SIGKILLS = KILLS.keys() | EMBEDDED.keys()
# SQLAlchemy's own words with a traceback, when a connection that it gets back is dead; it goes on with another.
POOL_COMPLAINT = "Exception during reset or similar"
CHAINED = ("another exception occurred:", "direct cause of the following exception:")


@dataclass
class Outcome:
    """What was done to a system, and what came of it."""

    processes: int  # that ran
    first: int  # of these, of the first publication
    snapshot: Snapshot
    wrong: list[str]  # with the system's own books, queues and programs
    seconds: float
    attempts: Mapping[str, int]  # by outcome
    events: Counter[Kind] = field(default_factory=Counter)
    hits: Counter[Kind] = field(default_factory=Counter)  # processes, connections, messages
    dead_letters: int = 0

    @property
    def kills(self) -> int:
        """Times that SIGKILL was sent on purpose; a consumer with its workers is one."""
        return sum(count for kind, count in self.events.items() if kind in SIGKILLS)

    @property
    def lost(self) -> int:
        """Attempts that did not succeed, and were not second ones or outrun by these."""
        return sum(count for outcome, count in self.attempts.items() if outcome not in ("succeeded", "outrun"))


def prepare(servers: Servers, night: Path, folder: Path, name: str) -> System:
    """A system with the night registered and published, nothing of it done."""
    system = System(servers, f"tianyu_{name}", name, folder / "root", folder / "logs", SETTINGS)
    system.run("init")
    system.run("ingest", str(night))
    system.run("publish", "--all")
    return system


def run(system: System, plan: Sequence[Event] = ()) -> Outcome:
    """Let the system work, disturbed by ``plan``, until everything has succeeded; then stop it and look.

    When the first graph is done the night is published with other choices, and the plan goes on.

    Raises:
        AssertionError: nothing more happened, or the programs did not leave.
    """
    first = processes = _published(system)
    events: Counter[Kind] = Counter()
    hits: Counter[Kind] = Counter()
    began = time.monotonic()
    try:
        for event in plan:
            if event.succeeded >= processes and not system.choices:
                processes = _publish_changed(system, processes)
            _wait(system, min(event.succeeded, processes - 1))
            time.sleep(event.jitter_s)
            done = disturb(system, event, LEASE_S)
            events.update({kind: 1 for kind, hit in done.items() if hit or kind not in KILLS})
            hits.update(done)
        if not system.choices:
            processes = _publish_changed(system, processes)
        _wait(system, processes)
        seconds = time.monotonic() - began
        wrong = _ended(system, garbage=events[Kind.GARBAGE] > 0)
    finally:
        system.kill()
    url = system.servers.direct_url(system.database)
    return Outcome(
        processes=processes,
        first=first,
        snapshot=snapshot.take(url, system.root),
        wrong=wrong + checks.books(url),
        seconds=seconds,
        attempts=checks.attempts(url),
        events=events,
        hits=hits,
        dead_letters=len(messages.dead_letters(system)),
    )


def _published(system: System) -> int:
    """Processes that were published to run; those that were taken over are not among them."""
    [(processes,)] = system.sql(f"SELECT COUNT(*) FROM process p WHERE {checks.OWN}")
    return int(processes)


def _publish_changed(system: System, processes: int) -> int:
    """Publish by other choices what is done; how many processes there are then."""
    _wait(system, processes)
    system.choices = CHANGED
    system.run("publish", system.light(), **CHANGED)
    return _published(system)


def _wait(system: System, succeeded: int) -> None:
    """Until so many processes have succeeded; what died is started again meanwhile."""
    last, since = -1, time.monotonic()
    while (count := system.succeeded()) < succeeded:
        system.tend()
        if count != last:
            last, since = count, time.monotonic()
        if time.monotonic() - since > STUCK_AFTER_S:
            states = system.sql("SELECT command, status, COUNT(*) FROM process GROUP BY command, status")
            leases = system.sql("SELECT pid, attempt, worker, lease_until FROM lease")
            at_work = system.sql("SELECT * FROM process WHERE status IN ('queued', 'running')")
            attempts = system.sql(
                "SELECT a.* FROM process_attempt a JOIN process p USING (pid) WHERE p.status IN ('queued', 'running')"
            )
            raise AssertionError(
                f"stuck: {count} processes succeeded, expected {succeeded}, none within {STUCK_AFTER_S} s;\n"
                f"states {states}\nleases {leases}\nat work {at_work}\ntheir attempts {attempts}\n"
                f"logs\n{system.last_words()}"
            )
        time.sleep(POLL_S)


def _ended(system: System, *, garbage: bool) -> list[str]:
    """What is wrong when everything has succeeded, and stop the programs."""
    wrong = []
    status = system.run("status", "--wait").stdout  # its exit code says whether there are light curves
    if "light curves made" not in status:
        wrong.append(f"tianyu status says {status}")
    queue = messages.queue_of(system)
    since = time.monotonic()
    while (left := messages.waiting(system, queue)) and time.monotonic() - since < STUCK_AFTER_S:
        system.tend()  # consumers drop the duplicates
        time.sleep(POLL_S)
    if left:
        wrong.append(f"queue {queue} still holds {left} messages that no consumer takes")
    since = time.monotonic()
    while system.later or not system.is_ready():  # SIGTERM would end a program that was started a moment ago
        if time.monotonic() - since > STUCK_AFTER_S:
            raise AssertionError(f"not all programs are at work again:\n{system.last_words()}")
        system.tend()
        time.sleep(POLL_S)
    wrong += [f"{name} left with exit code {code} on SIGTERM" for name, code in system.stop().items() if code]
    if left := messages.waiting(system, queue):
        wrong.append(f"queue {queue} holds {left} messages after the consumers left")
    known = {pid for (pid,) in system.sql("SELECT pid FROM process WHERE status = 'succeeded'")}
    for body in messages.dead_letters(system):
        harmless = body in messages.UNREADABLE if garbage else False
        if not harmless and messages.pid_of(body) not in known:
            wrong.append(f"{dead_letter_queue(queue)} holds {body!r}")
    for program in system.programs:
        wrong += [f"{program.log.name} has a traceback:\n{found}" for found in _tracebacks(program.log.read_text())]
    return wrong


def _tracebacks(log: str) -> Iterator[str]:
    """The tracebacks of our own programs: none may fail but by a message that says what to do."""
    before, theirs = "", False
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("Traceback (most recent call last)"):
            theirs = POOL_COMPLAINT in before or (theirs and before.endswith(CHAINED))
            if not theirs:
                yield "\n".join(lines[number : number + LINES_SHOWN])
        before = line or before
