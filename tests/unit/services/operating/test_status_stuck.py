"""`overview`: who works on what, what will be retried, and what cannot move, why, and what to do."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, insert, select, update
from sqlalchemy.orm import Session

from schema.base import utc_now
from schema.processes import Lease, PausedGroup, Process, ProcessAttempt, ProcessDependence, ProcessGroup, Site
from schema.queries import queue_states
from schema.queries.queue_states import Seen
from schema.queries.services import ACTIVE, CONSUMER, HOLDING, MANAGER, STANDBY, Presence, Trouble, announce
from services.cli.console import out
from services.cli.overview_tables import show
from services.errors import ConfigurationError
from services.operating.status import Overview, Stuck, overview
from services.operating.status.stuck import HELD, INCONSISTENT, LEASE_EXPIRED, NO_CONSUMER, NO_MANAGER, PAUSED, SILENT
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID

ALIVE_S = 60.0


def start_manager(session: Session, state: str = ACTIVE, alive_s: float = ALIVE_S, name: str = "manager:1") -> None:
    announce(session, Presence(name, MANAGER, "head", "0.1.0"), state, alive_s)


def start_consumer(
    session: Session, groups: tuple[str, ...] = ("cpu",), alive_s: float = ALIVE_S, site: str = "local"
) -> None:
    name = f"consumer:{site}:{'-'.join(groups)}"
    announce(session, Presence(name, CONSUMER, "tel1", "0.1.0", site, groups, 4), ACTIVE, alive_s)


def add(session: Session, number: int, command: str, state: str, observation: int | None, **columns: object) -> int:
    """A process of the newest graph, with columns that `made_up` does not know; returns its PID."""
    pid = GRAPH_PID + number
    made_up.add_process(session, pid, command, state, observation)
    if columns:
        session.execute(update(Process).where(Process.pid == pid).values(**columns))
    return pid


def need(session: Session, child: int, parent: int) -> None:
    session.execute(insert(ProcessDependence).values(parent_pid=parent, child_pid=child, required=True))


def reasons(found: Overview) -> dict[str, Stuck]:
    assert len({one.reason for one in found.stuck}) == len(found.stuck)
    return {one.reason: one for one in found.stuck}


def test_nothing_is_stuck_where_manager_and_consumer_are_alive(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    ready = add(any_session, 0, "calibrate", "waiting", observation)
    add(any_session, 1, "calibrate", "queued", observation)
    child = add(any_session, 2, "align", "waiting", observation, pending=1)
    need(any_session, child, ready)
    start_manager(any_session)
    start_consumer(any_session)
    found = overview(any_session)
    assert found.stuck == ()
    [queue] = found.queues
    assert (queue.site, queue.group, queue.ready, queue.queued, queue.delayed, queue.running) == (
        *("local", "cpu"),
        *(1, 1, 0, 0),
    )
    assert (queue.consumers, queue.slots, queue.paused_since) == (1, 4, None)
    assert [(one.kind, one.state, one.host, one.groups, one.slots) for one in found.services] == [
        ("manager", "active", "head", (), 0),
        ("consumer", "active", "tel1", ("cpu",), 4),
    ]
    assert all(0 < one.alive_s <= ALIVE_S for one in found.services)


def test_what_hinders_a_service_is_told_while_it_lasts_and_an_hour_longer(any_session: Session) -> None:
    def start(name: str, trouble: Trouble | None) -> None:
        announce(any_session, Presence(name, MANAGER, name, "0.1.0"), STANDBY, ALIVE_S, trouble)

    start("1", Trouble("broker away", 90.0))
    start("2", Trouble("broker away", 7300.0, until_s=3500.0))
    start("3", Trouble("broker away", 7300.0, until_s=3700.0))
    start("4", Trouble("broker away", 1.0))
    start("4", None)
    lasts, over, long_over, none = overview(any_session).services
    assert (long_over.trouble, none.trouble) == (None, None)
    assert lasts.trouble is not None
    assert over.trouble is not None
    assert over.trouble.until is not None
    assert over.trouble.until - over.trouble.since == pytest.approx(timedelta(seconds=3800), abs=timedelta(seconds=5))
    read = lasts.to_json()["trouble"]
    assert (read["reason"], read["until"], read["since"][-1]) == ("broker away", None, "Z")
    with out.capture() as captured:
        show(overview(any_session), one=False)
    lines = captured.get().splitlines()
    assert any(line.startswith("trouble: manager on 1, since ") for line in lines)
    assert any(line.startswith("trouble, over: manager on 2, since ") for line in lines)


def test_without_a_manager_nothing_that_waits_is_sent(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    ready = add(any_session, 0, "calibrate", "waiting", observation)
    need(any_session, add(any_session, 1, "align", "waiting", observation, pending=1), ready)
    add(any_session, 2, "calibrate", "queued", observation)  # its message is out
    start_manager(any_session, alive_s=-1.0)  # it was there
    start_consumer(any_session)
    stuck = reasons(overview(any_session))
    assert stuck.keys() == {NO_MANAGER}
    assert (stuck[NO_MANAGER].count, stuck[NO_MANAGER].pids) == (2, (ready,))
    assert "start `tianyu manager`" in stuck[NO_MANAGER].remedy


def test_a_manager_that_stands_by_is_named(session: Session) -> None:
    add(session, 0, "calibrate", "waiting", made_up.add_observation(session))
    start_manager(session, STANDBY)
    start_consumer(session)
    assert "head stands by" in reasons(overview(session))[NO_MANAGER].remedy


@pytest.mark.parametrize(
    ("groups", "site", "alive_s"),
    [((), "local", ALIVE_S), (("memory",), "local", ALIVE_S), (("cpu",), "other", ALIVE_S), (("cpu",), "local", -1.0)],
    ids=["none", "another group", "another site", "dead"],
)
def test_no_consumer_for_the_work(any_session: Session, groups: tuple[str, ...], site: str, alive_s: float) -> None:
    any_session.add(Site(site_id=2, name="other", root="/elsewhere"))
    any_session.add(ProcessGroup(group_id=2, name="memory"))
    observation = made_up.add_observation(any_session)
    first = add(any_session, 0, "calibrate", "queued", observation)
    second = add(any_session, 1, "calibrate", "waiting", observation)
    need(any_session, add(any_session, 2, "align", "waiting", observation, pending=1), first)
    start_manager(any_session)
    if groups:
        start_consumer(any_session, groups, alive_s, site)
    stuck = reasons(overview(any_session))
    assert stuck.keys() == {NO_CONSUMER}
    one = stuck[NO_CONSUMER]
    assert (one.site, one.group, one.count, one.pids) == ("local", "cpu", 2, (first, second))
    assert one.why == "no consumer of group 'cpu' of site local is alive"
    assert "tianyu consumer --group cpu" in one.remedy


def test_a_paused_group(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    pid = add(any_session, 0, "calibrate", "waiting", observation)
    add(any_session, 1, "calibrate", "running", observation)
    any_session.execute(insert(Lease).values(pid=GRAPH_PID + 1, attempt=1, worker="host-1", lease_until=utc_now(30.0)))
    any_session.add(PausedGroup(site_id=1, group_id=1, paused_at=made_up.BEGAN))
    any_session.flush()
    start_manager(any_session)
    start_consumer(any_session)
    found = overview(any_session)
    stuck = reasons(found)
    assert stuck.keys() == {PAUSED}
    assert (stuck[PAUSED].count, stuck[PAUSED].pids) == (1, (pid,))
    assert "paused since 2024-03-04 20:00:00 UTC" in stuck[PAUSED].why
    assert "tianyu resume cpu" in stuck[PAUSED].remedy
    assert (found.queues[0].paused_since, found.queues[0].running) == (made_up.BEGAN, 1)


def test_a_queue_that_takes_no_messages(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    unsent = add(any_session, 0, "calibrate", "queued", observation)
    add(any_session, 1, "calibrate", "queued", observation, sent_at=utc_now())  # a consumer may get it
    add(any_session, 2, "calibrate", "waiting", observation)
    start_manager(any_session)
    start_consumer(any_session)
    queue_states.note(any_session, [Seen(1, 1, 90.0, "low on memory", 0)])
    stuck = reasons(overview(any_session))
    assert stuck.keys() == {SILENT}
    assert (stuck[SILENT].count, stuck[SILENT].pids[0]) == (2, unsent)
    assert stuck[SILENT].why.startswith("queue tianyu.local.cpu takes no messages since ")
    assert stuck[SILENT].why.endswith(" UTC: low on memory")
    queue_states.note(any_session, [])
    assert overview(any_session).stuck == ()


def test_a_manager_that_cannot_lead_says_why(session: Session) -> None:
    add(session, 0, "calibrate", "waiting", made_up.add_observation(session))
    presence = Presence("manager:1", MANAGER, "head", "0.1.0")
    announce(session, presence, STANDBY, ALIVE_S, Trouble("RabbitMQ does not answer", 60.0))
    start_consumer(session)
    remedy = reasons(overview(session))[NO_MANAGER].remedy
    assert remedy.startswith("the manager on head is hindered since ")
    assert "RabbitMQ does not answer; mend that" in remedy


def test_what_the_broker_has_put_aside(session: Session) -> None:
    start_consumer(session)
    queue_states.note(session, [Seen(1, 1, None, None, 3)])
    found = overview(session)
    assert [queue.dead_letters for queue in found.queues] == [3]
    with out.capture() as captured:
        show(found, one=False)
    assert "dead letters: 3 messages put aside in tianyu.local.cpu.dead; " in captured.get()
    assert "`rabbitmqctl purge_queue tianyu.local.cpu.dead`" in captured.get()


def test_an_expired_lease(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    dead, alive = (add(any_session, number, "calibrate", "running", observation) for number in range(2))
    for pid, left in ((dead, -20.0), (alive, 40.0)):
        any_session.execute(insert(Lease).values(pid=pid, attempt=1, worker="host-1", lease_until=utc_now(left)))
    start_manager(any_session)
    start_consumer(any_session)
    found = overview(any_session)
    assert [one.running.pid for one in found.running] == [dead, alive]
    assert found.running[0].running.lease_s == pytest.approx(-20, abs=5)
    assert found.running[1].running.lease_s == pytest.approx(40, abs=5)
    stuck = reasons(found)
    assert stuck.keys() == {LEASE_EXPIRED}
    assert (stuck[LEASE_EXPIRED].count, stuck[LEASE_EXPIRED].pids) == (1, (dead,))
    assert "host-1 on host" in stuck[LEASE_EXPIRED].why
    assert "nothing to do" in stuck[LEASE_EXPIRED].remedy
    start_manager(any_session, STANDBY)
    assert "start a manager" in reasons(overview(any_session))[LEASE_EXPIRED].remedy


def test_what_waits_for_another_try_is_no_stuck_work(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    for number, left in enumerate((300.0, 100.0, 200.0)):
        add(
            any_session,
            number,
            "calibrate",
            "waiting",
            observation,
            attempt=1,
            not_before=utc_now(left),
            error_class="transient",
            error=f"process {GRAPH_PID + number}: disk of '/raw/{number}.fits' is full",
        )
    add(any_session, 3, "calibrate", "waiting", observation, attempt=1, not_before=utc_now(-5.0), error="long ago")
    start_manager(any_session)
    start_consumer(any_session)
    found = overview(any_session)
    assert found.stuck == ()
    [retry] = found.retrying
    assert (retry.command, retry.attempt, retry.max_attempts, retry.count) == ("calibrate", 1, 3, 3)
    assert retry.pids == (GRAPH_PID, GRAPH_PID + 1, GRAPH_PID + 2)
    assert retry.error == f"process {GRAPH_PID}: disk of '/raw/0.fits' is full"
    assert retry.next_in_s == pytest.approx(100, abs=5)
    assert (found.queues[0].ready, found.queues[0].delayed) == (1, 3)


def test_waiting_though_all_parents_are_counted_is_inconsistent(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    counted = add(any_session, 0, "calibrate", "succeeded", observation, propagated=True)
    uncounted = add(any_session, 1, "calibrate", "succeeded", observation)
    wrong = add(any_session, 2, "align", "waiting", observation, pending=1)
    need(any_session, wrong, counted)
    right = add(any_session, 3, "align", "waiting", observation, pending=1)
    need(any_session, right, counted)
    need(any_session, right, uncounted)
    start_manager(any_session)
    stuck = reasons(overview(any_session))
    assert stuck.keys() == {INCONSISTENT}
    assert (stuck[INCONSISTENT].count, stuck[INCONSISTENT].pids) == (1, (wrong,))
    assert "please report" in stuck[INCONSISTENT].remedy


def test_running_without_a_lease_is_inconsistent(session: Session) -> None:
    pid = add(session, 0, "calibrate", "running", made_up.add_observation(session))
    start_manager(session)
    stuck = reasons(overview(session))
    assert (stuck.keys(), stuck[INCONSISTENT].pids) == ({INCONSISTENT}, (pid,))


def test_one_observation_tells_of_its_masters_too(any_session: Session) -> None:
    light, flat = made_up.add_observation(any_session), made_up.add_observation(any_session, "flat", "")
    stranger = made_up.add_observation(any_session, name="WASP-12")
    master = GRAPH_PID - 1000
    for pid, observation in ((master, flat), (GRAPH_PID - 2000, stranger)):
        made_up.add_process(any_session, pid, "combine_flat", "waiting", observation, graph_pid=pid)
    need(any_session, add(any_session, 0, "calibrate", "waiting", light, pending=1), master)
    add(any_session, 9, "check", "waiting", None)
    start_manager(any_session)
    assert [(one.observation_id, one.pids) for one in overview(any_session, light).stuck] == [(flat, (master,))]
    assert {one.observation_id for one in overview(any_session).stuck} == {flat, stranger, None}
    with pytest.raises(ConfigurationError, match="there is no observation 99"):
        overview(any_session, 99)


def test_failures_that_are_alike_are_one_line(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    for number in range(7):
        text = f"process {GRAPH_PID + number}: frame 'raw/{number}.fits' is truncated: found {number} bytes"
        made_up.add_process(any_session, GRAPH_PID + number, "calibrate", "failed", observation, error=text)
    made_up.add_process(any_session, GRAPH_PID + 8, "calibrate", "failed", observation, error="no star was found")
    made_up.add_process(any_session, GRAPH_PID + 9, "extract", "failed", observation, error="no star was found")
    [one] = overview(any_session).observations
    assert [(group.command, group.count, group.pids) for group in one.failure_groups] == [
        ("calibrate", 7, (GRAPH_PID, GRAPH_PID + 1, GRAPH_PID + 2)),
        ("calibrate", 1, (GRAPH_PID + 8,)),
        ("extract", 1, (GRAPH_PID + 9,)),
    ]
    assert one.failure_groups[0].error == f"process {GRAPH_PID}: frame 'raw/0.fits' is truncated: found 0 bytes"
    assert len(one.failures) == one.count("failed") == 9


def test_of_many_failures_a_part_is_read_of_each_observation(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.operating.status.observations.MOST_READ", 6)
    for name in ("first", "second"):
        observation = made_up.add_observation(session, name=name)
        start = GRAPH_PID + 100 * observation
        for number in range(5):
            made_up.add_process(
                session, start + number, "calibrate", "failed", observation, graph_pid=start, error=f"bad {number}"
            )
    for one in overview(session).observations:
        assert (one.count("failed"), len(one.failures), one.failure_groups[0].count) == (5, 3, 3)
        assert one.failures[0].error == "bad 0"


def test_what_waits_for_its_surroundings_is_told_by_observation(any_session: Session) -> None:
    """Since when: an attempt that ended otherwise came between for the first process, none for the second."""

    def attempt(pid: int, number: int, error_class: str, ago_s: float) -> None:
        any_session.execute(
            insert(ProcessAttempt).values(
                pid=pid,
                attempt=number,
                worker="w",
                host="h",
                version="0.1.0",
                started_at=utc_now(-ago_s - 1.0),
                finished_at=utc_now(-ago_s),
                outcome="failed",
                error_class=error_class,
            )
        )

    observation, other = made_up.add_observation(any_session), made_up.add_observation(any_session, name="other")
    waits: dict[str, object] = {"error_class": "surroundings", "error": "disk full", "attempt": 3}
    first = add(any_session, 0, "calibrate", "waiting", observation, not_before=utc_now(60.0), **waits)
    second = add(
        any_session, 1, "calibrate", "queued", observation, not_before=utc_now(-1.0), **waits | {"error": "disk away"}
    )
    add(any_session, 2, "calibrate", "failed", other, **waits)
    for number, (error_class, ago_s) in enumerate(
        [("surroundings", 900.0), ("transient", 800.0), ("surroundings", 9.0)]
    ):
        attempt(first, number + 10, error_class, ago_s)
    for number, ago_s in enumerate((300.0, 200.0, 5.0)):
        attempt(second, number + 10, "surroundings", ago_s)
    found = overview(any_session)
    [one] = found.hindered
    assert (one.observation_id, one.count, one.pids) == (observation, 2, (first, second))
    assert (one.reason, one.next_in_s) == ("disk away", 0.0)  # the newest
    [now] = any_session.execute(select(utc_now())).one()
    assert now - one.since == pytest.approx(timedelta(seconds=300), abs=timedelta(seconds=5))
    assert found.retrying == ()
    with out.capture() as captured:
        show(found, one=False)
    [line] = [line for line in captured.get().splitlines() if line.startswith("waits for its surroundings")]
    assert f"2 processes of observation {observation}, since" in line
    assert f"disk away [PID {first}, {second}]" in line


def test_work_whose_consumers_all_hold_is_stuck(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    add(any_session, 0, "calibrate", "queued", observation)
    start_manager(any_session)
    full = Trouble("the disk is full", 30.0)
    announce(any_session, Presence("1", CONSUMER, "a", "0.1.0", "local", ("cpu",), 4), HOLDING, ALIVE_S, full)
    stuck = reasons(overview(any_session))[HELD]
    assert stuck.why == "no consumer of group 'cpu' of site local takes work: the disk is full"
    assert (stuck.observation_id, stuck.count) == (observation, 1)
    start_consumer(any_session)
    found = overview(any_session)
    assert found.stuck == ()
    assert (found.queues[0].consumers, found.queues[0].holding) == (2, 1)


def test_json_holds_everything(session: Session) -> None:
    observation = made_up.add_observation(session)
    add(session, 0, "calibrate", "running", observation)
    add(session, 1, "calibrate", "waiting", observation, attempt=1, not_before=utc_now(60.0), error="disk full")
    session.add(PausedGroup(site_id=1, group_id=1, paused_at=made_up.BEGAN))
    session.flush()
    start_manager(session)
    start_consumer(session)
    read = json.loads(json.dumps(overview(session).to_json()))
    lists = {"running", "stragglers", "retrying", "hindered", "stuck", "unread"}
    assert set(read) == {"observations", "services", "queues"} | lists
    assert (read["observations"][0]["expected"], read["observations"][0]["failure_groups"]) == (2, [])
    assert (read["running"][0]["observation_id"], read["running"][0]["worker"]) == (observation, "host-1")
    assert read["running"][0]["since"] == "2024-03-04T20:00:00Z"
    assert (read["retrying"][0]["error"], read["retrying"][0]["max_attempts"]) == ("disk full", 3)
    assert read["retrying"][0]["next_at"].endswith("Z")
    assert {one["reason"] for one in read["stuck"]} == {PAUSED, INCONSISTENT}
    assert read["services"][1]["groups"] == ["cpu"]
    assert read["queues"][0]["paused_since"] == "2024-03-04T20:00:00Z"


def statements(session: Session, work: Callable[[], object]) -> int:
    """How many statements ``work`` executes."""
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    seen: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    work()
    event.remove(engine, "before_cursor_execute", count)
    return len(seen)


def test_the_number_of_queries_does_not_follow_the_number_of_observations(session: Session) -> None:
    counts = []
    for number in range(3):
        observation = made_up.add_observation(session, name=f"target {number}")
        start = GRAPH_PID + 1000 * number
        for place, state in enumerate(("failed", "running", "waiting")):
            made_up.add_process(session, start + place, "calibrate", state, observation, graph_pid=start)
        counts.append(statements(session, lambda: overview(session)))
    assert counts[0] == counts[1] == counts[2] > 5
