"""A client whose network is cut while the server works on what it sent: all of that is carried out, or nothing.

The server notices when an answer cannot be sent, and goes on to the COMMIT all the same.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError

from schema import database
from schema.attempts import Failure, Usage
from schema.base import table_of
from schema.prepared import Batch
from schema.processes import QUEUED, RUNNING, Lease, Process, ProcessAttempt
from schema.queries import life
from tests.chaos.proxy import Network, Route
from tests.conftest import MARIADB, MYSQL
from tests.integration.one_process import PID, queue_one

WORKER = "host:1/0"
TIMEOUT_S, POLL_S = 20.0, 0.15  # asked more often than ten times a second, InnoDB tells of transactions what it told
FAILURE = Failure("transient", "disk away")
CLAIM = life.claim(PID, 1, site="here", group="cpu", worker=WORKER, host="h", version="v", lease_s=60.0)
WAITS = text(
    "SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.processlist "
    "ON id = trx_mysql_thread_id WHERE db = DATABASE() AND trx_state = 'LOCK WAIT'"
)
ENDS: dict[str, Batch[bool]] = {
    "succeed": life.succeed(PID, 1, Usage(seconds=1.0)),
    "fail": life.fail(PID, 1, FAILURE, retry_in_s=None),
    "send back": life.fail(PID, 1, FAILURE, retry_in_s=0.0),
}
_process, _attempt, _lease = table_of(Process), table_of(ProcessAttempt), table_of(Lease)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.stop()


@pytest.fixture
def engine(each_ready_url: str) -> Iterator[Engine]:
    engine = database.connect(each_ready_url)
    queue_one(engine)
    yield engine
    engine.dispose()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(POLL_S)


def _sessions(connection: Connection) -> set[int]:
    """Of our database, but this one."""
    query = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    return set(connection.execute(text(query)).scalars())


def _cut_off(engine: Engine, network: Network, batch: Batch[object]) -> None:
    """Send a batch, which has to wait for a row, and cut the connection before it gets it."""
    route = Route(network, "cut off")
    route.open(engine.url.port or 0)
    cut = database.connect(engine.url.set(host="127.0.0.1", port=route.port).render_as_string(hide_password=False))

    def send() -> None:
        with suppress(DBAPIError), cut.connect() as connection, connection.begin():
            batch.commit(connection)

    sender = threading.Thread(target=send)
    with engine.connect() as watching, engine.connect() as holding:
        before = _sessions(watching)
        with holding.begin():
            holding.execute(select(_process.c.pid).with_for_update())
            sender.start()
            _until(lambda: bool(watching.execute(WAITS).scalar_one()))
            route.cut()
            sender.join(TIMEOUT_S)
        _until(lambda: _sessions(watching) <= before)
    route.close()
    cut.dispose()


def _books(engine: Engine) -> tuple[str, list[tuple[int, str | None]], list[int]]:
    with engine.connect() as connection:
        status = connection.execute(select(_process.c.status)).scalar_one()
        attempts = connection.execute(select(_attempt.c.attempt, _attempt.c.outcome)).all()
        return status, [tuple(row) for row in attempts], list(connection.execute(select(_lease.c.attempt)).scalars())


@pytest.mark.parametrize("each_ready_url", [MARIADB, MYSQL], indirect=True)
def test_a_claim_that_is_cut_off_leaves_a_lease_with_what_runs(engine: Engine, network: Network) -> None:
    _cut_off(engine, network, CLAIM)
    assert _books(engine) in ((RUNNING, [(1, None)], [1]), (QUEUED, [], []))


@pytest.mark.parametrize("each_ready_url", [MARIADB, MYSQL], indirect=True)
@pytest.mark.parametrize("end", ENDS)
def test_an_end_that_is_cut_off_closes_its_attempt_with_the_process(engine: Engine, network: Network, end: str) -> None:
    with engine.begin() as connection:
        assert CLAIM.run(connection)
    _cut_off(engine, network, ENDS[end])
    status, attempts, leases = _books(engine)
    [(attempt, outcome)] = attempts
    assert attempt == 1
    assert (status == RUNNING) == (outcome is None) == (leases == [1])
