"""What is wrong with the end of a run: beside an undisturbed one, and in its own books; nothing is an empty list."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import text

from schema import database
from tests.chaos.snapshot import Snapshot

DOUBLE_TOLERANCE = 1e-12
SINGLE_TOLERANCE = 6e-6  # MySQL and MariaDB hand float32 over with six digits
MOST_SHOWN = 8

# What was taken over when it was published has no history of its own.
OWN = "(p.origin_pid IS NULL OR p.pid IN (SELECT pid FROM process_attempt))"

# Each must find nothing.
BOOKS = {
    "is {}, not succeeded": "SELECT pid, status FROM process WHERE status <> 'succeeded'",
    "has {} dependencies that are not counted": f"SELECT pid, pending FROM process p WHERE pending <> 0 AND {OWN}",
    "has an end that is not counted ({})": "SELECT pid, propagated FROM process WHERE NOT propagated",
    "succeeded {} times": f"""
        SELECT p.pid, COUNT(a.pid) FROM process p
        LEFT JOIN process_attempt a ON a.pid = p.pid AND a.outcome = 'succeeded'
        WHERE {OWN}
        GROUP BY p.pid HAVING COUNT(a.pid) <> 1""",
    "succeeded in another attempt than {}": """
        SELECT p.pid, p.attempt FROM process p JOIN process_attempt a ON a.pid = p.pid AND a.outcome = 'succeeded'
        WHERE a.attempt <> p.attempt""",
    "has attempt {} without an outcome": "SELECT pid, attempt FROM process_attempt WHERE outcome IS NULL",
    "has attempt {} without an end": "SELECT pid, attempt FROM process_attempt WHERE finished_at IS NULL",
    "has gaps in its {} attempts": """
        SELECT p.pid, p.attempt FROM process p JOIN process_attempt a ON a.pid = p.pid
        GROUP BY p.pid, p.attempt HAVING COUNT(*) <> MAX(a.attempt) OR MIN(a.attempt) <> 1""",
    "still has slow attempt {}": "SELECT pid, slow_attempt FROM process WHERE slow_attempt IS NOT NULL",
    "still has a lease of attempt {}": "SELECT pid, attempt FROM lease",
}
ATTEMPTS = "SELECT outcome, COUNT(*) AS attempts FROM process_attempt GROUP BY outcome"


def differences(undisturbed: Snapshot, disturbed: Snapshot) -> list[str]:
    """Rows and files that are missing, more, or not the same."""
    found: list[str] = []
    for table, rows in undisturbed.tables.items():
        others = disturbed.tables[table]
        found += _of_names(f"table {table}: row", rows, others)
        tolerances = {
            column: SINGLE_TOLERANCE if (table, column) in undisturbed.single else DOUBLE_TOLERANCE
            for row in islice(rows.values(), 1)
            for column in row
        }
        unequal = (
            f"table {table}: {key}: {column} is {others[key][column]!r}, undisturbed {value!r}"
            for key, row in rows.items()
            if key in others
            for column, value in row.items()
            if not _same(value, others[key][column], tolerances[column])
        )
        found += islice(unequal, MOST_SHOWN)
    found += _of_names("file", undisturbed.files, disturbed.files)
    changed = (name for name, digest in undisturbed.files.items() if disturbed.files.get(name, digest) != digest)
    return [*found, *(f"file {name} has other contents" for name in islice(changed, MOST_SHOWN))]


def _of_names(what: str, ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> Iterator[str]:
    for word, names in (("is missing", ours.keys() - theirs.keys()), ("is too much", theirs.keys() - ours.keys())):
        for name in sorted(names, key=str)[:MOST_SHOWN]:
            yield f"{what} {name} {word} ({len(names)} in all)"


def _same(ours: Any, theirs: Any, tolerance: float) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=0.0)
    return bool(ours == theirs)


def bit_equal(undisturbed: Snapshot, disturbed: Snapshot) -> bool:
    """Whether rows and files are the same to the last bit."""
    return undisturbed.tables == disturbed.tables and undisturbed.files == disturbed.files


def books(url: str) -> list[str]:
    """Processes whose history is not that of one success each."""
    engine = database.connect(url)
    found = []
    with engine.connect() as connection:
        for words, query in BOOKS.items():
            rows = connection.execute(text(query)).all()
            found += [f"process {pid} {words.format(value)}" for pid, value in rows[:MOST_SHOWN]]
    engine.dispose()
    return found


def attempts(url: str) -> Counter[str]:
    """How many attempts had which outcome."""
    engine = database.connect(url)
    with engine.connect() as connection:
        found: Counter[str] = Counter({row.outcome: row.attempts for row in connection.execute(text(ATTEMPTS))})
    engine.dispose()
    return found
