"""Manager and consumers as real processes, over both databases and brokers: work is done once, whatever dies."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.base import utc_now
from schema.processes import FINISHED, OUTRUN, QUEUED, RUNNING, SUCCEEDED, Lease, Process, ProcessAttempt, Service
from schema.queries import choices, publishing, stragglers
from schema.queries.publishing import NewProcess, new_pids
from services.engine.consumer.worker import NAME
from services.settings import Settings, load
from services.setup import initialise, open_engine
from tests.conftest import MAIN, broker_of, new_site
from tests.forked import Program
from tests.ready_databases import ReadyDatabases
from tests.unit.services import made_up

PATIENCE_S = 120.0
LEASE_S = 3.0


@dataclass
class Engine:
    """A database, a broker, and the programs that a test starts on them."""

    settings: Settings
    environment: dict[str, str]
    logs: Path
    running: list[Program] = field(default_factory=list)

    @property
    def sessions(self) -> sessionmaker[Session]:
        return database.session_factory(open_engine(self.settings))

    def start(self, *arguments: str) -> Program:
        program = Program(arguments, self.environment, self.logs / f"{len(self.running)}-{arguments[0]}.log")
        self.running.append(program)
        return program

    def publish(self, shape: Callable[[list[int]], list[NewProcess]], count: int) -> list[int]:
        with self.sessions.begin() as session:
            pids = list(islice(new_pids(session), count))
            choices_id = choices.keep(session, "any", self.settings.choices.text())
            publishing.publish(session, shape(pids), site=self.settings.site, choices_id=choices_id)
        return pids

    def wait(self, condition: Callable[[Session], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        sessions = self.sessions
        while time.monotonic() < deadline:
            with sessions() as session:
                if condition(session):
                    return
            time.sleep(0.05)
        tails = "\n".join(f"{p.name}: {p.read_text()[-2000:]}" for p in sorted(self.logs.iterdir()))
        pytest.fail(f"nothing more happened within {PATIENCE_S} s; the logs end with\n{tails}")

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Running:
    """An engine whose programs have been started."""

    engine: Engine
    consumer: Program


def all_finished(session: Session) -> bool:
    return session.scalar(select(func.count()).where(Process.status.not_in(FINISHED))) == 0


KINDS = ["embedded", pytest.param("servers", marks=pytest.mark.server)]


@contextmanager
def opened(kind: str, folder: Path, databases: ReadyDatabases) -> Iterator[Engine]:
    """A database that is set up and a broker; what was started on them is killed at the end."""
    site = new_site()
    with ExitStack() as stack:
        if kind == "embedded":
            urls = {"TIANYU_DATABASE_URL": databases.copy_sqlite(folder / "tianyu.db"), "TIANYU_BROKER_URL": "local://"}
        else:
            urls = {
                "TIANYU_DATABASE_URL": stack.enter_context(databases.own(MAIN, folder)),
                "TIANYU_BROKER_URL": stack.enter_context(broker_of(site)),
            }
        variables = urls | {
            "TIANYU_SITE": site,
            "TIANYU_ROOT": str(folder / "root"),
            "TIANYU_LEASE_S": str(LEASE_S),
            "TIANYU_SWEEP_S": "0.5",
            "TIANYU_BACKOFF_S": "0.1",
            "TIANYU_LOG_LEVEL": "DEBUG",
            "TIANYU_LOG_FORMAT": "json",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            settings, environment = load(), dict(os.environ)
        initialise(settings, open_engine(settings))
        logs = folder / "logs"
        logs.mkdir()
        engine = Engine(settings, environment, logs)
        stack.callback(engine.stop)
        yield engine


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path, ready_databases: ReadyDatabases) -> Iterator[Engine]:
    with opened(request.param, tmp_path, ready_databases) as engine:
        yield engine


@pytest.fixture(scope="module", params=KINDS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ready_databases: ReadyDatabases
) -> Iterator[Running]:
    """A manager and a consumer of two slots, for tests that leave them whole."""
    with opened(request.param, tmp_path_factory.mktemp("running"), ready_databases) as engine:
        engine.start("manager")
        yield Running(engine, engine.start("consumer", "--concurrency", "2"))


def check(
    pid: int,
    graph: int,
    *,
    seconds: float = 0.0,
    memory_bytes: int = 0,
    required: tuple[int, ...] = (),
    max_attempts: int = 5,
) -> NewProcess:
    return NewProcess(
        pid=pid,
        graph_pid=graph,
        command="check",
        parameters=f'{{"seconds": {seconds}, "memory_bytes": {memory_bytes}}}',
        group="cpu",
        observation_id=None,
        required=required,
        max_attempts=max_attempts,
    )


def layers(pids: list[int]) -> list[NewProcess]:
    """A start, two layers of work, an end that needs all."""
    width = (len(pids) - 2) // 2
    first, a, b, last = pids[0], pids[1 : width + 1], pids[width + 1 : 2 * width + 1], pids[2 * width + 1]
    return [
        check(first, first),
        *(check(pid, first, required=(first,), seconds=0.02) for pid in a),
        *(check(pid, first, required=(above,), seconds=0.02) for pid, above in zip(b, a, strict=True)),
        check(last, first, required=tuple(b)),
    ]


def assert_each_succeeded_once(engine: Engine, pids: list[int]) -> None:
    with engine.sessions() as session:
        ends = dict(session.execute(select(Process.pid, Process.status).where(Process.pid.in_(pids))).all())
        assert ends == dict.fromkeys(pids, SUCCEEDED), session.scalars(select(Process.error)).all()
        succeeded = session.execute(
            select(ProcessAttempt.pid, func.count())
            .where(ProcessAttempt.pid.in_(pids), ProcessAttempt.outcome == SUCCEEDED)
            .group_by(ProcessAttempt.pid)
        ).all()
        assert dict(succeeded) == dict.fromkeys(pids, 1)
        assert session.scalar(select(func.count()).select_from(Lease)) == 0


def test_a_graph_runs_to_its_end(running: Running) -> None:
    engine = running.engine
    pids = engine.publish(layers, 42)
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, pids)
    with engine.sessions() as session:
        measured = select(func.count()).where(ProcessAttempt.pid.in_(pids), ProcessAttempt.seconds > 0.0)
        assert session.scalar(measured) == len(pids)


def test_killed_consumer_and_manager_lose_and_double_nothing(engine: Engine) -> None:
    manager = engine.start("manager")
    victim = engine.start("consumer")
    pids = engine.publish(layers, 62)
    engine.wait(lambda session: (session.scalar(select(func.count()).where(Process.status == SUCCEEDED)) or 0) > 5)
    victim.kill()
    manager.kill()
    manager.wait()
    engine.start("consumer")
    engine.start("manager")
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, pids)


def test_killed_worker_costs_one_attempt_and_not_the_consumer(running: Running) -> None:
    engine, consumer = running.engine, running.consumer
    # The first process shows that the worker is there before the second is given to it.
    pids = engine.publish(
        lambda pids: [check(pids[0], pids[0]), check(pids[1], pids[0], seconds=3.0, required=(pids[0],))], 2
    )
    engine.wait(lambda session: session.get_one(Process, pids[1]).status == "running")
    time.sleep(0.5)  # from the claim to the step it is a matter of milliseconds
    workers = workers_of(consumer.pid)
    assert len(workers) == 2
    # Forked, as decision 037 has it: a spawned worker is a Python of its own, which imports all anew.
    assert {command_of(pid) for pid in workers} == {command_of(consumer.pid)}
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, pids)
    assert consumer.poll() is None
    with engine.sessions() as session:
        first = session.get_one(ProcessAttempt, (pids[1], 1))
        assert (first.outcome, first.error_class) == ("killed", "transient")
        assert "SIGKILL" in (first.error or "")
    lines = [json.loads(line) for log in engine.logs.glob("*consumer.log") for line in log.read_text().splitlines()]
    [said] = [line for line in lines if line["event"] == "failed" and line["pid"] == pids[1]]
    assert (said["level"], said["command"], said["attempt"]) == ("warning", "check", 1)
    assert (said["error_class"], said["reason"]) == ("transient", first.error)


def command_of(pid: int) -> bytes:
    """The words that a process was started with; a fork has those of its parent."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def workers_of(consumer: int) -> list[int]:
    """Worker processes of a consumer."""
    threads = Path(f"/proc/{consumer}/task").iterdir()
    children = [pid for thread in threads for pid in (thread / "children").read_text().split()]
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == NAME]


def test_a_night_does_not_wait_for_a_worker_that_is_frozen(engine: Engine) -> None:
    """Its consumer lives and renews its lease; another does its work, and it takes work again."""
    engine.environment["TIANYU_STRAGGLER_AFTER_S"] = "0.5"
    engine.start("manager")
    consumers = {consumer.pid: consumer for consumer in (engine.start("consumer"), engine.start("consumer"))}
    with engine.sessions.begin() as session:
        observation = made_up.add_observation(session)

    def of_observation(pids: list[int]) -> list[NewProcess]:
        quick = [check(pid, pids[0]) for pid in pids[:-1]]
        long = check(pids[-1], pids[0], seconds=1.0, required=tuple(pids[:-1]))
        return [one._replace(observation_id=observation) for one in (*quick, long)]

    pids = engine.publish(of_observation, stragglers.FEWEST_SAMPLES + 1)
    engine.wait(lambda session: session.get_one(Process, pids[-1]).status == RUNNING)
    with engine.sessions() as session:
        slow = int(session.get_one(ProcessAttempt, (pids[-1], 1)).worker.split(":")[1].split("/")[0])
    [frozen] = workers_of(slow)
    os.kill(frozen, signal.SIGSTOP)
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, pids)
    with engine.sessions() as session:
        attempts = select(ProcessAttempt.attempt, ProcessAttempt.outcome).where(ProcessAttempt.pid == pids[-1])
        assert dict(session.execute(attempts).all()) == {1: OUTRUN, 2: SUCCEEDED}
    for pid, consumer in consumers.items():
        if pid != slow:
            consumer.kill()
            consumer.wait()
    more = engine.publish(lambda pids: [check(pids[0], pids[0])], 1)
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, more)
    assert frozen not in workers_of(slow)


@pytest.mark.parametrize(
    ("setting", "parameters", "reason"),
    [
        ("TIME_LIMIT_S", {"seconds": 600.0}, "within its time limit of 1 s"),
        ("MEMORY_LIMIT_BYTES", {"seconds": 600.0, "memory_bytes": 500_000_000}, "more than its memory limit"),
    ],
)
def test_work_over_its_limit_is_ended_and_put_aside(
    engine: Engine, setting: str, parameters: dict[str, float], reason: str
) -> None:
    limit = 1 if setting == "TIME_LIMIT_S" else 400_000_000
    engine.environment[f"TIANYU_{setting}"] = f'{{"check": {limit}}}'
    engine.start("manager")
    consumer = engine.start("consumer")
    pids = engine.publish(
        lambda pids: [check(pids[0], pids[0], **parameters), check(pids[1], pids[0]), check(pids[2], pids[0])],  # type: ignore[arg-type]
        3,
    )
    engine.wait(all_finished)
    assert consumer.poll() is None
    with engine.sessions() as session:
        poison = session.get_one(Process, pids[0])
        assert (poison.status, poison.attempt, poison.error_class) == ("failed", 2, "poison")
        assert "ended its worker 2 times" in (poison.error or "")
        assert (poison.error or "").count(reason) == 2
        outcomes = session.scalars(select(ProcessAttempt.outcome).where(ProcessAttempt.pid == pids[0])).all()
        assert outcomes == ["killed", "killed"]
        assert {session.get_one(Process, pid).status for pid in pids[1:]} == {SUCCEEDED}


def test_a_second_manager_stands_by_and_takes_over(engine: Engine) -> None:
    def states(session: Session) -> list[str]:
        query = select(Service.state).where(Service.kind == "manager", Service.alive_until > utc_now())
        return sorted(session.scalars(query))

    first = engine.start("manager")
    engine.wait(lambda session: states(session) == ["active"])
    engine.start("manager")
    engine.wait(lambda session: states(session) == ["active", "standby"])
    engine.start("consumer")
    pids = engine.publish(lambda pids: [check(pid, pids[0], seconds=0.2) for pid in pids], 20)
    engine.wait(lambda session: (session.scalar(select(func.count()).where(Process.status == SUCCEEDED)) or 0) > 2)
    first.kill()
    later = engine.publish(lambda pids: [check(pid, pids[0]) for pid in pids], 1)  # only a manager that came after can
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, [*pids, *later])
    engine.wait(lambda session: states(session) == ["active"])


def test_services_are_known_while_they_live(engine: Engine) -> None:
    def alive(session: Session) -> dict[str, list[str]]:
        rows = session.execute(select(Service).where(Service.alive_until > utc_now())).scalars()
        return {service.kind: json.loads(service.group_names) for service in rows}

    engine.start("manager")
    leaving = engine.start("consumer", "--group", "cpu", "--concurrency", "3")
    engine.wait(lambda session: alive(session) == {"manager": [], "consumer": ["cpu"]})
    leaving.terminate()
    leaving.wait()
    engine.wait(lambda session: alive(session) == {"manager": []})
    killed = engine.start("consumer", "--group", "cpu")
    engine.wait(lambda session: "consumer" in alive(session))
    killed.kill()
    engine.wait(lambda session: alive(session) == {"manager": []})


def test_a_consumer_takes_no_work_while_its_root_is_away(engine: Engine) -> None:
    root, elsewhere = engine.settings.root, engine.settings.root.with_name("elsewhere")

    def service(session: Session) -> Service:
        return session.scalars(select(Service).where(Service.kind == "consumer")).one()

    engine.start("manager")
    consumer = engine.start("consumer", "--concurrency", "2")
    engine.wait(lambda session: session.scalar(select(Service.state).where(Service.kind == "consumer")) == "active")
    root.rename(elsewhere)
    engine.wait(lambda session: service(session).state == "holding")
    pids = engine.publish(lambda pids: [check(pid, pids[0]) for pid in pids], 5)
    engine.wait(lambda session: session.scalar(select(func.count()).where(Process.status == QUEUED)) == len(pids))
    with engine.sessions() as session:
        assert session.scalar(select(func.count()).select_from(ProcessAttempt)) == 0
        assert "root' is away" in (service(session).trouble or "")
        assert service(session).trouble_until is None
    elsewhere.rename(root)
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, pids)
    engine.wait(lambda session: service(session).state == "active" and service(session).trouble_until is not None)
    root.rename(elsewhere)
    engine.wait(lambda session: service(session).state == "holding")
    consumer.terminate()
    assert consumer.wait() == 0
    log = "".join(path.read_text() for path in engine.logs.iterdir())
    assert log.count("holding, no work is taken") == 2  # once each time


def test_sigterm_finishes_the_current_process_and_leaves(engine: Engine) -> None:
    engine.start("manager")
    consumer = engine.start("consumer")
    pids = engine.publish(lambda pids: [check(pid, pids[0], seconds=1.0) for pid in pids], 3)
    engine.wait(lambda session: session.scalar(select(func.count()).where(Process.status == "running")) == 1)
    consumer.terminate()
    assert consumer.wait(PATIENCE_S) == 0
    with engine.sessions() as session:
        states = [session.get_one(Process, pid).status for pid in pids]
    assert states.count(SUCCEEDED) == 1
    assert states.count("queued") == 2
    engine.start("consumer", "--concurrency", "2")
    engine.wait(all_finished)
    assert_each_succeeded_once(engine, pids)


def test_parameters_that_do_not_fit_fail_at_once_with_a_reason(running: Running) -> None:
    engine = running.engine
    [pid] = engine.publish(
        lambda pids: [
            NewProcess(
                pid=pids[0],
                graph_pid=pids[0],
                command="check",
                parameters='{"second": 1}',
                group="cpu",
                observation_id=None,
            )
        ],
        1,
    )
    engine.wait(all_finished)
    with engine.sessions() as session:
        process = session.get_one(Process, pid)
        assert (process.status, process.attempt, process.error_class) == ("failed", 1, "configuration")
        assert "second: Extra inputs are not permitted" in (process.error or "")
