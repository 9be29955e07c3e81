"""Fixtures: fresh databases, a broker, and a real night. A missing server fails a test and never skips it.

Workers of pytest-xdist need no care: every test has a database, a site and queues that no other uses meanwhile.
"""

import fcntl
import gc
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pika
import pytest
from sqlalchemy import URL, Engine, make_url, text

from schema import database
from tests import compiled_once
from tests.ready_databases import SQLITE, ReadyDatabases
from tests.servers import debian, env, programs
from tests.servers.errors import CannotStart
from tests.servers.index_files import index_folder
from tests.servers.sessions import end_sessions

__all__ = ["index_folder"]

MAIN, MARIADB, MYSQL = "main", "mariadb", "mysql"
VARIABLES = {MAIN: env.DATABASE, MARIADB: env.MARIADB, MYSQL: env.MYSQL}
DATABASE_FIXTURES = ("database_url", "each_database_url", "each_ready_url")

QUEUE_GROUPS = ("cpu", "memory", "gpu", "telescope", "events")  # whose queues a test may make and leave

os.environ.setdefault("TIANYU_CATALOG", "none")  # no test asks Gaia's archive; those of the sky bring a catalogue

REAL_FRAMES_VARIABLE = "TIANYU_TEST_DATA"
REAL_FRAMES_ARCHIVE = env.CHECKOUT.parent / "shared" / "data" / "hatp32.tar.xz"
FITS_SUFFIXES = (".fits", ".fit", ".fts")


# Objects that are made before Python looks for those that hold one another: it looked at all of a worker's, of which
# the imported ones are most, for a seventh of its time.
UNREACHABLE_AFTER = (50_000, 20, 20)


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # what is imported stays
    compiled_once.install()
    config.addinivalue_line("markers", "server: needs a database server or a broker (set by itself from the fixtures)")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Who comes first imports all tests while the others wait: in a new checkout each would compile all of them."""
    with Path(__file__).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        databases = [parameters.get(name, MAIN) for name in DATABASE_FIXTURES if name in fixtures]
        if "broker_url" in fixtures or any(database != SQLITE for database in databases):
            item.add_marker(pytest.mark.server)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*UNREACHABLE_AFTER)
    gc.enable()


def server_url(variable: str) -> str:
    """URL of a test server; fails the test where none is known."""
    url = env.read(env.FILE).get(variable)
    if url is None:
        pytest.fail(
            f"{variable} is not set and no server is remembered: run `make test` or `make servers`", pytrace=False
        )
    return url


@cache
def administrator_of(server: URL) -> Engine:
    """By whom databases are made and dropped; its connection is kept."""
    return database.connect(server.render_as_string(hide_password=False)).execution_options(
        isolation_level="AUTOCOMMIT"
    )


@contextmanager
def fresh_database(engine: str, folder: Path, prefix: str = "tianyu_test_", digits: int = 32) -> Iterator[str]:
    """URL of an empty database on ``engine`` (a key of VARIABLES, or SQLite in ``folder``), dropped afterwards."""
    if engine == SQLITE:
        yield f"sqlite:///{folder / 'test.db'}"
        return
    server = make_url(server_url(VARIABLES[engine]))
    name = f"{prefix}{uuid4().hex[:digits]}"
    administrator = administrator_of(server)
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with administrator.connect() as connection:
            end_sessions(connection, name)  # DROP would wait for their locks for ever
            connection.execute(text(f"DROP DATABASE {name}"))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database on the main server; by indirect parameter on "sqlite", "mariadb" or "mysql"."""
    with fresh_database(getattr(request, "param", MAIN), tmp_path) as url:
        yield url


@pytest.fixture(params=[SQLITE, MARIADB, MYSQL])
def each_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database on each engine in turn."""
    with fresh_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def ready_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadyDatabases]:
    """Migrated databases for tests to borrow."""
    databases = ReadyDatabases(fresh_database, tmp_path_factory.mktemp("ready"), run_folder(tmp_path_factory))
    yield databases
    databases.close()


@pytest.fixture(params=[SQLITE, MARIADB, MYSQL])
def each_ready_url(request: pytest.FixtureRequest, tmp_path: Path, ready_databases: ReadyDatabases) -> Iterator[str]:
    """A database on each engine in turn, with Tianyu's tables and the rows of a new one."""
    with ready_databases.lend(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def ready_sqlite_url(tmp_path: Path, ready_databases: ReadyDatabases) -> str:
    """The same on SQLite alone, where no SQL is at stake: `night.db` in the test's folder."""
    return ready_databases.copy_sqlite(tmp_path / "night.db")


@pytest.fixture(scope="session")
def stilts() -> str:
    """STILTS, which validates tables and services; installed where that is allowed."""
    found = programs.find("stilts")
    if found is None:
        try:
            debian.install("stilts")
        except CannotStart as error:
            pytest.fail(f"STILTS validates tables, and is not there: {error}; it needs Java", pytrace=False)
        found = programs.find("stilts")
    return str(found)


def new_site() -> str:
    """Name of a site that no other test has; queues carry it in their names."""
    return f"t{uuid4().hex[:16]}"


@contextmanager
def broker_of(site: str) -> Iterator[str]:
    """URL of the broker; the queues of ``site`` are deleted afterwards."""
    url = server_url(env.BROKER)
    yield url
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for group in QUEUE_GROUPS:
        for queue in (f"tianyu.{site}.{group}", f"tianyu.{site}.{group}.dead"):
            channel.queue_delete(queue)  # a queue that is not there is no error
    connection.close()


@pytest.fixture
def unique_site() -> str:
    """A site of the test's own."""
    return new_site()


@pytest.fixture
def broker_url(unique_site: str) -> Iterator[str]:
    """The broker of ``unique_site``."""
    with broker_of(unique_site) as url:
        yield url


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of this run share."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def extracted_once(source: Path, folder: Path) -> Path:
    """``folder`` with what an archive holds; who comes first extracts it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tarfile.open(source) as archive, TemporaryDirectory(dir=folder.parent) as new:
                archive.extractall(new, filter="data")
                Path(new).rename(folder)
    return folder


@pytest.fixture(scope="session")
def real_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the 142 frames of HAT-P-32: an archive beside the checkout, or what TIANYU_TEST_DATA names."""
    given = os.environ.get(REAL_FRAMES_VARIABLE)
    source = Path(given) if given else REAL_FRAMES_ARCHIVE
    if not source.exists():
        lacking = (
            f"the real frames of HAT-P-32 are not at {source}: clone the public repository rzellem/EXOTIC_sampledata "
            f"and set {REAL_FRAMES_VARIABLE} to its folder HatP32Dec202017"
        )
        if given:
            pytest.fail(lacking, pytrace=False)
        pytest.skip(lacking)
    if source.is_file():
        source = extracted_once(source, run_folder(tmp_path_factory) / "real_frames")
    frames = sorted(path for path in source.rglob("*") if path.suffix.lower() in FITS_SUFFIXES)
    if not frames:
        pytest.fail(
            f"{source} holds no FITS file: set {REAL_FRAMES_VARIABLE} to the folder of the frames", pytrace=False
        )
    return frames[0].parent
