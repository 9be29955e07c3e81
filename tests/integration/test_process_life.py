"""The life of a process in SQL, on every engine: guards, counting, retries, cancelling, leases."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

import pytest
from sqlalchemy import ClauseElement, Engine, func, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.attempts import Claim, Failure, Usage
from schema.base import utc_now
from schema.database import KeptConnection
from schema.driver import JoiningConnection
from schema.processes import (
    CANCELLED,
    FAILED,
    QUEUED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    Lease,
    Process,
    ProcessAttempt,
    ProcessGroup,
    Site,
)
from schema.queries import attempt_history, life, operating, publishing, scheduling
from schema.queries.publishing import NewProcess

LEASE_S = 60.0
USAGE = Usage(seconds=1.0, cpu_seconds=0.5, max_rss_bytes=1, read_bytes=2, write_bytes=3)
TRANSIENT = Failure("transient", "disk away", "Traceback …")
AWAY = Failure("surroundings", "disk away")


@pytest.fixture
def engine(each_ready_url: str) -> Iterator[Engine]:
    engine = database.connect(each_ready_url)
    with database.session_factory(engine).begin() as session:
        session.add_all([Site(name="here", root="/nowhere"), ProcessGroup(name="cpu")])
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return database.session_factory(engine)


def process(pid: int, *, required: tuple[int, ...] = (), optional: tuple[int, ...] = (), **more: int) -> NewProcess:
    return NewProcess(
        pid=pid, graph_pid=1, command="check", parameters="{}", group="cpu", observation_id=None,
        required=required, optional=optional, **more,
    )  # fmt: skip


def publish(sessions: sessionmaker[Session], *processes: NewProcess) -> None:
    with sessions.begin() as session:
        publishing.publish(session, processes, site="here", choices_id=None)


def status(sessions: sessionmaker[Session]) -> dict[int, str]:
    with sessions.begin() as session:
        return dict(session.execute(select(Process.pid, Process.status)).all())


def count(sessions: sessionmaker[Session]) -> None:
    while database.transact(sessions, scheduling.propagate):
        pass


def take(sessions: sessionmaker[Session]) -> list[int]:
    return [ready.pid for ready in database.transact(sessions, scheduling.take_ready)]


def claim(
    sessions: sessionmaker[Session],
    pid: int,
    attempt: int = 1,
    lease_s: float = LEASE_S,
    worker: str = "w",
    site: str = "here",
    group: str = "cpu",
) -> Claim | None:
    with sessions.begin() as session:
        return life.claim(
            pid, attempt, site=site, group=group, worker=worker, host="h", version="v", lease_s=lease_s
        ).run(session)


def run(sessions: sessionmaker[Session], pid: int, *, succeed: bool = True, attempt: int = 1) -> None:
    assert claim(sessions, pid, attempt) is not None
    with sessions.begin() as session:
        if succeed:
            assert life.succeed(pid, attempt, USAGE).run(session)
        else:
            assert life.fail(pid, attempt, Failure("data", "bad frame"), retry_in_s=None).run(session)


def test_a_graph_runs_in_order_of_its_dependencies(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1), process(2, required=(1,)), process(3, required=(1,)), process(4, required=(2, 3)))
    assert take(sessions) == [1]
    run(sessions, 1)
    assert take(sessions) == []  # not before the end of 1 is counted
    count(sessions)
    assert take(sessions) == [2, 3]
    run(sessions, 3)
    count(sessions)
    assert take(sessions) == []
    run(sessions, 2)
    count(sessions)
    count(sessions)  # a second count changes nothing
    assert take(sessions) == [4]
    run(sessions, 4)
    assert set(status(sessions).values()) == {SUCCEEDED}


def test_a_graph_is_published_whole_or_not_at_all(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(2))
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        publish(sessions, process(1), process(2))
    assert status(sessions) == {2: WAITING}


def test_a_process_may_name_each_frame_of_a_long_night(sessions: sessionmaker[Session]) -> None:
    """100,000 frames; a text of MySQL would end after 3,276 PIDs."""
    named = f'{{"frames":{list(range(10**18, 10**18 + 100_000))}}}'
    publish(sessions, process(1)._replace(parameters=named))
    take(sessions)
    found = claim(sessions, 1)
    assert found is not None
    assert found.parameters == named


def test_priority_goes_before_pid(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1), process(2, priority=-5), process(3))
    assert take(sessions) == [2, 1, 3]


def test_optional_dependencies_need_only_be_finished(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1), process(2), process(3, optional=(1, 2)))
    take(sessions)
    run(sessions, 1, succeed=False)
    count(sessions)
    assert take(sessions) == []
    run(sessions, 2)
    count(sessions)
    assert take(sessions) == [3]


def test_what_requires_a_failed_process_is_skipped_down_the_graph(sessions: sessionmaker[Session]) -> None:
    publish(
        sessions,
        process(1),
        process(2),
        process(3, required=(1, 2)),
        process(4, required=(3,)),
        process(5, optional=(4,), required=(2,)),
    )
    take(sessions)
    run(sessions, 1, succeed=False)
    run(sessions, 2)
    count(sessions)
    assert status(sessions) == {1: FAILED, 2: SUCCEEDED, 3: SKIPPED, 4: SKIPPED, 5: WAITING}
    assert take(sessions) == [5]


def test_a_duplicate_or_late_message_claims_nothing(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1))
    assert claim(sessions, 1) is None  # not queued yet
    take(sessions)
    assert claim(sessions, 1, attempt=2) is None
    assert claim(sessions, 1) is not None
    assert claim(sessions, 1, worker="another") is None
    with sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(ProcessAttempt)) == 1


def test_a_transient_failure_waits_and_is_tried_again(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1), process(2, required=(1,)))
    take(sessions)
    claim(sessions, 1)
    with sessions.begin() as session:
        assert life.fail(1, 1, TRANSIENT, retry_in_s=3600.0, usage=USAGE).run(session)
    count(sessions)
    assert status(sessions) == {1: WAITING, 2: WAITING}
    assert take(sessions) == []  # not before its time
    with sessions.begin() as session:
        session.execute(update(Process).where(Process.pid == 1).values(not_before=utc_now(-1.0)))
    assert take(sessions) == [1]
    assert claim(sessions, 1, attempt=1) is None  # the first message, delivered late
    run(sessions, 1, attempt=2)
    count(sessions)
    assert take(sessions) == [2]
    with sessions.begin() as session:
        outcomes = session.execute(select(ProcessAttempt.attempt, ProcessAttempt.outcome, ProcessAttempt.traceback))
        assert outcomes.all() == [(1, FAILED, "Traceback …"), (2, SUCCEEDED, None)]


def test_an_attempt_that_is_spared_leaves_as_many_as_before(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1))

    def attempt(number: int, failure: Failure, *, spared: bool) -> tuple[int, int]:
        """Fails; how many attempts are left, and how many of the last were the surroundings' fault."""
        assert take(sessions) == [1]
        assert claim(sessions, 1, attempt=number) is not None
        with sessions.begin() as session:
            # As a consumer asks, of those that have ended.
            before = attempt_history.alike_in_a_row(session, 1, AWAY.error_class)
            assert life.fail(1, number, failure, retry_in_s=0.0, spared=spared).run(session)
            assert not life.fail(1, number, failure, retry_in_s=0.0, spared=spared).run(session)
        with sessions.begin() as session:
            row = session.get_one(Process, 1)
            assert row.error_class == failure.error_class
            return row.max_attempts - row.attempt, before

    assert attempt(1, AWAY, spared=True) == (3, 0)
    assert attempt(2, AWAY, spared=True) == (3, 1)
    assert attempt(3, TRANSIENT, spared=False) == (2, 2)
    assert attempt(4, AWAY, spared=True) == (2, 0)
    assert attempt(5, AWAY, spared=True) == (2, 1)
    assert take(sessions) == [1]
    run(sessions, 1, attempt=6)
    assert status(sessions) == {1: SUCCEEDED}


def test_a_worker_that_lost_its_lease_commits_nothing(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1))
    take(sessions)
    claim(sessions, 1, lease_s=-1.0)
    with sessions.begin() as session:
        assert [row[:2] for row in life.expired_leases(session)] == [(1, 1)]
        assert life.fail(1, 1, TRANSIENT, retry_in_s=0.0, outcome="lost").run(session)
    with sessions.begin() as session:
        assert not life.renew(1, 1, LEASE_S).run(session)
        assert not life.succeed(1, 1, USAGE).run(session)
        assert not life.fail(1, 1, TRANSIENT, retry_in_s=None).run(session)
    assert take(sessions) == [1]
    assert claim(sessions, 1, attempt=2) is not None
    with sessions.begin() as session:
        assert not life.succeed(1, 1, USAGE).run(session)  # and what it says of its attempt is not written either
        assert not life.fail(1, 1, TRANSIENT, retry_in_s=None).run(session)
        outcomes = session.execute(select(ProcessAttempt.attempt, ProcessAttempt.outcome, ProcessAttempt.cpu_seconds))
        assert outcomes.all() == [(1, "lost", None), (2, None, None)]
        assert session.execute(select(Lease.pid, Lease.attempt)).all() == [(1, 2)]
        assert life.succeed(1, 2, USAGE).run(session)
        assert session.scalar(select(func.count()).select_from(Lease)) == 0


def test_a_claim_is_one_round_trip_and_a_finish_two(
    engine: Engine, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(sessions, process(1))
    take(sessions)
    sent: list[object] = []
    execute = JoiningConnection._execute_command
    monkeypatch.setattr(
        JoiningConnection, "_execute_command", lambda self, *command: (sent.append(command), execute(self, *command))
    )

    kept = KeptConnection(engine)
    with kept.begin():
        """The kept connection is open, and asked nothing."""
    sent.clear()
    claiming = life.claim(1, 1, site="here", group="cpu", worker="w", host="h", version="v", lease_s=LEASE_S)
    assert not sent, "a batch that was not run does nothing"
    claimed = database.transact(kept, claiming.commit)
    to_claim = len(sent)
    assert database.transact(kept, life.succeed(1, 1, USAGE).run)
    to_finish = len(sent) - to_claim
    kept.close()
    assert claimed is not None
    assert (to_claim, to_finish) == ((0, 0) if engine.dialect.name == "sqlite" else (1, 2)), sent
    assert status(sessions) == {1: SUCCEEDED}


def test_leases_are_renewed_by_the_clock_of_the_database(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1))
    take(sessions)
    claim(sessions, 1, lease_s=-1.0)
    with sessions.begin() as session:
        assert life.renew(1, 1, LEASE_S).run(session)
        assert life.expired_leases(session) == []


def test_cancelled_work_never_starts_and_running_work_is_fenced(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1), process(2), process(3), process(4, required=(1,)), process(5))
    take(sessions)
    claim(sessions, 2)
    run(sessions, 5)
    with sessions.begin() as session:
        assert operating.cancel(session, [1, 2, 5]) == [1, 2]
    assert claim(sessions, 1) is None
    with sessions.begin() as session:
        assert not life.succeed(2, 1, USAGE).run(session)
    count(sessions)
    assert status(sessions) == {1: CANCELLED, 2: CANCELLED, 3: QUEUED, 4: SKIPPED, 5: SUCCEEDED}


@pytest.mark.parametrize("counted", [False, True])
def test_retry_revives_what_was_skipped_and_counts_anew(sessions: sessionmaker[Session], counted: bool) -> None:
    publish(
        sessions,
        process(1),
        process(2),
        process(3, required=(1, 2)),
        process(4, required=(3,), optional=(2,)),
        process(5, optional=(1,), required=(2,)),
    )
    take(sessions)
    run(sessions, 1, succeed=False)
    run(sessions, 2)
    if counted:
        count(sessions)
    with sessions.begin() as session:
        assert operating.retry(session, [1, 2]) == ([1, 3, 4] if counted else [1])
    count(sessions)
    assert take(sessions) == [1]
    run(sessions, 1, attempt=2)
    count(sessions)
    assert take(sessions) == [3, 5]
    run(sessions, 3)
    count(sessions)
    assert take(sessions) == [4]


def test_retry_revives_what_failed_or_was_skipped_behind_in_other_graphs_too(sessions: sessionmaker[Session]) -> None:
    """A master's frames, and what found nothing to work on, of two nights; what went on without it stays."""
    publish(sessions, process(1))
    for graph in (10, 20):
        first, second, third = graph, graph + 1, graph + 2
        night = (process(first, required=(1,)), process(second, optional=(first,)), process(third, optional=(1,)))
        publish(sessions, *(one._replace(graph_pid=graph) for one in night))
    take(sessions)
    run(sessions, 1, succeed=False)
    count(sessions)
    count(sessions)
    assert take(sessions) == [11, 12, 21, 22]
    for pid, good in ((11, False), (12, True), (21, False), (22, True)):
        run(sessions, pid, succeed=good)
    count(sessions)
    with sessions.begin() as session:
        assert operating.retry(session, [1]) == [1, 10, 11, 20, 21]
    count(sessions)
    assert take(sessions) == [1]
    run(sessions, 1, attempt=2)
    count(sessions)
    assert take(sessions) == [10, 20]
    run(sessions, 10)
    count(sessions)
    assert take(sessions) == [11]


def test_a_parent_published_before_counts_until_its_end_is_counted(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1), process(2))
    take(sessions)
    run(sessions, 1)
    publish(sessions, process(3, required=(1, 2)))
    count(sessions)
    publish(sessions, process(4, required=(1,)))
    assert take(sessions) == [4]
    run(sessions, 2)
    count(sessions)
    assert take(sessions) == [3]


def test_unsent_and_lost_messages_are_found(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1), process(2))
    assert take(sessions) == [1, 2]
    with sessions.begin() as session:
        scheduling.mark_sent([1]).run(session)
        assert [ready.pid for ready in scheduling.unsent(session)] == [2]
        assert scheduling.queued_since(session, 0.0) in ({("here", "cpu"): 1}, {})
    with sessions.begin() as session:
        session.execute(update(Process).where(Process.pid == 1).values(sent_at=utc_now(-100.0)))
        assert scheduling.queued_since(session, 30.0) == {("here", "cpu"): 1}
        scheduling.forget_sent(session, "here", "cpu", 30.0)
        assert [ready.pid for ready in scheduling.unsent(session)] == [1, 2]


def plan_of(engine: Engine, query: ClauseElement, parameters: dict[str, object]) -> str:
    """What the database says that it will do, for a query with its parameters written in."""
    statement = query.params(parameters).compile(engine, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        return str(connection.exec_driver_sql(f"{explain} {statement}".replace("%", "%%")).mappings().all())


def test_ready_rows_are_taken_in_the_order_of_an_index(engine: Engine, sessions: sessionmaker[Session]) -> None:
    publish(sessions, *(process(pid, optional=(1,) if pid > 1 else ()) for pid in range(1, 2001)))
    queue = {"queue_site": 1, "queue_group": 1, "room": 100}
    plan = plan_of(engine, scheduling.READY, queue)
    assert scheduling.READY_INDEX in plan
    assert "filesort" not in plan
    assert "TEMP B-TREE" not in plan


def test_queries_of_every_cycle_walk_an_index(engine: Engine, sessions: sessionmaker[Session]) -> None:
    publish(sessions, *(process(pid, optional=(pid - 1,) if pid > 1 else ()) for pid in range(1, 2001)))
    take(sessions)
    with sessions.begin() as session:  # statistics as a server has them after a while
        if engine.dialect.name != "sqlite":
            session.execute(text("ANALYZE TABLE process, process_dependence, lease"))
    for query, parameters, index in (
        (scheduling.ENDED, {"most": 1000}, scheduling.ENDED_INDEX),
        (scheduling.QUEUED_BY_QUEUE, {}, scheduling.READY_INDEX),
        (scheduling.EDGES, {"pids": [1, 2, 3]}, "PRIMARY"),
        (life.EXPIRED, {}, "ix_lease_lease_until"),
    ):
        plan = plan_of(engine, query, parameters)
        if engine.dialect.name == "sqlite" and index == "PRIMARY":
            index = "sqlite_autoindex_process_dependence_1"
        assert index in plan, plan
        assert "'type': 'ALL'" not in plan, plan
        assert "SCAN process " not in plan, plan


def test_two_managers_never_take_the_same_row(engine: Engine, sessions: sessionmaker[Session]) -> None:
    publish(sessions, *(process(pid) for pid in range(1, 21)))
    if engine.dialect.name == "sqlite":  # one writer at a time: the second waits for the first
        assert len(take(sessions)) == 20
        assert take(sessions) == []
        return
    with sessions.begin() as first, sessions.begin() as second:
        one = {ready.pid for ready in scheduling.take_ready(first, window=10)}
        two = {ready.pid for ready in scheduling.take_ready(second, window=10)}
        assert not one & two
        assert len(one) == len(two) == 10


def test_a_window_keeps_later_work_of_better_priority_near(sessions: sessionmaker[Session]) -> None:
    publish(sessions, *(process(pid, priority=10) for pid in range(1, 11)))

    def take_window() -> list[int]:
        return [ready.pid for ready in database.transact(sessions, lambda s: scheduling.take_ready(s, window=3))]

    assert take_window() == [1, 2, 3]
    assert take_window() == []
    publish(sessions, process(99, priority=0))
    run(sessions, 1)
    assert take_window() == [99]
    run(sessions, 2)
    assert take_window() == [4]


YEAR_2200 = datetime(2200, 1, 1)  # in UTC, as all of the database's times


def test_pids_go_by_the_clock_of_the_database(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: YEAR_2200.timestamp())  # of a host whose clock is wrong
    with sessions.begin() as session:
        first, last = islice(publishing.new_pids(session), 2)
        assert first < next(publishing.pids_from(YEAR_2200 - timedelta(days=366)))
        assert next(publishing.new_pids(session, last)) > last


def test_what_is_published_later_has_the_greater_pids_also_after_a_wrong_clock(
    sessions: sessionmaker[Session],
) -> None:
    late = next(publishing.pids_from(YEAR_2200))
    publish(sessions, process(late))
    for _ in range(2):
        with sessions.begin() as session:
            new = next(publishing.new_pids(session))
        assert late < new < late + 2 * publishing.PIDS_PER_MS
        late = new
        publish(sessions, process(late))
    assert take(sessions)[-1] == late


@pytest.mark.parametrize(("site", "group"), [("there", "cpu"), ("here", "gpu"), ("nowhere", "cpu")])
def test_a_message_in_the_wrong_queue_claims_nothing(sessions: sessionmaker[Session], site: str, group: str) -> None:
    with sessions.begin() as session:
        session.add_all([Site(name="there", root="/elsewhere"), ProcessGroup(name="gpu")])
    publish(sessions, process(1))
    take(sessions)
    assert claim(sessions, 1, site=site, group=group) is None
    with sessions.begin() as session:
        assert life.address(session, 1) == ("here", "cpu")
        assert life.address(session, 2) is None
        assert session.scalar(select(func.count()).select_from(Lease)) == 0
    assert claim(sessions, 1) is not None


def test_a_claim_repeated_by_its_own_worker_is_the_same_claim(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1))
    take(sessions)
    first = claim(sessions, 1)
    assert first is not None
    assert claim(sessions, 1) == first
    with sessions.begin() as session:
        assert (
            life.claim(1, 1, site="here", group="cpu", worker="other", host="h", version="v", lease_s=1.0).run(session)
            is None
        )
        assert life.succeed(1, 1, Usage(0.0)).run(session)
    assert claim(sessions, 1) is None


def test_running_is_a_state_between_claim_and_end(sessions: sessionmaker[Session]) -> None:
    publish(sessions, process(1))
    take(sessions)
    claim(sessions, 1)
    assert status(sessions) == {1: RUNNING}
