"""One disturbance of a running system, of each kind."""

import random
import signal
import time
from collections.abc import Callable, Mapping

import pymysql  # type: ignore[import-untyped]

from tests.chaos import messages
from tests.chaos.plan import Event, Kind
from tests.chaos.servers import Server
from tests.chaos.system import Program, System, signal_all

BEYOND_LEASE = 1.5  # leases that something frozen stays so
STOPPED_S, AT_WORK_S = 0.6, 0.02  # of a slow worker, in turn
OUTAGE_S = (0.2, 1.5)
PATIENCE_S = 30.0  # for a victim to be there
POLL_S = 0.02
ACTIVE = "SELECT name FROM service WHERE kind = 'manager' AND state = 'active' ORDER BY alive_until DESC"

Disturbance = Callable[[System, random.Random, float], Mapping[Kind, int]]


def _victim(system: System, choose: Callable[[], Program | None]) -> Program:
    """What ``choose`` gives, as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE_S
    while (victim := choose()) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing to disturb within {PATIENCE_S} s; the logs end with\n{system.last_words()}")
        time.sleep(POLL_S)
        system.tend()
    return victim


def _consumer(system: System, generator: random.Random, *, with_workers: bool = True) -> Program:
    """A consumer that lives; the order of preference is the generator's."""
    order = generator.sample(system.consumers, len(system.consumers))
    return _victim(system, lambda: next((one for one in order if one.pid and (one.workers or not with_workers)), None))


def _one_worker(system: System, generator: random.Random) -> list[int]:
    """PID of a worker; none if it left in this very moment."""
    workers = _consumer(system, generator).workers
    return generator.sample(workers, min(1, len(workers)))


def _manager(system: System, generator: random.Random, *, active: bool) -> Program:
    """The manager that leads, or the other; just after a change it may be the wrong one, which is disturbed as well."""
    leading = {int(name.split(":")[2]) for (name,) in system.sql(ACTIVE)[:1]}
    order = generator.sample(system.managers, len(system.managers))
    order.sort(key=lambda one: (one.pid in leading) != active)
    return _victim(system, lambda: next((one for one in order if one.pid), None))


def _kill_worker(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.WORKER: signal_all(_one_worker(system, generator), signal.SIGKILL)}


def _kill_consumer(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.CONSUMER: int(_consumer(system, generator, with_workers=False).kill())}


def _kill_host(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    consumer = _consumer(system, generator)
    workers = consumer.workers
    return {Kind.HOST: int(consumer.kill()) + signal_all(workers, signal.SIGKILL)}


def _kill_active(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.MANAGER: int(_manager(system, generator, active=True).kill())}


def _kill_standby(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.STANDBY: int(_manager(system, generator, active=False).kill())}


def _outage(system: System, generator: random.Random, server: Server, kind: Kind) -> Mapping[Kind, int]:
    """Kill a server; every other time something that waits for it is killed as well."""
    server.kill()
    system.servers.forget_connection()
    done = {kind: 1}
    second = generator.choice([None, Kind.CONSUMER, Kind.STANDBY, None])
    if second is not None:
        others = system.consumers if second is Kind.CONSUMER else system.managers
        done[second] = int(generator.choice(others).kill())
    end = time.monotonic() + generator.uniform(*OUTAGE_S)
    while time.monotonic() < end:
        system.tend()
        time.sleep(POLL_S)
    server.start()
    return done


def _kill_broker(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return _outage(system, generator, system.servers.broker, Kind.BROKER)


def _kill_database(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return _outage(system, generator, system.servers.database, Kind.DATABASE)


def _cut_broker(system: System, _generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.CUT_BROKER: sum(program.broker.cut() for program in system.programs)}


def _cut_database(system: System, _generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    """End every session but our own in the middle of whatever it does, by the server's own command."""
    sessions = system.sql(
        "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", system.database
    )
    ended = 0
    for (session,) in sessions:
        try:
            system.sql(f"KILL {session}")
            ended += 1
        except pymysql.OperationalError:
            continue  # it had ended
    return {Kind.CUT_DATABASE: ended}


def _cut_program(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    program = generator.choice(system.programs)
    return {Kind.CUT_PROGRAM: program.broker.cut() + program.database.cut()}


def _freeze(system: System, pids: list[int], seconds: float) -> int:
    system.in_a_while(seconds, lambda: signal_all(pids, signal.SIGCONT))
    return signal_all(pids, signal.SIGSTOP)


def _freeze_consumer(system: System, generator: random.Random, lease_s: float) -> Mapping[Kind, int]:
    """What it did is given to others; when it wakes it finds itself the owner of nothing."""
    consumer = _consumer(system, generator)
    pids = [*consumer.workers, *([consumer.pid] if consumer.pid else [])]
    return {Kind.FROZEN_CONSUMER: _freeze(system, pids, BEYOND_LEASE * lease_s)}


def _freeze_worker(system: System, generator: random.Random, lease_s: float) -> Mapping[Kind, int]:
    """Its consumer renews the lease: the work is late, and nobody else's."""
    pids = _one_worker(system, generator)
    return {Kind.FROZEN_WORKER: _freeze(system, pids, BEYOND_LEASE * lease_s)}


def _slow_worker(system: System, generator: random.Random, lease_s: float) -> Mapping[Kind, int]:
    """It is stopped nearly all the time, for longer than others need for its work."""
    pids = _one_worker(system, generator)
    end = time.monotonic() + BEYOND_LEASE * lease_s

    def stop() -> None:
        if time.monotonic() < end and signal_all(pids, signal.SIGSTOP):
            system.in_a_while(STOPPED_S, go_on)

    def go_on() -> None:
        if signal_all(pids, signal.SIGCONT):
            system.in_a_while(AT_WORK_S, stop)

    stop()
    return {Kind.SLOW_WORKER: len(pids)}


def _freeze_manager(system: System, generator: random.Random, lease_s: float) -> Mapping[Kind, int]:
    """It believes that it leads when it wakes; its lock went with its connection, and the other leads."""
    manager = _manager(system, generator, active=True)
    frozen = _freeze(system, [manager.pid] if manager.pid else [], BEYOND_LEASE * lease_s)
    manager.database.cut()
    return {Kind.FROZEN_MANAGER: frozen}


def _freeze_network(system: System, generator: random.Random, lease_s: float) -> Mapping[Kind, int]:
    """Statements arrive when the lease has expired, a commit among them perhaps."""
    consumer = _consumer(system, generator, with_workers=False)
    consumer.database.freeze()
    system.in_a_while(BEYOND_LEASE * lease_s, consumer.database.thaw)
    return {Kind.FROZEN_NETWORK: 1}


def _duplicates(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.DUPLICATES: messages.misplace(system, generator, "duplicates")}


def _late(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.LATE: messages.misplace(system, generator, generator.choice(["late", "later"]))}


def _early(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.EARLY: messages.misplace(system, generator, "early")}


def _reversed(system: System, _generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.REVERSED: messages.reverse(system)}


def _lost(system: System, _generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    return {Kind.LOST: messages.lose(system)}


def _garbage(system: System, _generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    messages.send(system, messages.UNREADABLE)
    return {Kind.GARBAGE: len(messages.UNREADABLE)}


def _publish_again(system: System, generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    """What is published needs nothing more, however far it is; one publisher is killed, the other ends."""
    before = system.sql("SELECT COUNT(*) FROM process")
    first = system.start("publish", system.light(), **system.choices)
    end = time.monotonic() + generator.uniform(0.3, 2.0)
    while first.poll() is None and time.monotonic() < end:
        system.tend()
        time.sleep(POLL_S)
    first.kill()
    first.wait()
    system.run("publish", system.light(), **system.choices)
    if (after := system.sql("SELECT COUNT(*) FROM process")) != before:
        raise AssertionError(f"a second publication of the same added processes: {before} and then {after}")
    return {Kind.PUBLISHER: 1}


def _restart(system: System, _generator: random.Random, _lease_s: float) -> Mapping[Kind, int]:
    """One that was not yet restarted; the next one waits until it is at work again."""
    program = min(system.programs, key=lambda one: one.starts)
    if code := program.restart():
        raise AssertionError(f"{program.name} left with exit code {code} on SIGTERM:\n{system.last_words()}")
    deadline = time.monotonic() + PATIENCE_S
    while not system.is_ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"{program.name} is not back within {PATIENCE_S} s:\n{system.last_words()}")
        time.sleep(POLL_S)
    return {Kind.RESTART: 1}


DISTURBANCES: Mapping[Kind, Disturbance] = {
    Kind.WORKER: _kill_worker,
    Kind.CONSUMER: _kill_consumer,
    Kind.HOST: _kill_host,
    Kind.MANAGER: _kill_active,
    Kind.STANDBY: _kill_standby,
    Kind.BROKER: _kill_broker,
    Kind.DATABASE: _kill_database,
    Kind.CUT_BROKER: _cut_broker,
    Kind.CUT_DATABASE: _cut_database,
    Kind.CUT_PROGRAM: _cut_program,
    Kind.FROZEN_CONSUMER: _freeze_consumer,
    Kind.FROZEN_WORKER: _freeze_worker,
    Kind.SLOW_WORKER: _slow_worker,
    Kind.FROZEN_MANAGER: _freeze_manager,
    Kind.FROZEN_NETWORK: _freeze_network,
    Kind.DUPLICATES: _duplicates,
    Kind.LATE: _late,
    Kind.EARLY: _early,
    Kind.REVERSED: _reversed,
    Kind.LOST: _lost,
    Kind.GARBAGE: _garbage,
    Kind.PUBLISHER: _publish_again,
    Kind.RESTART: _restart,
}


def disturb(system: System, event: Event, lease_s: float) -> Mapping[Kind, int]:
    """Do it; what was done: processes killed, connections cut, messages sent, by kind."""
    return DISTURBANCES[event.kind](system, event.generator(), lease_s)
