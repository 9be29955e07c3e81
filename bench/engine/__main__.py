"""``python -m bench.engine``: measure the process engine and print tables to paste. Every figure is of this run."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine import bare, facts, latency, overhead, priorities, publishing, reuse, scale
from bench.engine.programs import BenchError
from bench.engine.report import Row, facts_table, table
from bench.engine.stack import stack
from tests.servers import env

SECTIONS = ("overhead", "latency", "publishing", "priorities", "bare", "celery")
CONSUMERS = (1, 2, 4)
SHORT_CHAIN = 20  # of Celery, whose messages grow with the chain


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--scale", action="store_true", help="only the graph of a survey's size; takes minutes")
    parser.add_argument(
        "--reuse", action="store_true", help="only such a graph published again, nearly all of it there"
    )
    parser.add_argument("--embedded", action="store_true", help="SQLite and the local broker instead of servers")
    parser.add_argument("--mysql", action="store_true", help="MySQL instead of MariaDB")
    parser.add_argument(
        "--processes", type=int, default=2000, help="independent processes, and backfill (default 2000)"
    )
    parser.add_argument("--chain", type=int, default=300, help="length of the chain (default 300)")
    parser.add_argument("--live", type=int, default=50, help="live processes among the backfill (default 50)")
    parser.add_argument("--graph", type=int, default=20_000, help="processes published at once (default 20,000)")
    parser.add_argument("--scale-graph", type=int, default=100_000, help="of --scale and --reuse (default 100,000)")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement but --scale (default 3)")
    return parser.parse_args()


def say(line: str) -> None:
    """Tell the person who waits, beside what is printed."""
    print(f"… {line}", file=sys.stderr, flush=True)


def server(variable: str) -> str:
    """URL of a server that is remembered or set."""
    url = env.read(env.FILE).get(variable)
    if url is None:
        raise BenchError(
            f"{variable} is not set and no server is remembered: run `make bench-engine` or `make servers`"
        )
    return url


class Bench:
    """One run: where, how much, and what has been measured so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.database = None if options.embedded else server(env.MYSQL if options.mysql else env.MARIADB)
        self.broker = "local://" if options.embedded else server(env.BROKER)
        self.rows: dict[str, Row] = {}

    def show(self, title: str, rows: list[Row]) -> None:
        """Print a table, and remember its rows."""
        self.rows |= {row.what: row for row in rows}
        print(table(title, rows), flush=True)

    def facts(self) -> None:
        """Print on what is measured."""
        found = facts.machine()
        if self.database is not None:
            found |= facts.database(self.database)
            found |= facts.broker(self.broker)
        else:
            found["database and broker"] = (
                "SQLite files, WAL, synchronous NORMAL and OFF: a power cut may undo the last commits"
            )
        print(facts_table("Machine and servers", found), flush=True)

    def overhead(self) -> None:
        """Tables for 1, 2 and 4 consumers."""
        with stack(self.database, self.broker) as new:
            for consumers in CONSUMERS:
                say(f"overhead with {consumers} consumer(s)")
                rows = overhead.measure(new, consumers, self.options.processes, self.options.repeats)
                self.show(f"Overhead, {self.options.processes:,} independent processes, {consumers} consumer(s)", rows)

    def one(self, title: str, measure: Callable[..., list[Row]], *sizes: int) -> None:
        """A table of one measurement on a stack of its own."""
        say(title.lower())
        with stack(self.database, self.broker) as new:
            self.show(title, measure(new, *sizes))

    def bare(self) -> None:
        """What the servers take without Tianyu."""
        count, repeats = self.options.processes, self.options.repeats
        say("bare loops")
        with tempfile.TemporaryDirectory() as folder, stack(self.database, self.broker) as new:
            if self.database is None:
                rows = bare.measure(None, partial(bare.sqlite_commits, Path(folder), count), repeats)
            else:
                url = new.settings.database_url.get_secret_value()
                message = partial(bare.messages, self.broker, count)
                rows = bare.measure(message, partial(bare.mysql_commits, url, count), repeats)
        self.show("Bare loops on the same servers", rows)

    def celery(self) -> None:
        """Celery, where there are servers."""
        if self.database is None:
            return
        if find_spec("celery") is None:
            raise BenchError("Celery is not installed: run `make bench-engine`, or leave it out by --only")
        from bench.engine import celery_runs

        count, repeats = self.options.processes, self.options.repeats
        for processes, started in ((1, False), (1, True), (4, False), (4, True)):
            title = f"Celery, {processes} process{'es' if processes > 1 else ''}{', track_started' if started else ''}"
            say(title)
            with celery_runs.stack(self.database, self.broker, processes, started) as new:
                rows = celery_runs.throughput(new, title, count, repeats)
                if processes == 1 and not started:
                    print(facts_table("Celery", celery_runs.facts(new)))
                    rows += celery_runs.latency(new, self.options.chain, repeats)
                    rows += celery_runs.latency(new, SHORT_CHAIN, repeats)
                self.show(title, rows)

    def together(self) -> None:
        """Tianyu over the others, where both were measured."""
        tracked = "a Celery that stores starts too"
        pairs = (
            ("1 consumer: overhead", "bare floor: a message and 2 commits", "overhead of Tianyu over the bare floor"),
            *(
                (f"{title}: throughput", f"Celery, {other}: throughput", f"throughput of Tianyu over {name}, {workers}")
                for title, workers in (("1 consumer", "1 process"), ("4 consumers", "4 processes"))
                for other, name in ((workers, "Celery"), (f"{workers}, track_started", tracked))
            ),
        )
        rows = [
            Row(what, "", [median(self.rows[ours].values) / median(self.rows[theirs].values)])
            for ours, theirs, what in pairs
            if ours in self.rows and theirs in self.rows
        ]
        if rows:
            self.show("Ratios of medians", rows)

    def run(self) -> None:
        """All that is asked for."""
        options = self.options
        self.facts()
        if options.scale:
            self.one("Scale", scale.measure, options.scale_graph)
            return
        if options.reuse:
            say("reuse")
            self.show("Publishing what is there", reuse.measure(self.database, options.scale_graph, options.repeats))
            return
        repeats = options.repeats
        steps: dict[str, Callable[[], Any]] = {
            "overhead": self.overhead,
            "latency": partial(self.one, "Latency", latency.measure, options.chain, repeats),
            "publishing": partial(self.one, "Publishing", publishing.measure, options.graph, repeats),
            "priorities": partial(self.one, "Priorities", priorities.measure, options.processes, options.live, repeats),
            "bare": self.bare,
            "celery": self.celery,
        }
        for section in SECTIONS:
            if section in options.only:
                steps[section]()
        self.together()


def stop(_number: int, _frame: object) -> None:
    """Clean up and leave; asked again, go on with that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run; 1 when it could not be measured, 130 when it was interrupted."""
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        Bench(arguments()).run()
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; databases, queues and programs are gone", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
