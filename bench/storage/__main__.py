"""Measures private servers (or SQLite) with so many rows of fluxes, and prints a Markdown table.

Rates are told twice: by the clock, and by the CPU of client and server, which other programs' work hardly changes.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.engine.places import fresh_database
from bench.storage.measures import Measures
from bench.storage.table import markdown
from tests.servers import daemon, mariadb, mysql

SQLITE = "sqlite"
SERVERS = {"mariadb": partial(mariadb.start, durable=True), "mysql": partial(mysql.start, durable=True)}
QUICK, LONG = 20_000_000, 100_000_000
BYTES_A_ROW = 260  # flux and relative_flux, what a server writes beside them, and room
STARS = 5_000


@contextmanager
def database_of(kind: str, folder: Path) -> Iterator[tuple[str, int | None]]:
    """URL of an empty database, and the server's PID."""
    if kind == SQLITE:
        yield f"sqlite:///{folder}/bench.db", None
        return
    place = folder / kind
    place.mkdir()
    try:
        with fresh_database(SERVERS[kind](place)) as url:
            yield url, daemon.running(place)
    finally:
        daemon.stop(place)


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(prog="make bench-storage ARGS=…", description=__doc__)
    parser.add_argument("--on", nargs="+", choices=[SQLITE, *SERVERS], default=[SQLITE, "mariadb"])
    parser.add_argument("--rows", type=int, default=QUICK, help=f"of table flux (long: {LONG})")
    parser.add_argument("--stars", type=int, default=STARS, help="on a frame, in three apertures")
    parser.add_argument("--rows-per-range", type=int, default=None, help="of a partition; without: as Tianyu has it")
    parser.add_argument("--folder", type=Path, help=f"for {BYTES_A_ROW} bytes a row, gone at the end")
    arguments = parser.parse_args()
    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    for kind in arguments.on:
        with TemporaryDirectory(dir=arguments.folder) as folder, database_of(kind, Path(folder)) as (url, server):
            measures = Measures(url, server, arguments.rows, arguments.stars, arguments.rows_per_range)
            print(
                markdown(f"{kind}, {arguments.rows:,} fluxes of {arguments.stars:,} stars", measures.all()), flush=True
            )


if __name__ == "__main__":
    main()
