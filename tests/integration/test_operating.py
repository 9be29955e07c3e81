"""What operators do while manager and consumers run: cancel, retry, pause, resume, on every engine."""

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, and_, func, not_, select
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.attempts import Failure, Usage
from schema.processes import (
    CANCELLED,
    FAILED,
    FINISHED,
    QUEUED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    UNFINISHED,
    WAITING,
    Lease,
    PausedGroup,
    Process,
    ProcessAttempt,
    ProcessDependence,
    ProcessGroup,
    Site,
)
from schema.queries import life, operating, publishing, scheduling
from schema.queries.publishing import NewProcess

PATIENCE_S = 120.0
WINDOW = 50
SITE, CPU, GPU = 1, 1, 2

Sessions = sessionmaker[Session]


@pytest.fixture
def engine(each_ready_url: str) -> Iterator[Engine]:
    engine = database.connect(each_ready_url)
    with database.session_factory(engine).begin() as session:
        session.add(Site(site_id=SITE, name="here", root="/nowhere"))
        session.add_all([ProcessGroup(group_id=CPU, name="cpu"), ProcessGroup(group_id=GPU, name="gpu")])
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    return database.session_factory(engine)


def process(
    pid: int, *, required: tuple[int, ...] = (), optional: tuple[int, ...] = (), group: str = "cpu"
) -> NewProcess:
    return NewProcess(
        pid=pid, graph_pid=1, command="check", parameters="{}", group=group, observation_id=None,
        required=required, optional=optional,
    )  # fmt: skip


def publish(sessions: Sessions, *processes: NewProcess) -> None:
    with sessions.begin() as session:
        publishing.publish(session, processes, site="here", choices_id=None)


def states(sessions: Sessions) -> dict[int, str]:
    with sessions() as session:
        return dict(session.execute(select(Process.pid, Process.status)).all())


def advance(sessions: Sessions) -> list[int]:
    return [ready.pid for ready in database.transact(sessions, lambda s: scheduling.advance(s, WINDOW).run(s)).ready]


def end(sessions: Sessions, pid: int, *, succeed: bool = True) -> None:
    with sessions.begin() as session:
        attempt = session.get_one(Process, pid).attempt + 1
        assert (
            life.claim(pid, attempt, site="here", group="cpu", worker="w", host="h", version="v", lease_s=60.0).run(
                session
            )
            is not None
        )
    with sessions.begin() as session:
        if succeed:
            assert life.succeed(pid, attempt, Usage(0.0)).run(session)
        else:
            assert life.fail(pid, attempt, Failure("data", "bad"), retry_in_s=None).run(session)


def do(sessions: Sessions, verb: Callable[[Session], object]) -> object:
    return database.transact(sessions, verb)


def test_a_paused_queue_starts_nothing_and_takes_back_what_is_queued(sessions: Sessions) -> None:
    publish(sessions, *(process(pid) for pid in range(1, 5)), process(5, group="gpu"))
    assert advance(sessions) == [1, 2, 3, 4, 5]
    with sessions.begin() as session:
        scheduling.mark_sent([1, 2, 3, 4, 5]).run(session)
        assert (
            life.claim(2, 1, site="here", group="cpu", worker="w", host="h", version="v", lease_s=60.0).run(session)
            is not None
        )
    assert do(sessions, lambda s: operating.pause(s, SITE, CPU)) == (True, 3)
    assert states(sessions) == {1: WAITING, 2: RUNNING, 3: WAITING, 4: WAITING, 5: QUEUED}
    assert advance(sessions) == []
    with sessions.begin() as session:
        # The messages that are still in the broker start nothing.
        assert (
            life.claim(1, 1, site="here", group="cpu", worker="w", host="h", version="v", lease_s=60.0).run(session)
            is None
        )
        assert life.succeed(2, 1, Usage(0.0)).run(session)  # what ran is finished
        assert scheduling.unsent(session) == []
    publish(sessions, process(6))
    assert advance(sessions) == []
    assert do(sessions, lambda s: operating.pause(s, SITE, CPU)) == (False, 0)
    assert do(sessions, lambda s: operating.resume(s, SITE, CPU)) is True
    assert do(sessions, lambda s: operating.resume(s, SITE, CPU)) is False
    assert advance(sessions) == [1, 3, 4, 6]
    end(sessions, 1)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(PausedGroup)) == 0


def test_a_pause_waits_for_a_manager_that_is_taking_what_is_ready(engine: Engine, sessions: Sessions) -> None:
    """Once `pause` has returned nothing is queued, however far the manager had come."""
    publish(sessions, *(process(pid) for pid in range(1, 5)))
    paused = threading.Event()

    def pause() -> None:
        do(sessions, lambda s: operating.pause(s, SITE, CPU))
        paused.set()

    thread = threading.Thread(target=pause)
    with sessions.begin() as session:
        assert len(scheduling.advance(session, WINDOW).run(session).ready) == 4
        thread.start()
        assert not paused.wait(0.3)
    thread.join(PATIENCE_S)
    assert paused.is_set()
    assert set(states(sessions).values()) == {WAITING}


def test_retry_and_cancel_work_while_paused(sessions: Sessions) -> None:
    publish(sessions, process(1), process(2, required=(1,)), process(3))
    advance(sessions)
    end(sessions, 1, succeed=False)
    do(sessions, lambda s: operating.pause(s, SITE, CPU))
    assert advance(sessions) == []
    assert do(sessions, lambda s: operating.retry(s, [1])) == [1, 2]
    assert do(sessions, lambda s: operating.cancel(s, [3])) == [3]
    assert advance(sessions) == []
    do(sessions, lambda s: operating.resume(s, SITE, CPU))
    assert advance(sessions) == [1]


def test_what_requires_a_failed_process_is_not_revived_without_it(sessions: Sessions) -> None:
    """3 requires both: retrying the one alone must not let it run without the other."""
    publish(sessions, process(1), process(2), process(3, required=(1, 2)), process(4, required=(3,)))
    advance(sessions)
    end(sessions, 1, succeed=False)
    end(sessions, 2, succeed=False)
    advance(sessions)
    assert states(sessions) == {1: FAILED, 2: FAILED, 3: SKIPPED, 4: SKIPPED}
    assert do(sessions, lambda s: operating.retry(s, [3, 4])) == []
    assert do(sessions, lambda s: operating.missing_requirement(s, 3)) == 1
    assert do(sessions, lambda s: operating.missing_requirement(s, 1)) is None
    assert do(sessions, lambda s: operating.retry(s, [1])) == [1]
    advance(sessions)
    end(sessions, 1)
    assert advance(sessions) == []
    assert do(sessions, lambda s: operating.retry(s, [2])) == [2, 3, 4]
    assert advance(sessions) == [2]
    for pid in (2, 3, 4):
        end(sessions, pid)
        advance(sessions)
    assert set(states(sessions).values()) == {SUCCEEDED}


def test_a_cancelled_graph_goes_on_after_retry(sessions: Sessions) -> None:
    publish(sessions, process(1), process(2, required=(1,)), process(3, optional=(1,), required=(2,)))
    advance(sessions)
    assert do(sessions, lambda s: operating.cancel(s, [1, 2, 3])) == [1, 2, 3]
    advance(sessions)
    assert do(sessions, lambda s: operating.retry(s, [2])) == []  # 1 stays cancelled
    assert do(sessions, lambda s: operating.retry(s, operating.pids_in(s, [CANCELLED]))) == [1, 2, 3]
    for pid in (1, 2, 3):
        assert advance(sessions) == [pid]
        end(sessions, pid)
    assert set(states(sessions).values()) == {SUCCEEDED}


def test_retry_never_touches_what_another_has_sent_back(sessions: Sessions) -> None:
    publish(sessions, process(1), process(2))
    advance(sessions)
    end(sessions, 1, succeed=False)
    assert do(sessions, lambda s: operating.retry(s, [1, 2])) == [1]
    advance(sessions)
    assert do(sessions, lambda s: operating.retry(s, [1, 2])) == []
    end(sessions, 1)
    assert states(sessions) == {1: SUCCEEDED, 2: QUEUED}


@pytest.mark.parametrize("required", [False, True])
def test_a_process_sent_back_while_an_end_is_counted_does_not_wait_for_it(sessions: Sessions, required: bool) -> None:
    """The manager passes over what is cancelled; it must not come back between that and the end's mark."""
    needs = {"required" if required else "optional": (1,)}
    publish(sessions, process(1), process(2, **needs))  # type: ignore[arg-type]
    advance(sessions)
    do(sessions, lambda s: operating.cancel(s, [2]))
    advance(sessions)
    end(sessions, 1)
    thread = threading.Thread(target=do, args=(sessions, lambda s: operating.retry(s, [2])))
    with sessions.begin() as session:
        assert scheduling.propagate(session) == 1
        thread.start()
        thread.join(0.5)  # long enough to come back wrongly
    thread.join(PATIENCE_S)
    assert_counts(sessions, exact=True)
    assert advance(sessions) == [2]


def test_long_lists_of_pids(sessions: Sessions) -> None:
    pids = range(1, 3501)
    publish(sessions, *(process(pid, optional=(pid - 1,) if pid % 7 == 0 else ()) for pid in pids))
    assert do(sessions, lambda s: operating.cancel(s, [*pids, *pids, 10_000])) == list(pids)
    while advance(sessions):
        pass
    assert do(sessions, lambda s: operating.retry(s, [*pids, *pids, 10_000])) == list(pids)
    assert_counts(sessions, exact=True)
    with sessions() as session:
        assert dict(session.execute(select(Process.pending, func.count()).group_by(Process.pending)).all()) == {
            0: 3000,
            1: 500,
        }


def assert_counts(sessions: Sessions, *, exact: bool) -> None:
    """What each waiting process waits for is what its dependencies say.

    Not ``exact``: a process that was taken back from its queue may wait for less, as it was ready before its optional
    dependency was retried.
    """
    child = Process.__table__.alias("child")
    uncounted = (
        select(func.count())
        .select_from(ProcessDependence)
        .join(Process, Process.pid == ProcessDependence.parent_pid)
        .where(
            ProcessDependence.child_pid == child.c.pid,
            not_(and_(Process.status.in_(FINISHED), Process.propagated.is_(True))),
        )
        .correlate(child)
        .scalar_subquery()
    )
    with sessions() as session:
        rows = session.execute(select(child.c.pid, child.c.pending, uncounted).where(child.c.status == WAITING)).all()
    wrong = [row for row in rows if (row[1] != row[2] if exact else row[1] > row[2])]
    assert not wrong


class System:
    """A manager and workers as threads, which check as they go that nothing runs before what it requires."""

    def __init__(self, sessions: Sessions, workers: int) -> None:
        self.sessions = sessions
        self.failing = True
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(self._manage,))]
        self._threads += [
            threading.Thread(target=self._guarded, args=(lambda seed=seed: self._work(seed),))
            for seed in range(workers)
        ]

    def __enter__(self) -> "System":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        assert not self.errors, self.errors

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            while not self._stop.is_set():
                work()
        except BaseException as error:
            self.errors.append(error)

    def _manage(self) -> None:
        database.transact(self.sessions, lambda session: scheduling.advance(session, WINDOW).run(session))
        self._stop.wait(0.005)

    def _work(self, seed: int) -> None:
        chance = random.Random(seed + time.monotonic_ns())
        with self.sessions() as session:
            queued = session.execute(select(Process.pid, Process.attempt).where(Process.status == QUEUED)).all()
        if not queued:
            self._stop.wait(0.005)
            return
        pid, last = chance.choice(queued)

        def claim(session: Session) -> life.Claim | None:
            return life.claim(
                pid, last + 1, site="here", group="cpu", worker=str(seed), host="h", version="v", lease_s=600.0
            ).run(session)

        if database.transact(self.sessions, claim) is None:
            return
        with self.sessions() as session:
            required = session.scalars(
                select(Process.status)
                .join(ProcessDependence, ProcessDependence.parent_pid == Process.pid)
                .where(ProcessDependence.child_pid == pid, ProcessDependence.required.is_(True))
            ).all()
            assert set(required) <= {SUCCEEDED}, f"{pid} runs before what it requires"

        def finish(session: Session) -> bool:
            draw = chance.random() if self.failing else 1.0
            if draw < 0.1:
                return life.fail(pid, last + 1, Failure("data", "bad"), retry_in_s=None).run(session)
            if draw < 0.2:
                return life.fail(pid, last + 1, Failure("transient", "away"), retry_in_s=0.0).run(session)
            return life.succeed(pid, last + 1, Usage(0.0)).run(session)

        database.transact(self.sessions, finish)


def tangle(width: int, layers: int, *, optional: bool) -> list[NewProcess]:
    """Layers in which each process needs three of the layer above; every third need may be optional."""
    processes = [process(pid) for pid in range(1, width + 1)]
    for layer in range(1, layers):
        above = [(layer - 1) * width + number + 1 for number in range(width)]
        for number in range(width):
            needs = [above[(number + step) % width] for step in (0, 1, 5)]
            cut = 2 if optional else 3
            processes.append(
                process(layer * width + number + 1, required=tuple(needs[:cut]), optional=tuple(needs[cut:]))
            )
    return processes


@pytest.mark.parametrize("optional", [False, True], ids=["all required", "some optional"])
def test_verbs_while_manager_and_workers_hammer(sessions: Sessions, optional: bool) -> None:
    """Whatever operators do meanwhile: nothing runs too early, nothing runs twice, nothing is stuck at the end."""
    processes = tangle(width=12, layers=8, optional=optional)
    publish(sessions, *processes)
    pids = [one.pid for one in processes]
    chance = random.Random(7)
    with System(sessions, workers=3) as system:
        for number in range(30):
            some = chance.sample(pids, 20)
            do(sessions, lambda s, some=some: operating.cancel(s, some[:8]))  # type: ignore[misc]
            do(sessions, lambda s, some=some: operating.retry(s, some))  # type: ignore[misc]
            if number % 4 == 0:
                do(sessions, lambda s: operating.pause(s, SITE, CPU))
                with sessions() as session:
                    assert session.scalar(select(func.count()).where(Process.status == QUEUED)) == 0
                do(sessions, lambda s: operating.resume(s, SITE, CPU))
            if system.errors:
                break
    database.transact(sessions, lambda s: scheduling.advance(s, WINDOW).run(s))
    assert_counts(sessions, exact=not optional)
    with System(sessions, workers=3) as system:
        system.failing = False
        deadline = time.monotonic() + PATIENCE_S
        while set(states(sessions).values()) != {SUCCEEDED} and time.monotonic() < deadline and not system.errors:
            # Those that ran while the first system stopped have no worker any more.
            stale = [pid for pid, state in states(sessions).items() if state in (FAILED, CANCELLED, SKIPPED)]
            do(sessions, lambda s, stale=stale: operating.retry(s, stale))  # type: ignore[misc]
            time.sleep(0.05)
    found = states(sessions)
    assert {pid: state for pid, state in found.items() if state != SUCCEEDED} == {}
    with sessions() as session:
        once = select(ProcessAttempt.pid, func.count()).where(ProcessAttempt.outcome == SUCCEEDED)
        assert dict(session.execute(once.group_by(ProcessAttempt.pid)).all()) == dict.fromkeys(pids, 1)
        assert session.scalar(select(func.count()).select_from(Lease)) == 0
        assert session.scalar(select(func.count()).where(Process.status.in_(UNFINISHED))) == 0
        assert session.scalar(select(func.count()).where(ProcessAttempt.finished_at.is_(None))) == 0
