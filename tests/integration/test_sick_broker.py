"""A broker that is there and takes nothing: its memory is short, it hangs, a queue has lost its leader or is gone.

On a RabbitMQ of its own, with the manager in a thread.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pika
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.processes import QUEUED, Process
from schema.queries import publishing
from schema.queries.publishing import NewProcess, new_pids
from services.engine.broker import PROBE, Broker, amqp, connect, work_queue
from services.engine.consumer import consumer
from services.engine.manager import queue_care
from services.engine.manager.manager import Manager
from services.operating import doctor
from services.operating.status import Overview, overview
from services.operating.status.fleet import active_managers
from services.operating.status.stuck import NO_MANAGER, SILENT
from services.settings import Settings
from services.setup import initialise, open_engine
from tests.conftest import new_site
from tests.servers import daemon, rabbitmq
from tests.unit.services.engine.test_slot import Worker

PATIENCE_S = 60.0
POLL_S = 0.05
NEVER_S = 1e9
NO_DATABASE = "sqlite://"
pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a RabbitMQ that these tests may harm."""
    folder = tmp_path_factory.mktemp("rabbitmq")
    rabbitmq.start(folder)
    yield folder
    rabbitmq.kill(folder)


@dataclass
class Site:
    """A site with groups `cpu` and `gpu`, and its manager while it runs."""

    settings: Settings
    sessions: sessionmaker[Session]

    def queue(self, group: str = "cpu") -> str:
        return work_queue(self.settings.site, group)

    def publish(self, group: str = "cpu", count: int = 2) -> list[int]:
        with self.sessions.begin() as session:
            pids = list(islice(new_pids(session), count))
            new = [
                NewProcess(
                    pid=pid, graph_pid=pids[0], command="check", parameters="{}", group=group, observation_id=None
                )
                for pid in pids
            ]
            publishing.publish(session, new, site=self.settings.site, choices_id=None)
        return pids

    def sent(self, pids: list[int]) -> bool:
        """Whether the broker has confirmed all of these."""
        with self.sessions() as session:
            rows = session.execute(select(Process.status, Process.sent_at).where(Process.pid.in_(pids)))
            return all(status == QUEUED and sent_at is not None for status, sent_at in rows)

    def overview(self) -> Overview:
        with self.sessions() as session:
            return overview(session)

    def stuck(self, reason: str) -> str:
        """Why something is stuck for this reason, and what to do; empty where nothing is."""
        return next((f"{one.why}; {one.remedy}" for one in self.overview().stuck if one.reason == reason), "")

    def trouble(self) -> str:
        """What the manager that works says is in its way; empty where nothing is."""
        [manager] = active_managers(self.overview().services)
        return manager.trouble.reason if manager.trouble else ""

    @contextmanager
    def managed(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=Manager(self.settings, stop).run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(PATIENCE_S)


@pytest.fixture
def site(server: Path, ready_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(queue_care, "SILENT_S", 0.5)
    monkeypatch.setattr(queue_care, "REPLACED_S", NEVER_S)
    settings = Settings(
        database_url=SecretStr(ready_sqlite_url),
        broker_url=SecretStr(daemon.url(server) or ""),
        site=new_site(),
        root=tmp_path,
        groups={"extract": "gpu"},
        sweep_s=0.1,
        resend_after_s=0.2,
    )
    engine = open_engine(settings)
    initialise(settings, engine)
    return Site(settings, database.session_factory(engine))


@pytest.fixture
def broker(site: Site) -> Iterator[Broker]:
    broker = connect(site.settings.broker_url.get_secret_value(), NO_DATABASE)
    yield broker
    broker.close()


def becomes(condition: Callable[[], object]) -> object:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return found


def take_leader(server: Path, queue: str) -> None:
    """Add a member that is not there: without it there is no majority any more, and nothing is confirmed."""
    member = f'list_to_atom("%2F_{queue}")'
    answer = rabbitmq.control(server, "eval", f"ra:add_member({{{member}, node()}}, {{{member}, gone@localhost}}).")
    assert answer.startswith("{ok")


@contextmanager
def memory_alarm(server: Path) -> Iterator[None]:
    rabbitmq.control(server, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        rabbitmq.control(server, "set_vm_memory_high_watermark", "0.4")


@contextmanager
def hung(server: Path) -> Iterator[None]:
    group = daemon.running(server)
    assert group is not None
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def finding(settings: Settings, subject: str) -> doctor.Finding:
    return next(one for one in doctor.examine(settings) if one.subject == subject)


def test_a_queue_without_a_leader_holds_up_no_other_is_told_and_made_anew(
    server: Path, site: Site, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.declare(site.queue())
    take_leader(server, site.queue())
    silent = site.publish("cpu", 300)
    with site.managed():
        assert becomes(lambda: site.stuck(SILENT))
        other = site.publish("gpu")
        assert becomes(lambda: site.sent(other))
        assert f"queue {site.queue()} takes no messages since" in site.stuck(SILENT)
        assert "it confirms no message" in site.stuck(SILENT)
        [manager] = active_managers(site.overview().services)
        assert manager.trouble is not None
        assert site.queue() in manager.trouble.reason
        monkeypatch.setattr(doctor, "CONFIRM_S", 0.5)
        found = finding(site.settings, f"queue {site.queue()}")
        assert "confirms no message" in found.found
        assert not found.ok
        assert finding(site.settings, f"queue {site.queue('gpu')}").ok
        assert not site.sent(silent)
        monkeypatch.setattr(queue_care, "REPLACED_S", 1.0)
        assert becomes(lambda: site.sent(silent[:200]))
        assert becomes(lambda: not site.stuck(SILENT))
    assert broker.depth(site.queue()) >= 200


def test_a_queue_whose_process_is_dead_is_made_anew(
    server: Path, site: Site, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a server that was killed: it refuses what it is sent."""
    monkeypatch.setattr(queue_care, "REPLACED_S", 1.0)
    broker.declare(site.queue())
    rabbitmq.control(server, "eval", f'ra:stop_server(quorum_queues, {{list_to_atom("%2F_{site.queue()}"), node()}}).')
    pids = site.publish()
    with site.managed():
        assert becomes(lambda: site.sent(pids))


def test_a_queue_that_was_deleted_is_declared_again(site: Site) -> None:
    pids = site.publish()
    with site.managed():
        assert becomes(lambda: site.sent(pids))
        vandal = pika.BlockingConnection(pika.URLParameters(site.settings.broker_url.get_secret_value()))
        vandal.channel().queue_delete(site.queue())
        vandal.close()
        later = site.publish()
        broker = connect(site.settings.broker_url.get_secret_value(), NO_DATABASE)
        assert becomes(lambda: site.sent(pids + later))
        assert becomes(lambda: broker.depth(site.queue()) >= len(pids + later))
        broker.close()


def test_a_consumer_that_was_not_told_of_a_new_queue_finds_it(
    server: Path, site: Site, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "QUIET_S", 1.0)
    stop = threading.Event()
    one = consumer.Consumer(site.settings, ["cpu"], [Worker()], stop)  # type: ignore[list-item]  # a stand-in
    thread = threading.Thread(target=one.run)
    thread.start()

    def is_received() -> bool:
        return broker.depth(site.queue()) == 0

    try:
        broker.declare(site.queue())
        broker.send(site.queue(), [PROBE]).result(PATIENCE_S)
        assert becomes(is_received)
        take_leader(server, site.queue())
        broker.replace(site.queue())
        sender = connect(site.settings.broker_url.get_secret_value(), NO_DATABASE)
        sender.send(site.queue(), [PROBE]).result(PATIENCE_S)
        sender.close()
        assert becomes(is_received)
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def test_a_broker_short_of_memory_is_blamed_and_not_the_manager(server: Path, site: Site) -> None:
    with site.managed():
        assert becomes(lambda: active_managers(site.overview().services))
        with memory_alarm(server):
            pids = site.publish()
            assert becomes(lambda: "low on memory" in site.stuck(SILENT))
            assert site.stuck(NO_MANAGER) == ""
            assert becomes(lambda: "low on memory" in site.trouble())  # which is told a moment later
            found = finding(site.settings, "broker")
            assert "low on memory" in found.found
            assert not found.ok
        assert becomes(lambda: site.sent(pids))
        assert becomes(lambda: not site.stuck(SILENT))


def test_a_broker_that_hangs_is_blamed(server: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp, "ANSWER_TIMEOUT_S", 1.0)
    pids = site.publish()
    with site.managed():
        assert becomes(lambda: site.sent(pids))
        with hung(server):
            site.publish()
            assert becomes(lambda: "no answer within" in site.stuck(NO_MANAGER))
        later = site.publish()
        assert becomes(lambda: site.sent(later))
