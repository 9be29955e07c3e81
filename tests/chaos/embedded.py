"""One night through `tianyu run`, killed by a plan and started again each time."""

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from services.engine.embedded import CONSUMER_NAME
from tests.chaos import checks, snapshot
from tests.chaos.campaign import CHANGED, POLL_S, SETTINGS, STUCK_AFTER_S, Outcome
from tests.chaos.plan import Event, Kind
from tests.chaos.system import children_of, signal_all, workers_of
from tests.forked import Program

CONSUMERS = 2
# What a run keeps in its working folder beside the images.
APART = frozenset({"tianyu.db", "tianyu.db-wal", "tianyu.db-shm", "tianyu.db.manager.lock", "run.lock", "logs"})
SUCCEEDED = f"SELECT COUNT(*) FROM process p WHERE status = 'succeeded' AND {checks.OWN}"
HALF_WAY = 20  # processes of the second run
# Leases and sweeps are the run's own; how often a process may be tried is not.
OWN = {name: value for name, value in SETTINGS.items() if name.endswith("_ATTEMPTS") or "BACKOFF" in name}


class Run:
    """`tianyu run` in a process group of its own."""

    def __init__(self, night: Path, folder: Path) -> None:
        self.workdir = folder / "work"
        self.log = folder / "run.log"
        self._arguments = (
            *("run", str(night), "--workdir", str(self.workdir)),
            *("--consumers", str(CONSUMERS), "--no-plots"),
        )
        self._groups: list[int] = []
        self._choices: dict[str, str] = {}
        self.process = self.start()

    def start(self) -> Program:
        """Start it, or start it again."""
        environment = os.environ | OWN | self._choices
        self.process = Program(self._arguments, environment, self.log, own_session=True)
        self._groups.append(self.process.pid)
        return self.process

    def start_changed(self) -> Program:
        """Start it with other choices when it has ended."""
        self._choices = CHANGED
        return self.start()

    def consumers(self) -> list[int]:
        """PID of its consumer, if it is there."""
        return children_of(self.process.pid, "comm", CONSUMER_NAME)

    def kill_tree(self) -> None:
        """SIGKILL to all at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_main(self) -> None:
        """SIGKILL to the run alone."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Leave nothing behind."""
        for group in self._groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def count(self, query: str) -> int:
        """A number from the database; 0 while there is no table yet."""
        path = self.workdir / "tianyu.db"
        if not path.exists():
            return 0
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                return int(connection.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def run(night: Path, folder: Path, plan: Sequence[Event]) -> Outcome:
    """Run, kill, start again, as the plan says; then let it finish, and run once more with other choices.

    That second run is killed as a whole, too, when there is a plan.
    """
    folder.mkdir(parents=True)
    events: Counter[Kind] = Counter()
    began = time.monotonic()
    work = Run(night, folder)
    try:
        for event in plan:
            _wait(work, event)
            time.sleep(event.jitter_s)
            events[event.kind] += _disturb(work, event)
        code = work.process.wait()
        first = work.count(SUCCEEDED)
        work.start_changed()
        if plan:
            _wait(work, Event(Kind.TREE, first + HALF_WAY, 0.0, 0))
            work.kill_tree()
            work.start()
            events[Kind.TREE] += 1
        code = code or work.process.wait()
    finally:
        work.end()
    url = f"sqlite:///{work.workdir / 'tianyu.db'}"
    wrong = [] if code == 0 else [f"the last run left with exit code {code}: {work.log.read_text()[-1500:]}"]
    return Outcome(
        processes=work.count(SUCCEEDED),
        first=first,
        snapshot=snapshot.take(url, work.workdir, APART),
        wrong=wrong + checks.books(url),
        seconds=time.monotonic() - began,
        attempts=checks.attempts(url),
        events=events,
        hits=Counter(events),
    )


def _wait(work: Run, event: Event) -> None:
    """Until so many processes have succeeded, and the victim is there."""
    last, since = -1, time.monotonic()
    while (count := work.count(SUCCEEDED)) < event.succeeded or not (
        event.kind in (Kind.TREE, Kind.MAIN) or any(map(workers_of, work.consumers()))
    ):
        if work.process.poll() is not None:
            raise AssertionError(f"`tianyu run` ended after {count} successes:\n{work.log.read_text()[-1500:]}")
        if count != last:
            last, since = count, time.monotonic()
        if time.monotonic() - since > STUCK_AFTER_S:
            raise AssertionError(f"stuck after {count} successes:\n{work.log.read_text()[-1500:]}")
        time.sleep(POLL_S)


def _disturb(work: Run, event: Event) -> int:
    generator = event.generator()
    if event.kind is Kind.TREE:
        work.kill_tree()
        work.start()
    elif event.kind is Kind.MAIN:
        work.kill_main()
        work.start()  # at once: the consumers that were left have not noticed yet
    else:
        consumers = work.consumers()
        workers = [worker for consumer in consumers for worker in workers_of(consumer)]
        victims = workers if event.kind is Kind.WORKER else consumers
        return signal_all([generator.choice(victims)] if victims else [], signal.SIGKILL)
    return 1
