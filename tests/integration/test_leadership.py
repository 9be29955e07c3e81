"""One manager is active: the lock, its loss, and what its holder can do then."""

import json
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database
from schema.processes import ProcessGroup, Service
from schema.queries import services
from services.errors import TransientError
from services.manager.leadership import leadership
from services.presence import Announcer, introduce


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
    assert second.acquire() is not None
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

    announcer.start()
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


def test_services_that_fell_silent_long_ago_are_forgotten(engine: Engine) -> None:
    sessions = database.session_factory(engine)
    with sessions.begin() as session:
        services.announce(
            session, introduce(services.MANAGER), services.ACTIVE, alive_s=-services.FORGOTTEN_AFTER_S - 1
        )
        services.announce(session, introduce(services.MANAGER), services.ACTIVE, alive_s=-1.0)
        services.forget_silent(session)
        assert session.scalar(select(func.count()).select_from(Service)) == 1
