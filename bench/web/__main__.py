"""Measures `tianyu serve` on a database of so many points, and a storm of questions beside a working engine.

Times are told twice: by the clock, and by the CPU of service and database server, which other programs' work hardly
changes.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from bench.engine.programs import BenchError, Programs, end
from bench.engine.report import facts_table
from bench.engine.stack import Stack
from bench.storage.table import markdown
from bench.web.disturbance import in_a_storm
from bench.web.service import Service
from bench.web.survey import Survey, fill, survey_of
from bench.web.timed_answers import TimedAnswers
from services.settings import as_environment, load
from services.setup import initialise
from tests.servers import daemon, mariadb, mysql

SQLITE = "sqlite"
SERVERS = {"mariadb": partial(mariadb.start, durable=True), "mysql": partial(mysql.start, durable=True)}
ROWS, BYTES_A_ROW = 20_000_000, 260
QUIET, STORM_S = 50, 30.0
NAME = "tianyu_bench_web"


@contextmanager
def database_of(kind: str, place: Path) -> Iterator[tuple[str, int | None]]:
    """URL of a database below a folder, made where there is none, and its server's PID."""
    if kind == SQLITE:
        yield f"sqlite:///{place}/bench.db", None
        return
    try:
        server = make_url(SERVERS[kind](place))
        with create_engine(server).connect() as connection:
            connection.execute(text(f"CREATE DATABASE IF NOT EXISTS {NAME}"))
        yield server.set(database=NAME).render_as_string(hide_password=False), daemon.running(place)
    finally:
        daemon.stop(place)


def measure(kind: str, place: Path, options: argparse.Namespace) -> bool:
    """Measure on one kind of database, below a folder; False where an answer in the storm was none that it may be."""
    logs = place / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for old in logs.iterdir():
        old.unlink()
    with ExitStack() as cleanup:
        url, server = cleanup.enter_context(database_of(kind, place))
        settings = load(
            database_url=SecretStr(url), broker_url=SecretStr("local://"), site="local", root=place / "root",
            log_level="WARNING",
        )  # fmt: skip
        stack = Stack(settings, logs)
        cleanup.callback(stack.engine.dispose)
        initialise(settings, stack.engine)
        survey = _filled(stack, place / f"filled-{options.rows}", options.rows)
        programs = Programs(os.environ | as_environment(settings), logs)
        cleanup.callback(lambda: end([*stack.programs.running, *programs.running]))
        service = Service(programs, logs, server)
        title = f"{kind}, {survey.points:,} points of {survey.ids.size:,} stars"
        print(markdown(title, TimedAnswers(service, survey).all()), flush=True)
        print(f"Most memory of the service: {service.peak_mb():.0f} MB\n", flush=True)
        stack.start(1)
        told, answers = in_a_storm(stack, service, options.quiet, options.storm)
        print(facts_table(f"{kind}, a storm", told), flush=True)
        return set(answers) <= {"200", "400", "404", "503"}


def _filled(stack: Stack, mark: Path, rows: int) -> Survey:
    if mark.exists():
        return survey_of(rows)
    print(f"… filling {stack.engine.dialect.name} with {rows:,} points", file=sys.stderr, flush=True)
    survey = fill(stack.engine, rows)
    mark.touch()
    return survey


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(prog="make bench-web ARGS=…", description=__doc__)
    parser.add_argument("--on", nargs="+", choices=[SQLITE, *SERVERS], default=[SQLITE, "mariadb"])
    parser.add_argument("--rows", type=int, default=ROWS, help="points of the long night; fewer are fewer stars")
    parser.add_argument("--quiet", type=int, default=QUIET, help="processes that are timed before the storm")
    parser.add_argument("--storm", type=float, default=STORM_S, help="seconds of the storm")
    parser.add_argument(
        "--keep", type=Path, help=f"folder for {BYTES_A_ROW} bytes a row; what is there is not filled again"
    )
    options = parser.parse_args()
    with ExitStack() as cleanup:
        folder = options.keep or Path(cleanup.enter_context(TemporaryDirectory()))
        good = [measure(kind, folder.absolute() / kind, options) for kind in options.on]
    if not all(good):
        raise SystemExit("an answer in the storm was neither right nor a refusal that says why")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        raise SystemExit(str(error)) from error
