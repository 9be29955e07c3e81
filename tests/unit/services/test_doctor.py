"""`doctor` on services: who is alive for the work that waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.orm import Session

from schema import database
from schema.processes import PausedGroup, ProcessGroup
from schema.queries.services import ACTIVE, CONSUMER, MANAGER, STANDBY, Presence, announce
from services.doctor import Finding, examine
from services.settings import Settings
from services.setup import initialise, open_engine
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        database_url=SecretStr(f"sqlite:///{tmp_path / 'night.db'}"),
        broker_url=SecretStr(f"local://{tmp_path / 'broker.db'}"),
        root=tmp_path,
        groups={"stack": "memory"},
    )


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    engine = open_engine(settings)
    initialise(settings, engine)
    with database.session_factory(engine)() as session:
        yield session
    engine.dispose()


def services(settings: Settings, session: Session) -> dict[str, list[Finding]]:
    """What is found of the manager and of each group."""
    session.commit()
    found: dict[str, list[Finding]] = {}
    for finding in examine(settings):
        found.setdefault(finding.subject, []).append(finding)
    return {subject: findings for subject, findings in found.items() if subject.startswith(("manager", "group "))}


def add_work(session: Session, group: str = "memory", state: str = "waiting") -> None:
    group_id = session.query(ProcessGroup.group_id).filter_by(name=group).scalar()
    made_up.add_process(session, GRAPH_PID, "stack", state, made_up.add_observation(session))
    session.query(made_up.Process).update({"group_id": group_id})


def start(session: Session, kind: str, name: str, state: str = ACTIVE, groups: tuple[str, ...] = ()) -> None:
    site, slots = ("local", 2) if kind == CONSUMER else (None, 0)
    announce(session, Presence(name, kind, f"{name}-host", "0.1.0", site, groups, slots), state, 60.0)


def test_nobody_need_be_alive_where_nothing_waits(settings: Settings, session: Session) -> None:
    found = services(settings, session)
    assert found.keys() == {"manager", "group cpu", "group memory"}
    assert all(finding.ok for findings in found.values() for finding in findings)
    assert "no manager is active" in found["manager"][0].found


def test_work_for_which_nobody_is_alive(settings: Settings, session: Session) -> None:
    add_work(session)
    found = services(settings, session)
    [manager], [group] = found["manager"], found["group memory"]
    assert manager.remedy.startswith("start `tianyu manager`")
    assert group.found == "1 process waits for group 'memory' of site local and no consumer is alive"
    assert group.remedy.startswith("start `tianyu consumer --group memory`")
    assert found["group cpu"][0].ok


def test_work_with_all_that_it_needs(settings: Settings, session: Session) -> None:
    add_work(session)
    start(session, MANAGER, "one")
    start(session, MANAGER, "two", STANDBY)
    start(session, CONSUMER, "three", groups=("memory", "cpu"))
    found = services(settings, session)
    assert all(finding.ok for findings in found.values() for finding in findings)
    assert found["manager"][0].found == "active on one-host; 1 stand by"
    assert "consumers alive: 1, their slots: 2, processes at work: 0" in found["group memory"][0].found


def test_a_group_that_is_paused(settings: Settings, session: Session) -> None:
    add_work(session, "cpu")
    group_id = session.query(ProcessGroup.group_id).filter_by(name="cpu").scalar()
    session.add(PausedGroup(site_id=1, group_id=group_id, paused_at=made_up.BEGAN))
    start(session, MANAGER, "one")
    start(session, CONSUMER, "three", groups=("cpu",))
    paused, alive = services(settings, session)["group cpu"]
    assert paused.found == "paused since 2024-03-04 20:00:00 UTC; 1 process waits for it"
    assert "`tianyu resume cpu`" in paused.remedy
    assert alive.ok


def test_two_active_managers_are_a_fault(settings: Settings, session: Session) -> None:
    start(session, MANAGER, "one")
    start(session, MANAGER, "two")
    [finding] = services(settings, session)["manager"]
    assert finding.found.startswith("2 managers say that they are active, on one-host, two-host")
    assert "stop one" in finding.remedy
