"""Broken surroundings: every command says in a sentence or two what is wrong and what to do, and leaves with 1."""

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from sqlalchemy import create_engine, make_url, text
from typer.testing import CliRunner, Result

from services.cli.app import app
from tests.unit.ingest.conftest import shelf, without_root

__all__ = ["shelf"]

# What the commands import late, here and now: who is not root may not be able to read the checkout.
for name in (
    "operating.doctor",
    "engine.embedded",
    "ingest.file_names",
    "ingest.register",
    "engine.publisher.publish",
    "trials.simulate",
):
    importlib.import_module(f"services.{name}")

PASSWORD = "hunter2"
PATIENCE_S = 30.0
CLOSED_PORT = 9  # `discard`, which nobody runs
RAW, PLAN = "raw", "plan.toml"
ROOT = "tianyu-data"  # by default
COMMANDS: dict[str, list[str]] = {
    "run": ["run", RAW],
    "init": ["init"],
    "db": ["db", "upgrade"],
    "ingest": ["ingest", RAW],
    "publish": ["publish", "--all"],
    "manager": ["manager"],
    "consumer": ["consumer"],
    "status": ["status"],
    "retry": ["retry", "--failed"],
    "cancel": ["cancel", "--observation", "1"],
    "lightcurve": ["lightcurve", "--source", "1"],
    "plot": ["plot", "1"],
    "analyze": ["analyze", "1"],
    "standard": ["standard", "--source", "1"],
    "transit": ["transit", "--source", "1"],
    "rerun": ["rerun", "--from", "extract", "1"],
    "pause": ["pause", "cpu"],
    "resume": ["resume", "cpu"],
    "logs": ["logs", "1"],
    "graph": ["graph", "1"],
    "gc": ["gc", "--dry-run"],
    "report": ["report", "1"],
    "serve": ["serve", "--port", "0"],
    "simulate": ["simulate", "night", "--frames", "1", "--size", "64"],
    "inject": ["inject", "1", "injected"],
    "doctor": ["doctor"],
    "health": ["health"],
    "catalog": ["catalog", "status"],
    "target": ["target", "list"],
    "calib": ["calib", "list"],
    "instrument": ["instrument", "measure", RAW],
    "export": ["export", "1", "--output", "red"],
    "backup": ["backup", "backups"],
    "restore": ["restore", "backups"],
    "watch": ["watch", RAW, "--publish-only", "--idle-minutes", "0"],
    "capture": ["capture", PLAN],
}
# Or not before something else is there: a backup, which is looked at first.
WITHOUT_SERVERS = ("run", "simulate", "catalog", "instrument", "restore")
OF_DATABASE = [name for name in COMMANDS if name not in WITHOUT_SERVERS]
OF_SCHEMA = [name for name in OF_DATABASE if name != "init"]
OF_SITE = ["ingest", "publish", "consumer", "doctor", "watch", "capture", "backup"]
OF_BROKER = ["manager", "consumer", "doctor"]

DATABASES = {
    "another kind": (f"postgresql://tianyu:{PASSWORD}@db/tianyu", "is not supported"),
    "another driver": (f"mysql://tianyu:{PASSWORD}@db/tianyu", "is not supported"),
    "no URL": ("tianyu.db", "cannot be read"),
    "no name": (f"mysql+pymysql://tianyu:{PASSWORD}@127.0.0.1/", "names no database"),
    "no number as port": (f"mysql+pymysql://tianyu:{PASSWORD}@127.0.0.1:port/tianyu", "cannot be read"),
    "no host": (f"mysql+pymysql://tianyu:{PASSWORD}@a..b/tianyu", "cannot be read"),
    "unknown host": (f"mysql+pymysql://tianyu:{PASSWORD}@nowhere.invalid/tianyu", "nowhere.invalid"),
    "wrong port": (f"mysql+pymysql://tianyu:{PASSWORD}@127.0.0.1:{CLOSED_PORT}/tianyu", "refused"),
    "no folder": ("sqlite:////no/such/folder/tianyu.db", "unable to open database file"),
    "no database": ("sqlite:////etc/passwd", "file is not a database"),
    "an unknown parameter": (f"mysql+pymysql://tianyu:{PASSWORD}@127.0.0.1/tianyu?foo=1", "'foo' behind its ?"),
    "of SQLite": ("sqlite:///tianyu.db?foo=1", "'foo' behind its ?"),
    "no number as parameter": (f"mysql+pymysql://tianyu:{PASSWORD}@127.0.0.1/n?connect_timeout=x", "cannot be read"),
}
BROKERS = {
    "another kind": (f"redis://tianyu:{PASSWORD}@127.0.0.1/", "is not supported"),
    "no number as port": (f"amqp://tianyu:{PASSWORD}@127.0.0.1:port/", "cannot be read"),
    "port too large": (f"amqp://tianyu:{PASSWORD}@127.0.0.1:99999/", "cannot be read"),
    "no host": (f"amqp://tianyu:{PASSWORD}@a..b/", "cannot be read"),
    "unknown host": (f"amqp://tianyu:{PASSWORD}@nowhere.invalid/", "nowhere.invalid"),
    "wrong port": (f"amqp://tianyu:{PASSWORD}@127.0.0.1:{CLOSED_PORT}/", f"127.0.0.1:{CLOSED_PORT} cannot be used"),
    "unknown parameter": (f"amqp://tianyu:{PASSWORD}@127.0.0.1/?foo=1", "look at 'foo' behind its ?"),
    "no such certificate": (
        f"amqps://tianyu:{PASSWORD}@127.0.0.1/?ssl_options=%7B%27ca_certs%27:%27/nowhere%27%7D",
        "look at 'ssl_options' behind its ?",
    ),
    "a path": ("local:///proc/nowhere/broker.db", "takes no path"),
}
AWAY = ("unknown host", "wrong port")  # manager and consumer wait for these

Tianyu = Callable[..., Result]


@pytest.fixture
def tianyu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tianyu:
    """Runs a command in an empty folder, with settings given as keywords."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("TIANYU_") and not name.startswith("TIANYU_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "1000")
    (tmp_path / RAW).mkdir()
    (tmp_path / RAW / "text.fits").write_text("no frame")
    (tmp_path / PLAN).write_text('[[exposures]]\nkind = "bias"\nexposure_s = 0\n')

    def call(command: str, *more: str, **settings: str) -> Result:
        environment = {f"TIANYU_{name.upper()}": value for name, value in settings.items()}
        return CliRunner().invoke(app, [*COMMANDS.get(command, [command]), *more], env=environment)

    return call


@pytest.fixture(scope="module")
def made_by_init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that `tianyu init` makes in an empty folder."""
    folder = tmp_path_factory.mktemp("init")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == 0, result.output
    assert (folder / ROOT).is_dir()
    with create_engine(f"sqlite:///{folder / 'tianyu.db'}").connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))  # into the file that is copied
    return folder / "tianyu.db"


@pytest.fixture
def initialised(tianyu: Tianyu, made_by_init: Path, tmp_path: Path) -> Tianyu:
    """The same after `tianyu init`."""
    shutil.copyfile(made_by_init, tmp_path / "tianyu.db")
    with create_engine("sqlite:///tianyu.db").begin() as connection:
        connection.execute(text("UPDATE site SET root = :root"), {"root": str(tmp_path / ROOT)})
    (tmp_path / ROOT).mkdir()
    return tianyu


def says(result: Result, command: str, *words: str) -> None:
    """The command failed as it should: 1, a sentence or two (doctor: a table), no traceback and no password."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    assert PASSWORD not in result.output
    told = result.stdout if command == "doctor" else result.stderr
    for word in words:
        assert word in told
    if command == "doctor":
        assert "wrong" in told
    else:
        [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        assert len(line) > len("error: ")
        assert result.stdout == ""


@pytest.mark.parametrize("command", OF_DATABASE)
@pytest.mark.parametrize("case", DATABASES)
def test_a_database_url_that_is_wrong(tianyu: Tianyu, command: str, case: str) -> None:
    url, word = DATABASES[case]
    says(tianyu(command, database_url=url), command, word)


@pytest.mark.parametrize("command", OF_DATABASE)
def test_a_database_that_refuses_the_password(tianyu: Tianyu, database_url: str, command: str) -> None:
    url = make_url(database_url).set(username="tianyu_nobody", password=PASSWORD)
    result = tianyu(command, database_url=url.render_as_string(hide_password=False))
    says(result, command, "Access denied for user 'tianyu_nobody'")


@pytest.mark.parametrize("command", OF_DATABASE)
def test_a_database_that_is_missing_on_its_server(tianyu: Tianyu, database_url: str, command: str) -> None:
    url = make_url(database_url).set(database="tianyu_test_never_made")
    result = tianyu(command, database_url=url.render_as_string(hide_password=False))
    says(result, command, "tianyu_test_never_made")


@pytest.mark.parametrize("command", OF_SCHEMA)
def test_a_database_without_schema(tianyu: Tianyu, command: str) -> None:
    says(tianyu(command), command, "has no Tianyu schema: run `tianyu init`")


@pytest.mark.parametrize("command", OF_DATABASE)
def test_a_schema_of_another_version(initialised: Tianyu, command: str) -> None:
    with create_engine("sqlite:///tianyu.db").begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'f00d'"))
    says(initialised(command), command, "f00d", "Tianyu that made" if command != "init" else "version that made")


@pytest.mark.parametrize("command", OF_SITE)
def test_a_site_that_is_not_registered(initialised: Tianyu, command: str) -> None:
    says(initialised(command, site="loca1"), command, "site 'loca1' is not registered", "tianyu init")


@pytest.mark.parametrize(
    ("command", "case"),
    [(command, case) for command in OF_BROKER for case in BROKERS if command == "doctor" or case not in AWAY],
)
def test_a_broker_url_that_is_wrong(initialised: Tianyu, command: str, case: str) -> None:
    url, word = BROKERS[case]
    says(initialised(command, broker_url=url), command, word)


@pytest.mark.parametrize("command", ["manager", "consumer"])
def test_a_broker_that_is_away_is_waited_for(initialised: Tianyu, command: str) -> None:
    url, word = BROKERS["wrong port"]
    program = subprocess.Popen(
        [sys.executable, "-m", "services.cli.app", command],
        env=os.environ | {"TIANYU_BROKER_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stderr is not None
    told = next((line for line in program.stderr if word in line), "")
    with create_engine("sqlite:///tianyu.db").connect() as connection:
        deadline = time.monotonic() + PATIENCE_S
        while not (trouble := connection.scalar(text("SELECT trouble FROM service"))) and time.monotonic() < deadline:
            connection.rollback()
            time.sleep(0.05)
    program.terminate()
    rest = program.communicate()[1]
    assert word in told
    assert word in (trouble or "")
    assert "Traceback" not in rest
    assert program.returncode == 0


@pytest.mark.parametrize("command", OF_BROKER)
def test_a_broker_that_refuses_the_password(initialised: Tianyu, broker_url: str, command: str) -> None:
    broker = make_url(broker_url).set(username="tianyu_nobody", password=PASSWORD)
    says(initialised(command, broker_url=broker.render_as_string(hide_password=False)), command, "ACCESS_REFUSED")


@pytest.mark.parametrize("command", OF_BROKER)
def test_a_broker_without_that_virtual_host(initialised: Tianyu, broker_url: str, command: str) -> None:
    broker = make_url(broker_url).set(database="tianyu_never_made")
    result = initialised(command, broker_url=broker.render_as_string(hide_password=False))
    says(result, command, "tianyu_never_made")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("max_atempts = 3", "max_atempts"),
        ("max_attempts = 0", "max_attempts"),
        ("max_attempts = ", "settings cannot be read"),
    ],
    ids=["unknown key", "value out of range", "no TOML"],
)
def test_a_settings_file_that_is_wrong(tianyu: Tianyu, command: str, line: str, word: str) -> None:
    Path("tianyu.toml").write_text(line + "\n")
    says(tianyu(command), command, word)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_variable_with_a_typo(tianyu: Tianyu, command: str) -> None:
    says(tianyu(command, databaseurl=f"sqlite:///{PASSWORD}"), command, "TIANYU_DATABASEURL")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_settings_file_that_is_missing(tianyu: Tianyu, command: str) -> None:
    says(tianyu(command, config="night.toml"), command, "TIANYU_CONFIG", "night.toml")


def test_a_root_that_cannot_be_made(tianyu: Tianyu) -> None:
    Path("file").write_text("")
    says(tianyu("init", root="file/root"), "init", "root folder", "TIANYU_ROOT")
    assert tianyu("init").exit_code == 0
    says(tianyu("doctor", root="file/root"), "doctor", "is no folder", "TIANYU_ROOT")
    says(tianyu("run", "--workdir", "file/work"), "run", "working folder", "--workdir")


def test_a_folder_to_simulate_into_that_cannot_be_made(tianyu: Tianyu) -> None:
    Path("night").write_text("")
    says(tianyu("simulate"), "simulate", "'night'", "is not a folder")


def test_a_root_that_is_read_only(initialised: Tianyu, shelf: Path) -> None:
    root = shelf / "root"
    root.mkdir()
    root.chmod(0o555)
    # A database that is refused at sight: the migrations, which a schema is compared with, lie in the checkout.
    surroundings = {"root": str(root), "database_url": "oracle://db/x", "broker_url": "local:///nowhere"}
    initialised("doctor", **surroundings)  # once as we are: drawing a table imports late, too
    with without_root():
        says(initialised("doctor", **surroundings), "doctor", "is not writable")
        says(initialised("run", "--workdir", str(root)), "run", "is not writable", "--workdir")


def test_doctor_tells_all_that_is_wrong_at_once(tianyu: Tianyu) -> None:
    result = tianyu(
        "doctor",
        root="nowhere",
        database_url=DATABASES["wrong port"][0],
        broker_url=BROKERS["wrong port"][0],
    )
    says(result, "doctor", "nowhere", f"127.0.0.1:{CLOSED_PORT}/tianyu", f"127.0.0.1:{CLOSED_PORT} cannot be used")
    assert result.stdout.count("wrong") == 3


def test_doctor_finds_nothing_where_nothing_is_wrong(
    initialised: Tianyu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.operating.doctor.FREE_BYTES_LEAST", 1)
    result = initialised("doctor")
    assert (result.exit_code, "wrong" in result.stdout) == (0, False), result.output


def test_a_frames_folder_that_is_missing_or_empty(initialised: Tianyu) -> None:
    Path("empty").mkdir()
    for command in ("run", "ingest"):
        missing = CliRunner().invoke(app, [command, "nowhere"])
        says(missing, command, "'nowhere' cannot be read", "check its name")
        empty = CliRunner().invoke(app, [command, "empty"])
        says(empty, command, "'empty' has no FITS files", ".fits")


def test_a_frames_folder_that_may_not_be_read(initialised: Tianyu, shelf: Path) -> None:
    closed = shelf / "closed"
    closed.mkdir(mode=0)
    with without_root():
        result = CliRunner().invoke(app, ["run", str(closed)])
    says(result, "run", "cannot be read", "Permission denied")


def test_every_command_has_help_with_an_example() -> None:
    group: Any = typer.main.get_command(app)
    assert sorted(group.commands) == sorted(COMMANDS)
    loaded = {name: group.commands[name].load() for name in COMMANDS}
    of_groups = [(name, one) for name in COMMANDS for one in getattr(loaded[name], "commands", ())]
    alone = [(name,) for name in COMMANDS if not hasattr(loaded[name], "commands")]
    for words in [*alone, *of_groups]:
        result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0
        assert "Usage" in result.stdout
        _, _, example = result.stdout.partition("Example")
        assert f"tianyu {' '.join(words)}" in example, words
