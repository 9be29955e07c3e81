"""`--json`: each command that shows a table has it, answers nothing else, and by the keys that the page names."""

import ast
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typer import Typer
from typer.testing import Result

from schema.base import utc_now
from schema.processes import Lease, Process, Service
from schema.queries.stragglers import Straggler
from schema.versions import Step
from services.cli import catalog_command, gc_command
from services.cli.app import COMMANDS
from services.cli.console import Terminal
from services.masters import FailedMaster
from services.operating.calibration.explaining import Refused
from services.operating.journeys import Journey
from services.operating.logs import Parent
from services.operating.status import Hindered
from services.results.variability.known_variables import KnownVariable
from services.results.variability.precision import CheckStar
from services.settings import as_environment
from tests.integration import test_variable_commands as variable_commands
from tests.integration.analysed_night import analyse
from tests.integration.command_line import tianyu
from tests.integration.json_keys import check, documented, parse
from tests.integration.small_night import Night
from tests.ready_databases import ReadyDatabases
from tests.unit.docs.pages import CHECKOUT
from tests.unit.services import made_up
from tests.unit.services.conftest import open_session
from tests.unit.services.made_up import GRAPH_PID, MadeUp

FAILED = GRAPH_PID + 500
EXACT_DEG = 31.04279999999999
PLANET = ("--planets", "planets.csv", "--planet", "HAT-P-32 b")
# What is typed of each heading of the page: on a night that was processed, and on one that has trouble.
PROCESSED = (
    ("tianyu status", "status", "{light}"),
    ("tianyu graph", "graph", "{light}"),
    ("tianyu logs", "logs", "{pid}"),
    ("tianyu report", "report", "{light}"),
    ("tianyu calib list", "calib", "list"),
    ("tianyu calib explain", "calib", "explain", "{light}"),
    ("tianyu gc", "gc", "--dry-run"),
    ("tianyu db status", "db", "status"),
    ("tianyu ingest", "ingest", "{raw}"),
    ("tianyu catalog status", "catalog", "status"),
    ("tianyu lightcurve", "lightcurve", "--source", "{star}"),
    ("tianyu lightcurve --targets", "lightcurve", "--source", "{star}", "--source", "1"),
)
TROUBLED = (
    ("tianyu status", "status"),
    ("tianyu graph", "graph", "1", "--full"),
    ("tianyu logs", "logs", str(FAILED)),
    ("tianyu lightcurve", "lightcurve", "--source", "{star}"),
    ("tianyu lightcurve --targets", "lightcurve", "--source", "{star}", "--source", "1"),
    ("tianyu analyze", "analyze", "1"),
    ("tianyu analyze --all-nights", "analyze", "--source", "{star}", "--all-nights"),
    ("tianyu transit", "transit", "--source", "{star}", "--steps", "200"),
    ("tianyu transit --planet", "transit", "--source", "{star}", "--steps", "200", *PLANET),
    ("tianyu gc --rows", "gc", "--rows", "--keep-graphs", "0", "--older-than", "0"),
    ("tianyu doctor", "doctor"),
    ("tianyu db status", "db", "status"),
    ("tianyu capture", "capture", "plan.toml", "--dry-run"),
    ("tianyu target add", "target", "add", "HAT-P-32", str(EXACT_DEG), "46.6878", "--pm", "-10.1,-0.3"),
    ("tianyu target list", "target", "list"),
    ("tianyu target show", "target", "show", "HAT-P-32"),
)
PLAN = """
target = "HAT-P-32"
radec = "31.0428d,46.6878d"
exposures = [{ kind = "bias", exposure_s = 0, count = 3 }, { kind = "light", exposure_s = 30, count = 5, filter = "R" }]
"""
TELESCOPE = {
    "camera": "127.0.0.1:11111/0", "mount": "127.0.0.1:11111/0", "filter_wheel": "127.0.0.1:11111/0",
    "instrument": "ASI6200MM", "latitude_deg": 38.6, "longitude_deg": 93.9,
}  # fmt: skip
# Those that compute for long or need the frames of a camera: other tests look at their keys.
ELSEWHERE = {
    *("tianyu run", "tianyu watch", "tianyu inject", "tianyu instrument measure", "tianyu gc --policy"),
    *("tianyu standard", "tianyu lightcurve --forced"),
}


def of(before: str, kind: type) -> set[str]:
    return {f"{before}.{field.name}" for field in fields(kind)}


# Of lists that are empty on both nights.
FACTS_OF_SOME = ("telescope", "observatory", "detrend_pid", "zero_point_pid")  # not of these nights
BESIDES: dict[str, set[str]] = {
    "tianyu status": of("stragglers[]", Straggler)
    | of("hindered[]", Hindered) | of("observations[].failed_masters[]", FailedMaster)
    | of("observations[].masters[].refused[]", Refused),
    "tianyu lightcurve": {f"light_curves[].facts.{name}" for name in FACTS_OF_SOME},
    "tianyu logs": of("waits_for[]", Parent) | of("journeys[]", Journey),
    "tianyu report": of("journeys[]", Journey),
    "tianyu db status": of("migrations[]", Step),
    "tianyu calib explain": of("[].refused[]", Refused),
    "tianyu ingest": {"rejected_files[].file", "rejected_files[].reason"},
    "tianyu catalog status": {f"depths[].{column.key}" for column in catalog_command.COLUMNS},
    "tianyu analyze": of("precision.checks[]", CheckStar) | of("stars[].known", KnownVariable)
    | {f"known.{name}" for name in ("file", "stars", "candidates", "unknown_candidates")},
    "tianyu gc --rows": {f"pruned[].{column.key}" for column in gc_command.ROWS},
}  # fmt: skip


@pytest.fixture(scope="module")
def troubled(ready_databases: ReadyDatabases, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MadeUp]:
    folder = tmp_path_factory.mktemp("troubled")
    with contextmanager(open_session)(ready_databases.copy_sqlite(folder / "night.db")) as session:
        return folder / "night.db", make_up(session, folder)


def make_up(session: Session, folder: Path) -> MadeUp:
    """A night with light curves, and of whatever can be told of a night at least one."""
    observation = made_up.add_observation(session)
    made = made_up.add_light_curves(session, observation, np.random.default_rng(1))
    number = GRAPH_PID + 500
    made_up.add_process(session, number, "extract", "failed", observation, error="the frame is cut off")
    made_up.add_process(session, number + 1, "extract", "running", observation)
    for usual in range(number + 10, number + 16):
        made_up.add_process(session, usual, "align", "succeeded", observation, seconds=0.25)
    made_up.add_process(session, number + 16, "align", "running", observation)
    for pid in (number + 1, number + 16):
        session.add(Lease(pid=pid, attempt=1, worker="host-1", lease_until=utc_now(9.0)))
    made_up.add_process(session, number + 2, "extract", "waiting", observation)
    made_up.add_process(session, number + 3, "extract", "waiting", observation)
    made_up.add_process(session, number + 4, "extract", "waiting", observation, error="the disk is full")
    session.flush()
    for pid in (number + 3, number + 4):
        waits = session.get_one(Process, pid)
        waits.not_before, waits.error, waits.attempt = utc_now(100.0), "the disk is full", 1  # type: ignore[assignment]
        waits.error_class = "surroundings" if pid == number + 4 else "transient"
    words = {"name": "consumer:host:1:x", "kind": "consumer", "state": "active", "host": "host", "version": "0"}
    times = {"started_at": utc_now(), "alive_until": utc_now(600.0), "trouble_since": utc_now(-5.0)}
    session.add(Service(**words, **times, trouble="no disk", site_id=1, group_names=json.dumps(["cpu"]), slots=1))
    session.commit()
    analyse(session, made, folder)
    return made


@contextmanager
def surroundings(words: dict[str, str], folder: Path) -> Iterator[None]:
    """The settings, in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in words.items():
            patch.setenv(name, value)
        yield


def type_all(cases: tuple[tuple[str, ...], ...], given: dict[str, str]) -> dict[str, list[Result]]:
    """Answers by heading; words in braces are the night's own."""
    found: dict[str, list[Result]] = {}
    for heading, *words in cases:
        found.setdefault(heading, []).append(tianyu(*(given.get(word, word) for word in words), "--json"))
    return found


@pytest.fixture(scope="module")
def answers(
    processed: Night, troubled: tuple[Path, MadeUp], raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Result]]:
    """What all commands answer, by heading of the page."""
    folder = tmp_path_factory.mktemp("answers")
    path, made = troubled
    shutil.copyfile(path, folder / "night.db")
    there = {"DATABASE_URL": f"sqlite:///{folder / 'night.db'}", "ROOT": str(folder), "CATALOG": "none"}
    there["TELESCOPE"] = json.dumps(TELESCOPE)
    (folder / "plan.toml").write_text(PLAN)
    (folder / "planets.csv").write_text(variable_commands.PLANETS)
    with surroundings({f"TIANYU_{name}": value for name, value in there.items()}, folder):
        assert tianyu("init").exit_code == 0  # its group
        found = type_all(TROUBLED, {"{star}": str(made.variable)})
    night = processed.copy(folder / "work")
    with night.sessions() as session:
        given = {"{pid}": str(session.scalar(select(func.max(Process.pid)))), "{star}": "1"}
    given |= {"{light}": str(night.observation()), "{raw}": str(raw)}
    with surroundings(as_environment(night.settings), folder):
        for heading, results in type_all(PROCESSED, given).items():
            found.setdefault(heading, []).extend(results)
    return found


@pytest.mark.parametrize("heading", sorted({heading for heading, *_ in (*PROCESSED, *TROUBLED)}))
def test_json_is_all_of_standard_output_and_the_page_names_its_keys(
    answers: dict[str, list[Result]], heading: str
) -> None:
    data = [parse(result.stdout) for result in answers[heading]]
    assert all(data)
    check(heading, *data, besides=BESIDES.get(heading, ()))
    assert {result.exit_code for result in answers[heading]} == {int(heading == "tianyu doctor")}


def test_numbers_are_not_rounded_and_long_ones_are_texts(answers: dict[str, list[Result]]) -> None:
    for words in ("add", "list", "show"):
        [result] = answers[f"tianyu target {words}"]
        [star] = json.loads(result.stdout)
        assert (star["ra_deg"], star["pm_ra_mas_per_year"]) == (EXACT_DEG, -10.1)
    assert json.loads(answers["tianyu logs"][0].stdout)["pid"] == str(FAILED)
    points = json.loads(answers["tianyu lightcurve"][0].stdout)["light_curves"][0]["points"]
    assert any(round(point["bjd_tdb"], 6) != point["bjd_tdb"] for point in points)


def test_an_error_leaves_standard_output_empty(ready_sqlite_url: str, tmp_path: Path) -> None:
    there = {"TIANYU_DATABASE_URL": ready_sqlite_url, "TIANYU_ROOT": str(tmp_path)}
    with surroundings(there, tmp_path):
        for words in (("logs", "1"), ("report", "1"), ("graph", "1"), ("lightcurve", "--source", "1")):
            result = tianyu(*words, "--json")
            assert (result.exit_code, result.stdout) == (1, ""), words
            assert result.stderr.startswith("error: "), words


def test_what_is_no_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().print_json(data={"error": float("nan"), "steps": [1.0, float("inf")]})
    assert parse(capsys.readouterr().out) == {"error": None, "steps": [1.0, None]}


CLI = CHECKOUT / "services" / "cli"
TABLES = {"table_of", "Table", "table_for_people"}


def functions(folder: Path) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """By module and name, what each function of the folder's modules names; names of other modules are theirs."""
    found = {}
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.asname or alias.name: (node.module.rpartition(".")[2], alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                named = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
                found[path.stem, node.name] = {imported.get(name, (path.stem, name)) for name in named}
    return found


def shows_a_table(start: tuple[str, str], all_functions: dict[tuple[str, str], set[tuple[str, str]]]) -> bool:
    """Whether a function comes to a table, itself or by others."""
    seen, ahead = set(), [start]
    while ahead:
        here = ahead.pop()
        if here[1] in TABLES:
            return True
        if here not in seen:
            seen.add(here)
            ahead += all_functions.get(here, ())
    return False


def commands() -> dict[str, tuple[str, str]]:
    """Module and function of each command."""
    found = {}
    for name, entry in COMMANDS.items():
        loaded = entry.load(name)
        if isinstance(loaded, Typer):
            for one in loaded.registered_commands:
                assert one.callback is not None
                found[f"tianyu {name} {one.name}"] = (f"{entry.module}_command", one.callback.__name__)
        else:
            found[f"tianyu {name}"] = (f"{entry.module}_command", loaded.__name__)
    return found


def with_json(words: str) -> bool:
    _, name, *inner = words.split()
    command = COMMANDS[name].load(name)
    if inner:
        [command] = [one.callback for one in command.registered_commands if one.name == inner[0]]
    return "as_json" in command.__annotations__


def test_a_command_that_shows_a_table_has_json() -> None:
    by_functions = functions(CLI)
    shown = {words for words, start in commands().items() if shows_a_table(start, by_functions)}
    assert {"tianyu status", "tianyu run", "tianyu target list", "tianyu doctor", "tianyu inject"} <= shown
    assert "tianyu pause" not in shown
    assert sorted(words for words in shown if not with_json(words)) == []


def test_all_that_has_json_is_on_the_page() -> None:
    headings = set(documented())
    assert headings == {heading for heading, *_ in (*PROCESSED, *TROUBLED)} | ELSEWHERE
    assert sorted(words for words in commands() if with_json(words)) == sorted(headings & set(commands()))


def test_a_table_is_found_through_other_modules(tmp_path: Path) -> None:
    (tmp_path / "a_command.py").write_text("def a():\n    from services.cli.b import b\n    c()\ndef c():\n    b()\n")
    (tmp_path / "b.py").write_text("def b():\n    return table_of()\ndef c():\n    return 1\n")
    found = functions(tmp_path)
    assert shows_a_table(("a_command", "a"), found)
    assert not shows_a_table(("b", "c"), found)
