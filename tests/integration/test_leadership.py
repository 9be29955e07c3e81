"""One manager is active: the lock, its loss, and what its holder can do then."""

import hashlib
import json
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.processes import RUNNING, WAITING, Leader, Process, ProcessGroup, Service, Site
from schema.queries import life, publishing, scheduling, services
from schema.queries.publishing import NewProcess
from services.engine.manager.leadership import leadership
from services.engine.manager.manager import Manager
from services.engine.presence import Announcer, introduce
from services.errors import TransientError
from services.settings import load

PATIENCE_S = 20.0


@pytest.fixture
def engine(each_ready_url: str) -> Engine:
    return database.connect(each_ready_url)


def test_one_holds_the_lock_and_the_next_takes_it_over(engine: Engine) -> None:
    first, second = leadership(engine), leadership(engine)
    sessions = first.acquire()
    assert sessions is not None
    assert first.held()
    assert second.acquire() is None
    with sessions.begin() as session:
        session.add(ProcessGroup(name="cpu"))
    first.release()
    deadline = time.monotonic() + PATIENCE_S
    while second.acquire() is None:  # the server may take a moment to see that the first has gone
        assert time.monotonic() < deadline
    second.release()


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_who_loses_the_connection_can_commit_nothing(each_ready_url: str) -> None:
    engine = database.connect(each_ready_url)
    first, second = leadership(engine), leadership(engine)
    sessions = first.acquire()
    assert sessions is not None

    def write(session: Session) -> None:
        session.add(ProcessGroup(name="late"))
        session.flush()
        number = session.scalar(select(func.connection_id()))
        with engine.connect() as administrator:
            administrator.execute(text(f"KILL {number}"))
        # The server has dropped the lock with the connection: another manager is active before we commit.
        while second.acquire() is None:
            pass

    with pytest.raises(DBAPIError):
        database.transact(sessions, write)
    with pytest.raises(TransientError, match="lock is gone"):
        first.held()
    with pytest.raises(TransientError, match="lock is gone"):
        database.transact(sessions, lambda session: session.add(ProcessGroup(name="later")))
    first.release()
    with database.session_factory(engine)() as session:
        assert session.scalar(select(func.count()).where(ProcessGroup.name.like("late%"))) == 0
    assert second.held()
    second.release()


@contextmanager
def reader(engine: Engine) -> Iterator[Connection]:
    """A connection of a user who may read every table, and no more."""
    name = f"tianyu_{uuid4().hex[:16]}"
    with engine.begin() as administrator:
        administrator.execute(text(f"CREATE USER {name}@'%' IDENTIFIED BY 'secret'"))
        administrator.execute(text(f"GRANT SELECT ON `{engine.url.database}`.* TO {name}@'%'"))
    reading = database.connect(engine.url.set(username=name, password="secret").render_as_string(hide_password=False))
    with reading.connect() as connection:
        yield connection
    reading.dispose()
    with engine.begin() as administrator:
        administrator.execute(text(f"DROP USER {name}@'%'"))


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_a_reader_cannot_keep_managers_from_leading(each_ready_url: str) -> None:
    engine = database.connect(each_ready_url)
    first, second = leadership(engine), leadership(engine)
    with reader(engine) as connection:
        # The name by which managers once knew the lock of a database.
        known = "tianyu-" + hashlib.blake2b((engine.url.database or "").encode(), digest_size=16).hexdigest()
        assert connection.scalar(select(func.get_lock(known, 0))) == 1
        sessions = first.acquire()
        assert sessions is not None
        name = connection.scalar(select(Leader.lock_name))
        assert connection.scalar(select(func.get_lock(name, 0))) == 0  # it is held
        assert second.acquire() is None
        assert first.held()
        first.release()
        # The reader comes before any other manager, and gains nothing by it.
        while not connection.scalar(select(func.get_lock(name, 1))):
            pass
        assert second.acquire() is not None
        assert second.held()
        with engine.connect() as administrator:
            assert administrator.scalar(select(Leader.term)) == 2
    second.release()


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_of_many_that_take_over_at_once_one_leads(each_ready_url: str) -> None:
    engine = database.connect(each_ready_url)
    before = leadership(engine)
    assert before.acquire() is not None
    before.release()
    many = [leadership(engine) for _ in range(4)]
    with ThreadPoolExecutor(len(many)) as pool:
        while not any(taken := list(pool.map(lambda one: one.acquire() is not None, many))):
            pass  # the server may take a moment to see that the one before has gone
    assert sum(taken) == 1
    assert [one.held() for one in many] == taken
    for one in many:
        one.release()


def test_who_may_not_write_the_database_cannot_lock_its_file(tmp_path: Path) -> None:
    path = tmp_path / "night.db"
    path.touch(mode=0o644)
    lock = leadership(database.connect(f"sqlite:///{path}"))
    assert lock.acquire() is not None
    assert stat.S_IMODE((tmp_path / "night.db.manager.lock").stat().st_mode) == 0o200
    lock.release()


def test_a_database_has_a_lock_of_its_own(tmp_path: Path) -> None:
    engines = [database.connect(f"sqlite:///{tmp_path / name}") for name in ("a.db", "b.db")]
    locks = [leadership(engine) for engine in engines]
    assert all(lock.acquire() is not None for lock in locks)
    for lock in locks:
        lock.release()


def test_a_service_is_announced_changed_and_withdrawn(engine: Engine) -> None:
    sessions = database.session_factory(engine)
    announcer = Announcer(sessions, introduce(services.MANAGER), services.STANDBY, lease_s=60.0)

    def rows() -> list[Service]:
        with sessions() as session:
            return list(session.scalars(select(Service)))

    announcer.thread.start()
    while not rows():
        time.sleep(0.01)
    announcer.set_state(services.ACTIVE)
    while rows()[0].state != services.ACTIVE:
        time.sleep(0.01)
    [service] = rows()
    assert (service.kind, json.loads(service.group_names), service.site_id) == ("manager", [], None)
    assert service.alive_until > service.started_at
    announcer.stop()
    assert rows() == []


class Cut:
    """Sessions of a database that does not answer for so many transactions."""

    def __init__(self, sessions: sessionmaker[Session], times: int) -> None:
        self._sessions, self._times = sessions, times

    def begin(self) -> AbstractContextManager[Session]:
        if self._times:
            self._times -= 1
            raise OperationalError("UPDATE", {}, Exception("server has gone away"))
        return self._sessions.begin()


def test_a_database_that_was_away_is_told_of_when_it_is_back(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.engine.presence.AWAY_RETRY_S", 0.001)
    sessions = database.session_factory(engine)
    announcer = Announcer(Cut(sessions, 3), introduce(services.CONSUMER), services.ACTIVE, lease_s=60.0)
    announcer.thread.start()

    def found() -> list[Service]:
        with sessions() as session:
            return list(session.scalars(select(Service).where(Service.trouble_until.is_not(None))))

    while not found():
        time.sleep(0.01)
    [service] = found()
    announcer.stop()
    assert service.trouble == "the database does not answer: server has gone away"
    assert service.trouble_since is not None
    assert service.trouble_until is not None
    assert service.trouble_since <= service.trouble_until <= service.alive_until


def test_leases_stand_a_while_after_the_database_was_away(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could renew them: whoever is alive does so now, and the work of the dead is free a lease later."""
    sessions = database.session_factory(engine)
    with sessions.begin() as session:
        session.add_all([Site(name="local", root="/nowhere"), ProcessGroup(name="cpu")])
    with sessions.begin() as session:
        one = NewProcess(pid=1, graph_pid=1, command="check", parameters="{}", group="cpu", observation_id=None)
        publishing.publish(session, [one], site="local", choices_id=None)
        scheduling.take_ready(session)
        who = {"site": "local", "group": "cpu", "worker": "w", "host": "h", "version": "v"}
        assert life.claim(1, 1, **who, lease_s=-1.0).run(session)
    url = engine.url.render_as_string(hide_password=False)
    stop = threading.Event()
    manager = Manager(load(database_url=SecretStr(url), root=tmp_path, lease_s=60.0), stop)

    def status() -> str:
        manager._look_at_leases(sessions)
        with sessions() as session:
            return session.get_one(Process, 1).status

    def away() -> None:
        stop.set()
        raise OperationalError("SELECT", {}, Exception("server has gone away"))

    monkeypatch.setattr(manager._leadership, "acquire", away)
    manager.run()
    assert status() == RUNNING
    manager._leases_stand_until = time.monotonic()  # a lease later
    assert status() == WAITING


def test_services_that_fell_silent_long_ago_are_forgotten(engine: Engine) -> None:
    sessions = database.session_factory(engine)
    with sessions.begin() as session:
        services.announce(
            session, introduce(services.MANAGER), services.ACTIVE, alive_s=-services.FORGOTTEN_AFTER_S - 1
        )
        services.announce(session, introduce(services.MANAGER), services.ACTIVE, alive_s=-1.0)
        services.forget_silent(session)
        assert session.scalar(select(func.count()).select_from(Service)) == 1
