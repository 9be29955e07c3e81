"""The same operations as the model's, by the real queries, each in a transaction of its own as in the services."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import BigInteger, Column, Engine, Integer, MetaData, Table, delete, func, insert, select, update
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.attempts import Claim, Failure, Usage
from schema.base import table_of, utc_now
from schema.prepared import Prepared, run
from schema.processes import (
    FAILED,
    FINISHED,
    LOST,
    SUCCEEDED,
    Lease,
    PausedGroup,
    Process,
    ProcessAttempt,
    ProcessDependence,
    ProcessGroup,
    Site,
)
from schema.queries import life, operating, publishing, reading, scheduling, stragglers
from schema.queries.publishing import NewProcess
from schema.queries.scheduling import Ready
from tests.model.facts import Facts, facts_of, seen
from tests.model.reference import MORE_ATTEMPTS, Claimed, Message, Model, Node, Queue

LEASE_S = DELAY_S = 36_000.0  # longer than any test: time passes only where a test says so
USAGE = Usage(seconds=1.0)
TRANSIENT = Failure("transient", "disk away")
QUEUES: tuple[Queue, ...] = (("here", "cpu"), ("here", "gpu"), ("there", "cpu"), ("there", "gpu"))

# What a worker makes. No key: a second row of the same process must be seen and not be refused.
OUTPUT = Table(
    "life_model_output",
    MetaData(),
    Column("output_id", Integer, primary_key=True),
    Column("pid", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
)
_process, _lease, _attempt = table_of(Process), table_of(Lease), table_of(ProcessAttempt)
_paused, _edge = table_of(PausedGroup), table_of(ProcessDependence)
_p, _l, _a = _process.c, _lease.c, _attempt.c
# They are asked after each step.
FACTS = tuple(
    map(
        Prepared,
        (
            select(
                *(_p.pid, _p.status, _p.attempt, _p.max_attempts, _p.pending, _p.propagated, _p.sent_at),
                *(_p.slow_attempt, _p.finished_at, _p.not_before > utc_now()),
            ).order_by(_p.pid),
            select(_l.pid, _l.attempt, _l.worker, _l.lease_until < utc_now()).order_by(_l.pid, _l.attempt),
            select(_a.pid, _a.attempt, _a.outcome, _a.finished_at).order_by(_a.pid, _a.attempt),
            select(OUTPUT.c.pid, OUTPUT.c.attempt),
            select(_p.pid, _p.origin_pid).where(_p.origin_pid.is_not(None)).order_by(_p.pid),
            select(_paused.c.site_id, _paused.c.group_id),
        ),
    )
)

Result = TypeVar("Result")


class DiedError(Exception):
    """A worker died with its transaction open."""


class Sql:
    """The database, asked as the services ask it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self.sessions = database.session_factory(engine)
        OUTPUT.create(engine, checkfirst=True)
        with self.sessions.begin() as session:
            session.add_all([Site(name=name, root="/nowhere") for name in ("here", "there")])
            session.flush()
            session.add_all([ProcessGroup(name=name) for name in ("cpu", "gpu")])
        with self.sessions.begin() as session:
            self._key = {(q.site, q.group): (q.site_id, q.group_id) for q in scheduling.queues(session)}
        assert tuple(self._key) == QUEUES

    def clear(self) -> None:
        """Forget all processes."""
        with self.sessions.begin() as session:
            for table in (OUTPUT, _lease, _attempt, _edge, _paused, _process):
                session.execute(delete(table))

    def load(self, model: Model) -> None:
        """Put the database in the state of the model."""
        self.clear()
        facts = facts_of(model)
        with self.sessions.begin() as session:
            for pid, row in model.rows.items():
                site_id, group_id = self._key[row.node.queue]
                session.execute(
                    insert(_process).values(
                        pid=pid,
                        graph_pid=1,
                        command="check",
                        parameters="{}",
                        site_id=site_id,
                        group_id=group_id,
                        status=row.status,
                        priority=row.node.priority,
                        pending=row.pending,
                        propagated=row.propagated,
                        attempt=row.attempt,
                        max_attempts=row.max_attempts,
                        not_before=utc_now(DELAY_S) if row.delayed else None,
                        sent_at=utc_now() if row.sent else None,
                        slow_attempt=row.slow,
                        slow_consumer=row.slow_consumer if row.slow is not None else None,
                        created_at=utc_now(),
                        finished_at=utc_now() if row.status in FINISHED else None,
                    )
                )
            for pid, row in model.rows.items():
                for required, parents in ((True, row.node.required), (False, row.node.optional)):
                    for parent in parents:
                        session.execute(insert(_edge).values(parent_pid=parent, child_pid=pid, required=required))
            for (pid, attempt), outcome in model.attempts.items():
                session.execute(
                    insert(_attempt).values(
                        pid=pid,
                        attempt=attempt,
                        worker="w",
                        host="h",
                        version="v",
                        outcome=outcome,
                        started_at=utc_now(),
                        finished_at=utc_now() if outcome else None,
                    )
                )
            for (pid, attempt), (worker, expired) in facts.leases.items():
                until = utc_now(-1.0 if expired else LEASE_S)
                session.execute(insert(_lease).values(pid=pid, attempt=attempt, worker=worker, lease_until=until))
            for pid, origin in model.origins.items():
                session.execute(update(_process).where(_process.c.pid == pid).values(origin_pid=origin))
            for pid, attempt in model.outputs:
                session.execute(insert(OUTPUT).values(pid=pid, attempt=attempt))
            for queue in model.paused:
                site_id, group_id = self._key[queue]
                session.execute(insert(_paused).values(site_id=site_id, group_id=group_id, paused_at=utc_now()))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """All that is done inside is undone at the end: much quicker than to load the same state again."""
        usual = self.sessions
        with self.engine.connect() as connection, connection.begin() as outer:
            self.sessions = sessionmaker(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
            try:
                yield
            finally:
                self.sessions = usual
                outer.rollback()

    def _do(self, work: Callable[[Session], Result]) -> Result:
        return database.transact(self.sessions, work)

    # Publisher

    def publish(self, nodes: Sequence[Node]) -> bool:
        """Insert a graph of one site; False when it was refused."""
        (site,) = {node.queue[0] for node in nodes}
        processes = [
            NewProcess(
                pid=node.pid,
                graph_pid=1,
                command="check",
                parameters="{}",
                group=node.queue[1],
                observation_id=None,
                required=node.required,
                optional=node.optional,
                priority=node.priority,
                max_attempts=node.max_attempts,
            )
            for node in nodes
        ]
        try:
            self._do(lambda session: publishing.publish(session, processes, site=site, choices_id=None))
        except (ValueError, LookupError):  # a refusal; an IntegrityError is none
            return False
        return True

    # Manager

    def propagate(self, limit: int) -> int:
        return self._do(lambda session: scheduling.propagate(session, limit))

    def take_ready(self, window: int) -> list[Message]:
        ready = self._do(lambda session: scheduling.take_ready(session, window))
        return self._messages(ready)

    def _messages(self, ready: Sequence[Ready]) -> list[Message]:
        return [(item.pid, item.attempt) for item in ready]

    def mark_sent(self, pids: Sequence[int]) -> None:
        self._do(scheduling.mark_sent(pids).run)

    def unsent(self, limit: int) -> list[Message]:
        return self._messages(self._do(lambda session: scheduling.unsent(session, limit)))

    def unclaimed(self) -> dict[Queue, int]:
        # A second that is still to come: what was sent just now counts, too.
        return self._do(lambda session: scheduling.queued_since(session, -1.0))

    def forget_sent(self, queue: Queue) -> None:
        self._do(lambda session: scheduling.forget_sent(session, *queue, -1.0))

    def free_expired(self) -> list[Message]:
        """As the manager's sweep does."""

        def free(session: Session) -> list[Message]:
            freed = []
            for lease in life.expired_leases(session):
                again = lease.attempt < lease.max_attempts or lease.beside
                held = (lease.pid, lease.attempt, TRANSIENT)
                end = life.fail(*held, retry_in_s=0.0 if again else None, spared=lease.beside, outcome=LOST)
                if end.run(session) or life.let_go(*held, outcome=LOST).run(session):
                    freed.append((lease.pid, lease.attempt))
            return freed

        return self._do(free)

    # Worker

    def claim(self, pid: int, attempt: int, worker: str) -> Claimed | None:
        def by_its_own_queue(session: Session) -> Claim | None:
            site, group = life.address(session, pid) or ("here", "cpu")
            return life.claim(
                pid, attempt, site=site, group=group, worker=worker, host="h", version="v", lease_s=LEASE_S
            ).run(session)

        claim = self._do(by_its_own_queue)
        return None if claim is None else (claim.pid, claim.attempt, claim.max_attempts)

    def offer_second(self, pid: int, attempt: int) -> bool:
        def offer(session: Session) -> bool:
            held = (_lease.c.pid == pid, _lease.c.attempt == attempt)
            worker = session.execute(select(_lease.c.worker).where(*held)).scalar_one_or_none()
            return worker is not None and stragglers.offer_second(pid, attempt, worker).run(session)

        return self._do(offer)

    def hand_on(self, pid: int, attempt: int) -> bool:
        return self._do(stragglers.hand_on(pid, attempt).run)

    def renew(self, pid: int, attempt: int) -> bool:
        return self._do(life.renew(pid, attempt, LEASE_S).run)

    def succeed(self, pid: int, attempt: int) -> bool:
        def finish(session: Session) -> bool:
            held = life.succeed(pid, attempt, USAGE).run(session)
            if held:
                session.execute(insert(OUTPUT).values(pid=pid, attempt=attempt))
            return held

        return self._do(finish)

    def succeed_by(self, pid: int, attempt: int) -> bool:
        """Succeed by the result of the first that succeeded, where there is one, as an early cutoff does."""

        def finish(session: Session) -> bool:
            made = select(func.min(_process.c.pid)).where(_process.c.status == SUCCEEDED, _process.c.pid != pid)
            origin = session.execute(made).scalar_one()
            held = life.succeed(pid, attempt, USAGE).run(session)
            if held:
                session.execute(insert(OUTPUT).values(pid=pid, attempt=attempt))
                if origin is not None:
                    reading.take_over(session, origin, pid, {origin: pid}, ())
            return held

        return self._do(finish)

    def die_before_commit(self, pid: int, attempt: int) -> None:
        """The worker did all of `succeed` but commit it."""

        def finish(session: Session) -> None:
            if life.succeed(pid, attempt, USAGE).run(session):
                session.execute(insert(OUTPUT).values(pid=pid, attempt=attempt))
            raise DiedError

        try:
            self._do(finish)
        except DiedError:
            return

    def fail(
        self,
        pid: int,
        attempt: int,
        again: bool,
        delayed: bool = False,
        outcome: str = FAILED,
        spared: bool = False,
    ) -> bool:
        retry_in_s = (DELAY_S if delayed else 0.0) if again else None
        held = (pid, attempt, TRANSIENT)

        def end(session: Session) -> bool:
            failed = life.fail(*held, retry_in_s=retry_in_s, spared=spared, outcome=outcome).run(session)
            return failed or life.let_go(*held, outcome=outcome).run(session)

        return self._do(end)

    # Clock, which is the database's

    def expire(self, pid: int) -> None:
        self._do(lambda s: s.execute(update(_lease).where(_lease.c.pid == pid).values(lease_until=utc_now(-1.0))))

    def expire_one(self, pid: int, attempt: int) -> None:
        held = (_lease.c.pid == pid, _lease.c.attempt == attempt)
        self._do(lambda s: s.execute(update(_lease).where(*held).values(lease_until=utc_now(-1.0))))

    def let_delays_end(self) -> None:
        late = _process.c.not_before > utc_now()
        self._do(lambda s: s.execute(update(_process).where(late).values(not_before=utc_now(-1.0))))

    # Operator

    def cancel(self, pids: Sequence[int]) -> list[int]:
        return self._do(lambda session: operating.cancel(session, pids))

    def retry(self, pids: Sequence[int]) -> list[int]:
        return self._do(lambda session: operating.retry(session, pids, more_attempts=MORE_ATTEMPTS))

    def pause(self, queue: Queue) -> None:
        self._do(lambda session: operating.pause(session, *self._key[queue]))

    def resume(self, queue: Queue) -> None:
        self._do(lambda session: operating.resume(session, *self._key[queue]))

    # What is there

    def facts(self) -> Facts:
        """Everything that the tables hold; finished_at must agree with the state."""
        with self.sessions.begin() as session:
            found = run(session, *(query() for query in FACTS))
        rows, leases, attempts, outputs, taken_over, paused = (one.rows for one in found)
        for pid, status, *_, finished_at, _delayed in rows:
            assert (finished_at is not None) == (status in FINISHED), f"process {pid}: {status}, ended {finished_at}"
        for pid, attempt, outcome, finished_at in attempts:
            assert (finished_at is None) == (outcome is None), f"process {pid}, attempt {attempt}: {outcome}"
        processes = {
            pid: seen(
                status,
                attempt,
                most,
                pending=pending,
                propagated=bool(propagated),
                sent=sent_at is not None,
                delayed=bool(delayed),
                slow=slow,
            )
            for pid, status, attempt, most, pending, propagated, sent_at, slow, _, delayed in rows
        }
        names = {key: queue for queue, key in self._key.items()}
        return Facts(
            processes,
            {(pid, attempt): (worker, bool(expired)) for pid, attempt, worker, expired in leases},
            {(pid, attempt): outcome for pid, attempt, outcome, _ in attempts},
            sorted((pid, attempt) for pid, attempt in outputs),
            dict(taken_over),
            {names[site_id, group_id] for site_id, group_id in paused},
        )
