"""A second attempt beside one that is slow, on every engine: the first to finish wins, and neither costs anything."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Engine, Select, func, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.attempts import Failure, Usage
from schema.base import utc_now
from schema.observing import Observation
from schema.processes import (
    CANCELLED,
    FAILED,
    LOST,
    OUTRUN,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    WAITING,
    Lease,
    Process,
    ProcessAttempt,
    ProcessGroup,
    Site,
)
from schema.queries import life, operating, publishing, scheduling, stragglers
from schema.queries.publishing import NewProcess
from schema.queries.scheduling import Ready
from schema.queries.services import ACTIVE, CONSUMER, HOLDING, Presence, announce
from tests.unit.services import made_up

LEASE_S = 60.0
SLOW, FAST = "tel1:10/0", "tel2:20/0"
USUAL_S, AT_WORK_S = 2.0, 60.0  # of others; of the slow one
FACTOR, LEAST_S = 4.0, 5.0
PID = 100  # of the slow one
TRANSIENT, BAD_FRAME = Failure("transient", "disk away"), Failure("data", "no stars")


@pytest.fixture
def engine(each_ready_url: str) -> Iterator[Engine]:
    engine = database.connect(each_ready_url)
    yield engine
    engine.dispose()


def consumer(session: Session, worker: str, *, state: str = ACTIVE, site: str = "here", group: str = "cpu") -> None:
    """It has one slot."""
    host, number = life.consumer_of(worker).split(":")
    presence = Presence(f"consumer:{host}:{number}:ab12", CONSUMER, host, "v", site, (group,), slots=1)
    announce(session, presence, state, LEASE_S)


class Straggling:
    """One straggler, five of its kind that have succeeded, and a consumer that is idle."""

    def __init__(self, engine: Engine, samples: int = stragglers.FEWEST_SAMPLES) -> None:
        self.engine = engine
        self.sessions: sessionmaker[Session] = database.session_factory(engine)
        with self.sessions.begin() as session:
            session.add_all([Site(site_id=1, name="here", root="/nowhere"), Site(name="there", root="/nowhere")])
            session.flush()
            session.add_all([ProcessGroup(name="cpu"), ProcessGroup(name="gpu")])
            session.flush()
            self.observation = made_up.add_observation(session)
            consumer(session, SLOW)
        self.publish(*range(1, samples + 1), PID)
        self.take()
        for pid in range(1, samples + 1):
            assert self.claim(pid, 1, FAST)
            assert self.succeed(pid, 1)
        assert self.claim(PID, 1, SLOW)
        with self.sessions.begin() as session:
            long_ago = update(ProcessAttempt).where(ProcessAttempt.pid == PID)
            session.execute(long_ago.values(started_at=utc_now(-AT_WORK_S)))

    def publish(self, *pids: int) -> None:
        processes = [
            NewProcess(
                pid=pid, graph_pid=1, command="check", parameters="{}", group="cpu",
                observation_id=self.observation, max_attempts=1,
            )
            for pid in pids
        ]  # fmt: skip
        with self.sessions.begin() as session:
            publishing.publish(session, processes, site="here", choices_id=None)

    def take(self) -> list[int]:
        return [ready.pid for ready in database.transact(self.sessions, scheduling.take_ready)]

    def offer(self, factor: float = FACTOR) -> list[Ready]:
        with self.sessions.begin() as session:
            return [ready for _, ready in stragglers.offer_seconds(session, factor, LEAST_S)]

    def claim(self, pid: int, attempt: int, worker: str) -> bool:
        where = {"site": "here", "group": "cpu", "worker": worker, "host": "h", "version": "v", "lease_s": LEASE_S}
        with self.sessions.begin() as session:
            return life.claim(pid, attempt, **where).run(session) is not None  # type: ignore[arg-type]

    def renew(self, attempt: int) -> bool:
        with self.sessions.begin() as session:
            return life.renew(PID, attempt, LEASE_S).run(session)

    def succeed(self, pid: int, attempt: int) -> bool:
        with self.sessions.begin() as session:
            return life.succeed(pid, attempt, Usage(USUAL_S)).run(session)

    def fail(self, attempt: int, failure: Failure, retry_in_s: float | None = None, outcome: str = FAILED) -> None:
        """As a consumer writes it down; the newer attempt's costs nothing where it may be tried again."""
        held = (PID, attempt, failure)
        with self.sessions.begin() as session:
            ended = life.fail(*held, retry_in_s=retry_in_s, spared=True, outcome=outcome).run(session)
            assert ended or life.let_go(*held, outcome=outcome).run(session)

    def pause(self) -> None:
        with self.sessions.begin() as session:
            [queue] = [one for one in scheduling.queues(session) if (one.site, one.group) == ("here", "cpu")]
            operating.pause(session, queue.site_id, queue.group_id)

    def process(self) -> tuple[str, int, int | None]:
        """State, attempt that counts, slow attempt."""
        with self.sessions() as session:
            process = session.get_one(Process, PID)
            return process.status, process.attempt, process.slow_attempt

    @property
    def outcomes(self) -> dict[int, str | None]:
        with self.sessions() as session:
            query = select(ProcessAttempt.attempt, ProcessAttempt.outcome).where(ProcessAttempt.pid == PID)
            return dict(session.execute(query).all())

    @property
    def leases(self) -> list[int]:
        with self.sessions() as session:
            return sorted(session.scalars(select(Lease.attempt).where(Lease.pid == PID)))


@pytest.fixture
def site(engine: Engine) -> Straggling:
    site = Straggling(engine)
    with site.sessions.begin() as session:
        consumer(session, FAST)
    return site


@pytest.fixture
def race(site: Straggling) -> Straggling:
    """Both are at work."""
    assert site.offer() == [Ready(PID, 2, "here", "cpu")]
    assert site.claim(PID, 2, FAST)
    assert site.process() == (RUNNING, 2, 1)
    return site


def test_a_second_attempt_is_offered_once_beside_the_slow_one(site: Straggling) -> None:
    assert site.offer() == [Ready(PID, 2, "here", "cpu")]
    assert site.process() == (QUEUED, 1, 1)
    assert site.offer() == []
    assert site.renew(1)
    assert site.claim(PID, 2, FAST)
    with site.sessions.begin() as session:  # the second is as slow, and there is yet another consumer
        session.execute(update(ProcessAttempt).where(ProcessAttempt.pid == PID).values(started_at=utc_now(-AT_WORK_S)))
        consumer(session, "tel3:30/0")
    assert site.offer() == []
    assert site.leases == [1, 2]


def queued_work(site: Straggling) -> None:
    site.publish(PID + 1)
    assert site.take() == [PID + 1]


def busy(site: Straggling) -> None:
    queued_work(site)
    assert site.claim(PID + 1, 1, FAST)


def away(**where: str) -> Callable[[Straggling], None]:
    def announce_again(site: Straggling) -> None:
        with site.sessions.begin() as session:
            session.execute(text("DELETE FROM service WHERE host = 'tel2'"))
            consumer(session, FAST, **where)

    return announce_again


def own_alone(site: Straggling) -> None:
    with site.sessions.begin() as session:
        session.execute(text("DELETE FROM service WHERE host = 'tel2'"))
        session.execute(text("UPDATE service SET slots = 2"))


def died(site: Straggling) -> None:
    with site.sessions.begin() as session:
        session.execute(update(Lease).where(Lease.pid == PID).values(lease_until=utc_now(-1.0)))


NOT_IDLE = {
    "others wait in the queue": queued_work,
    "the other consumer is busy": busy,
    "the queue is paused": Straggling.pause,
    "the other consumer holds": away(state=HOLDING),
    "the other consumer is of another site": away(site="there"),
    "the other consumer is of another group": away(group="gpu"),
    "its own consumer alone is idle": own_alone,
    "its worker is dead, and it is freed": died,
}


@pytest.mark.parametrize("reason", NOT_IDLE)
def test_none_is_offered_where_it_would_cost_somebody_something(site: Straggling, reason: str) -> None:
    NOT_IDLE[reason](site)
    assert site.offer() == []
    assert site.process()[2] is None


def test_none_is_offered_before_its_time_or_where_nobody_knows_what_is_usual(engine: Engine) -> None:
    site = Straggling(engine, samples=stragglers.FEWEST_SAMPLES - 1)
    with site.sessions.begin() as session:
        consumer(session, FAST)
    assert site.offer() == []
    site.publish(50)
    site.take()
    assert site.claim(50, 1, FAST)
    assert site.succeed(50, 1)
    assert site.offer(factor=2 * AT_WORK_S / USUAL_S) == []
    with site.sessions.begin() as session:
        session.execute(update(Process).where(Process.pid == 50).values(origin_pid=1))  # took no time of its own
    assert site.offer() == []
    with site.sessions.begin() as session:
        session.execute(update(Process).where(Process.pid == 50).values(origin_pid=None))
    assert site.offer() == [Ready(PID, 2, "here", "cpu")]


@pytest.mark.parametrize(
    ("others", "binning", "offered"),
    [
        (stragglers.FEWEST_SAMPLES, "1x1", 1),
        (stragglers.FEWEST_SAMPLES, "2x2", 0),
        (stragglers.FEWEST_SAMPLES - 1, "1x1", 0),
    ],
)
def test_what_is_done_once_a_night_is_compared_with_other_nights_of_its_camera(
    engine: Engine, others: int, binning: str, offered: int
) -> None:
    site = Straggling(engine, samples=0)
    with site.sessions.begin() as session:
        consumer(session, FAST)
        for pid in range(1, others + 1):
            observation = made_up.add_observation(session, night=made_up.NIGHT + timedelta(days=pid))
            made_up.add_process(session, pid, "check", SUCCEEDED, observation, seconds=USUAL_S)
            session.get_one(Observation, observation).binning = binning
    assert len(site.offer()) == offered


def test_no_more_are_offered_than_slots_are_idle(site: Straggling) -> None:
    site.publish(PID + 1)
    site.take()
    assert site.claim(PID + 1, 1, "tel3:30/0")
    with site.sessions.begin() as session:
        session.execute(update(ProcessAttempt).values(started_at=utc_now(-AT_WORK_S)))
    assert [ready.pid for ready in site.offer()] == [PID]


@pytest.mark.parametrize(("winner", "loser"), [(1, 2), (2, 1)])
def test_the_first_to_finish_wins_and_the_other_commits_nothing(race: Straggling, winner: int, loser: int) -> None:
    assert race.renew(1)
    assert race.renew(2)
    assert race.succeed(PID, winner)
    assert not race.succeed(PID, loser)
    assert not race.renew(loser)
    assert race.process() == (SUCCEEDED, winner, None)
    assert race.outcomes == {winner: SUCCEEDED, loser: OUTRUN}
    assert race.leases == []
    assert not race.claim(PID, 2, "tel3:30/0")
    assert not race.claim(PID, 3, "tel3:30/0")


def test_a_slow_one_that_finishes_before_the_other_is_claimed_leaves_a_late_message(site: Straggling) -> None:
    site.offer()
    assert site.succeed(PID, 1)
    assert not site.claim(PID, 2, FAST)
    assert site.process() == (SUCCEEDED, 1, None)


@pytest.mark.parametrize(("failure", "outcome"), [(TRANSIENT, FAILED), (BAD_FRAME, FAILED), (TRANSIENT, LOST)])
def test_when_the_slow_one_fails_or_dies_the_other_goes_on(race: Straggling, failure: Failure, outcome: str) -> None:
    race.fail(1, failure, outcome=outcome)
    assert race.process() == (RUNNING, 2, None)
    assert race.leases == [2]
    assert not race.succeed(PID, 1)
    assert race.succeed(PID, 2)
    assert race.outcomes == {1: outcome, 2: SUCCEEDED}


def test_when_the_other_dies_the_slow_one_goes_on_and_no_attempt_is_used_up(race: Straggling) -> None:
    with race.sessions.begin() as session:
        fast = (Lease.pid == PID, Lease.attempt == 2)
        session.execute(update(Lease).where(*fast).values(lease_until=utc_now(-1.0)))
        [lost] = life.expired_leases(session)
        assert (lost.attempt, lost.max_attempts, lost.beside) == (2, 2, True)
    race.fail(2, TRANSIENT, retry_in_s=0.0, outcome=LOST)
    assert race.process() == (WAITING, 2, 1)
    with race.sessions() as session:
        assert session.get_one(Process, PID).max_attempts == 3
    assert race.succeed(PID, 1)
    assert race.process() == (SUCCEEDED, 1, None)
    assert race.outcomes == {1: SUCCEEDED, 2: LOST}


def test_what_fails_for_good_in_the_other_takes_the_slow_one_with_it(race: Straggling) -> None:
    race.fail(2, BAD_FRAME)
    assert race.process() == (FAILED, 2, None)
    assert race.outcomes == {1: OUTRUN, 2: FAILED}
    assert race.leases == []
    assert not race.succeed(PID, 1)


@pytest.mark.parametrize("claimed", [False, True])
def test_cancelling_ends_both(site: Straggling, claimed: bool) -> None:
    site.offer()
    if claimed:
        assert site.claim(PID, 2, FAST)
    with site.sessions.begin() as session:
        assert operating.cancel(session, [PID]) == [PID]
    assert not site.succeed(PID, 1)
    assert not site.succeed(PID, 2)
    assert site.process() == (CANCELLED, 1 + claimed, None)
    assert set(site.outcomes.values()) == {CANCELLED}
    assert site.leases == []


def test_a_pause_takes_the_second_back_and_leaves_the_slow_one_at_work(site: Straggling) -> None:
    site.offer()
    site.pause()
    assert site.process() == (WAITING, 1, 1)
    assert site.take() == []
    assert not site.claim(PID, 2, FAST)
    assert site.succeed(PID, 1)
    assert site.process() == (SUCCEEDED, 1, None)


def test_the_consumer_that_is_slow_does_not_get_it_and_hands_it_on(site: Straggling) -> None:
    site.offer()
    with site.sessions.begin() as session:
        scheduling.mark_sent([PID]).run(session)
    beside = SLOW.replace("/0", "/1")
    assert not site.claim(PID, 2, beside)
    with site.sessions.begin() as session:
        assert scheduling.unsent(session) == []
        assert stragglers.hand_on(PID, 2).run(session)
        assert [ready.pid for ready in scheduling.unsent(session)] == [PID]
    assert site.claim(PID, 2, FAST)
    with site.sessions.begin() as session:
        assert not stragglers.hand_on(PID, 2).run(session)


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)  # SQLite has one writer
def test_whose_commit_is_under_way_is_left_alone(site: Straggling) -> None:
    """A worker that is frozen in it must not freeze the manager."""
    with site.sessions.begin() as worker:
        assert life.succeed(PID, 1, Usage(USUAL_S)).run(worker)
        assert site.offer() == []


def plan_of(engine: Engine, query: ClauseElement, parameters: Mapping[str, object]) -> str:
    statement = query.params(parameters).compile(engine, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        return str(connection.exec_driver_sql(f"{explain} {statement}".replace("%", "%%")).mappings().all())


def test_looking_for_stragglers_walks_indexes(engine: Engine, site: Straggling) -> None:
    site.publish(*range(1000, 3000))
    with site.sessions.begin() as session:
        many = (Process.pid >= 1000, Process.pid < 2900)
        session.execute(update(Process).where(*many).values(status=SUCCEEDED, attempt=1, finished_at=utc_now()))
        for pid in range(1000, 2940):
            attempt = ProcessAttempt(pid=pid, attempt=1, worker=FAST, host="h", version="v", started_at=utc_now())
            session.add(attempt)
            if pid >= 2900:
                session.add(Lease(pid=pid, attempt=1, worker=FAST, lease_until=utc_now(LEASE_S)))
        assert session.scalar(select(func.count()).select_from(Lease)) == 41
        if engine.dialect.name != "sqlite":  # statistics as a server has them after a while
            session.execute(text("ANALYZE TABLE process, process_attempt, lease"))
    alike: dict[str, object] = {"observations": [site.observation], "command": "check", "most": stragglers.SAMPLES}
    queries: tuple[tuple[Select[Any], dict[str, object], str], ...] = (
        (stragglers.LONG_AT_WORK, {"before_s": -LEAST_S}, stragglers.LEASE_INDEX),
        (stragglers.ALIKE, alike, stragglers.ALIKE_INDEX),
        (stragglers.ALIKE_ELSEWHERE, alike | {"observations": list(range(50))}, stragglers.ALIKE_INDEX),
    )
    for query, parameters, index in queries:
        plan = plan_of(engine, query, parameters)
        assert index in plan, plan
        assert "'type': 'ALL'" not in plan, plan
        assert "SCAN" not in plan, plan
    # In the order of the index: the newest are read and no more. (SQLite's has no PID in it; its sites are small.)
    assert "filesort" not in plan_of(engine, stragglers.ALIKE, alike)
