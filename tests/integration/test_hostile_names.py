"""Names from headers, files, the database and operators: no command breaks on them, drops them, or obeys them."""

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from typer.testing import Result

from schema import database
from schema.base import utc_now
from schema.observing import Instrument, Target
from schema.processes import Lease, Process, ProcessAttempt, Service, Site
from schema.skies import NamedObject
from services.cli.app import COMMANDS
from tests.integration.analysed_night import analyse
from tests.integration.command_line import tianyu
from tests.ready_databases import ReadyDatabases
from tests.unit.services import made_up
from tests.unit.services.conftest import open_session
from tests.unit.services.made_up import GRAPH_PID, MadeUp

MARKUP = "[/foo] [oiii] [red]x :smile:"  # rich would break on the first, drop the second, colour the third
CODES = "\x1b[2J\x9b31m\u202e\x07"
HOSTILE = MARKUP + CODES
DATABASE = "night.db"
FAILED, RUNNING, LOST = GRAPH_PID + 500, GRAPH_PID + 501, GRAPH_PID + 502

# What is typed of each command, and whether the name is in its answer. {} are a star and a PID.
SHOWN = {
    "status": ("status",),
    "status of one": ("status", "1"),
    "status as JSON": ("status", "--json"),
    "graph": ("graph", "1"),
    "graph of all": ("graph", "1", "--full", "--format", "dot"),
    "graph as dot": ("graph", "1", "--format", "dot"),
    "logs": ("logs", "{failed}"),
    "logs as JSON": ("logs", "{failed}", "--json"),
    "lightcurve": ("lightcurve", "--source", "{star}", "--format", "ecsv"),
    "a name unknown": ("lightcurve", "--target", MARKUP),
    "a list": ("lightcurve", "--source", "{star}", "--target", MARKUP, "--format", "ecsv"),
    "analyze": ("analyze", "1"),
    "standard": ("standard", "--source", "{star}"),
    "transit": ("transit", "--source", "{star}", "--steps", "200"),
    "a folder that cannot be": ("plot", "1", "--output", "/dev/null/" + MARKUP),
    "a folder of that name": ("plot", "1", "--source", "{star}", "--output", MARKUP.replace("/", "")),
    "target list": ("target", "list"),
    "target show": ("target", "show", MARKUP),
    "pause": ("pause", MARKUP),
    "resume": ("resume", MARKUP),
    "doctor": ("doctor",),
    "db": ("db", "status"),
    "backup": ("backup", "backups " + MARKUP.replace("/", "")),
    "restore": ("restore", "backup " + MARKUP.replace("/", "")),
    "simulate": ("simulate", MARKUP.replace("/", ""), "--frames", "1", "--size", "64", "--stars", "3"),
    "ingest": ("ingest", "night"),
    "instrument": ("instrument", "measure", "night"),
    "run": ("run", "night", "--workdir", "work " + MARKUP.replace("/", "")),
    "watch": ("watch", "night", "--workdir", "work " + MARKUP.replace("/", ""), "--idle-minutes", "0"),
    "capture": ("capture", MARKUP.replace("/", "") + ".toml"),
    "export": ("export", "1", "--source", "{star}", "--output", "red " + MARKUP.replace("/", "")),
}
# Their answers hold numbers and words of Tianyu's alone, or they are services that log (see test_shown).
QUIET = {
    "init",
    "report",
    "gc",
    "calib",
    "retry",
    "rerun",
    "cancel",
    "publish",
    "inject",
    "catalog",
    "manager",
    "consumer",
    "health",
    "serve",
}


@dataclass(frozen=True)
class Hostile:
    """A file of SQLite, and what is in it."""

    database: Path
    made: MadeUp


@pytest.fixture(scope="module")
def hostile(ready_databases: ReadyDatabases, tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """A night with light curves, whose every name is hostile; copied for each test."""
    folder = tmp_path_factory.mktemp("hostile")
    with contextmanager(open_session)(ready_databases.copy_sqlite(folder / DATABASE)) as session:
        return Hostile(folder / DATABASE, make_up(session, folder))


def make_up(session: Session, folder: Path) -> MadeUp:
    observation = made_up.add_observation(session, name=HOSTILE, filter_name=HOSTILE)
    made = made_up.add_light_curves(session, observation, np.random.default_rng(1))
    made_up.add_process(session, FAILED, "extract", "failed", observation, error=HOSTILE, worker=HOSTILE)
    made_up.add_process(session, RUNNING, "extract", "running", observation, worker=HOSTILE)
    session.add(Lease(pid=RUNNING, attempt=1, worker=HOSTILE, lease_until=utc_now(600.0)))
    made_up.add_process(session, LOST, HOSTILE, "waiting", observation)
    session.execute(update(ProcessAttempt).values(error=HOSTILE, traceback=HOSTILE, host=HOSTILE, worker=HOSTILE))
    session.execute(update(Process).where(Process.pid == FAILED).values(parameters=json.dumps(HOSTILE)))
    session.execute(update(Instrument).values(name=HOSTILE))
    session.add(
        NamedObject(
            name=MARKUP.lower(), shown_name=HOSTILE, ra_deg=1.0, dec_deg=2.0, origin=HOSTILE, created_at=utc_now()
        )
    )
    session.add(_service())
    analyse(session, made, folder)
    return made


@pytest.fixture
def session(hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Of the test's own copy, in the current folder."""
    shutil.copyfile(hostile.database, tmp_path / DATABASE)
    url, root = f"sqlite:///{tmp_path / DATABASE}", str(tmp_path / "root [oiii]")
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATABASE_URL": url, "ROOT": root, "SITE": "local", "CATALOG": "none"}.items():
        monkeypatch.setenv(f"TIANYU_{name}", value)
    engine = database.connect(url)
    with database.session_factory(engine)() as session:
        session.execute(update(Site).values(root=root))
        session.commit()
        yield session
    engine.dispose()


@pytest.fixture
def made(hostile: Hostile, session: Session) -> MadeUp:
    """What is in it."""
    return hostile.made


def _service() -> Service:
    words = {"name": HOSTILE, "kind": "consumer", "state": "active", "host": HOSTILE, "version": HOSTILE}
    times = {"started_at": utc_now(), "alive_until": utc_now(600.0)}
    return Service(**words, **times, site_id=1, group_names=json.dumps([HOSTILE]), slots=1)


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Frames with such headers in files of such names."""
    folder = tmp_path / "night"
    folder.mkdir()
    names = [MARKUP.replace("/", "") + ".fits", f"b{CODES}.fits", os.fsdecode(b"\xff\xfe.fits"), "d.fits"]
    for number, name in enumerate(names):
        hdu = fits.PrimaryHDU(np.random.default_rng(number).normal(1000, 10, (64, 64)).astype(np.uint16))
        cards = {"OBJECT": MARKUP, "FILTER": "[oiii]", "INSTRUME": MARKUP, "IMAGETYP": "Light", "EXPTIME": 10.0}
        cards["DATE-OBS"] = f"2024-03-04T20:0{number}:00"
        hdu.header.update(cards)
        hdu.writeto(folder / name)
    (folder / f"broken{HOSTILE.replace('/', '')}.fits").write_bytes(b"SIMPLE  = " + HOSTILE.encode())
    return folder


@pytest.mark.parametrize("case", SHOWN)
def test_the_name_is_shown_as_it_is_and_does_nothing(made: MadeUp, night: Path, case: str) -> None:
    given = {"{star}": str(made.variable), "{failed}": str(FAILED)}
    result = tianyu(*(given.get(word, word) for word in SHOWN[case]))
    assert result.exit_code in (0, 1)
    check_harmless(result)
    assert "[oiii]" in result.output


@pytest.mark.parametrize("case", ["init", "report", "gc", "calib", "retry", "cancel", "publish"])
def test_others_are_not_disturbed(made: MadeUp, case: str) -> None:
    words = {
        "init": ("init",),
        "report": ("report", "1"),
        "gc": ("gc", "--dry-run"),
        "calib": ("calib", "explain", "1"),
        "retry": ("retry", "--failed"),
        "cancel": ("cancel", "--observation", "1"),
        "publish": ("publish", "1"),
    }
    result = tianyu(*words[case])
    assert result.exit_code in (0, 1)
    check_harmless(result)


def check_harmless(result: Result) -> None:
    for code in ("\x1b", "\x9b", "\u202e", "\x07"):
        assert code not in result.output
    assert "Traceback" not in result.output


def test_json_gives_the_name_itself(made: MadeUp) -> None:
    found = json.loads(tianyu("status", "1", "--json").stdout)
    assert found["observations"][0]["target"] == HOSTILE


def test_every_command_is_here() -> None:
    assert {words[0] for words in SHOWN.values()} | QUIET == set(COMMANDS)


def test_a_name_is_a_value_in_sql(made: MadeUp, session: Session) -> None:
    processes = session.scalar(select(func.count()).select_from(Process))
    for name in ("x' OR '1'='1", "x'; DROP TABLE process; -- ", 'x" OR 1=1 -- ', "x\\' OR 1=1 -- ", "%", "_"):
        result = tianyu("lightcurve", "--target", name)
        assert result.exit_code == 1, name  # no star of all is meant
        assert repr(name.strip()) in result.output
    session.expire_all()
    assert session.scalar(select(func.count()).select_from(Process)) == processes


def test_no_cell_of_a_csv_is_a_formula(made: MadeUp, session: Session) -> None:
    session.execute(update(Target).values(name='=HYPERLINK("http://x")'))
    session.execute(update(Instrument).values(name="@SUM(A1)"))
    session.commit()
    lines = tianyu("lightcurve", "--source", str(made.variable), "--format", "csv").stdout.splitlines()
    cells = [cell for row in csv.reader(lines) for cell in row]
    assert len(cells) > 100
    number = re.compile(r"[+-]?(\d|\.|nan|inf)")
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell and not number.match(cell)]
