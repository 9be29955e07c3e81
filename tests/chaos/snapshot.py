"""What a run left, free of what may differ between two runs: PIDs, ids, times and places.

A process is called by its command and its place among all PIDs, an image by the process that made it or by its frame's
name, a source by its `detect` and its place among that one's; ids of other tables by their order.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, DateTime, Float, Table, select

import schema.models  # noqa: F401 - all tables
from schema import database
from schema.base import Base
from schema.image import Image
from schema.processes import Leader, Lease, Process, ProcessAttempt, QueueState, Service
from schema.skies import Source
from schema.views import MadeView

SINGLE = 24  # bits of precision of what is stored as float32

# Not what a run made but how it came to it; `checks` looks at attempts and leases by rules of their own.
HISTORY = {table.__tablename__ for table in (ProcessAttempt, Lease, Service, Leader, MadeView, QueueState)}
# Columns that hold how often and where, besides all times: attempts, the machine's folders and what is derived of them.
CIRCUMSTANCES = {
    ("process", "attempt"),
    ("process", "max_attempts"),
    ("site", "name"),
    ("site", "root"),
    ("image", "path_digest"),
    ("image", "image_id"),
    ("source", "source_id"),
    ("rejection", "rejection_id"),
}
PID = re.compile(rb"\d{19}")
OF_IMAGES, OF_SOURCES = {"image_id", "parent_id"}, {"source_id"}

Name = Callable[[Any], Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Rows by table and natural key, and files by name."""

    tables: Mapping[str, Mapping[tuple[Any, ...], Row]]
    files: Mapping[str, str]  # digest of the whole file with the names of processes for PIDs
    single: frozenset[tuple[str, str]]  # (table, column) of float32

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(map(len, self.tables.values()))


class DoubledRowError(AssertionError):
    """A table holds the same fact twice."""


def take(url: str, root: Path, apart: frozenset[str] = frozenset()) -> Snapshot:
    """Read the database at ``url`` and the files under ``root``, entries of ``root`` named in ``apart`` left out."""
    engine = database.connect(url)
    with engine.connect() as connection:
        names = _Names(connection)
        tables = {
            table.name: _rows(connection, table, names)
            for table in Base.metadata.sorted_tables
            if table.name not in HISTORY
        }
    engine.dispose()
    single = frozenset(
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if _is_single(column)
    )
    return Snapshot(tables, _files(root, apart, names), single)


def _is_single(column: Column[Any]) -> bool:
    return isinstance(column.type, Float) and column.type.precision == SINGLE


class _Names:
    """Names that do not depend on the run."""

    def __init__(self, connection: Connection) -> None:
        processes = connection.execute(select(Process.pid, Process.command).order_by(Process.pid)).all()
        self.process = {pid: f"{command}-{place}" for place, (pid, command) in enumerate(processes)}
        images = connection.execute(select(Image.image_id, Image.pid, Image.path)).all()
        self.image = {row.image_id: Path(row.path).name if row.pid is None else self.process[row.pid] for row in images}
        self.source: dict[int, str] = {}
        found: dict[int, int] = {}
        for source_id, pid in connection.execute(select(Source.source_id, Source.pid).order_by(Source.source_id)):
            found[pid] = place = found.get(pid, -1) + 1
            self.source[source_id] = f"{self.process[pid]}/{place}"
        self.order: dict[Column[Any], dict[int, int]] = {}
        for table in Base.metadata.sorted_tables:
            key = table.autoincrement_column
            if key is not None:
                ids = connection.scalars(select(key).order_by(key))
                self.order[key] = {number: place for place, number in enumerate(ids)}

    def of(self, column: Column[Any]) -> Name | None:
        """How the values of a column are named; None where they are the same in each run."""
        if column.name == "pid" or column.name.endswith("_pid"):
            return self.process.get
        if column.name in OF_IMAGES:
            return self.image.get
        if column.name in OF_SOURCES:
            return self.source.get
        for key, order in self.order.items():
            if (
                column is key
                or any(foreign.column is key for foreign in column.foreign_keys)
                or column.name == key.name
            ):
                return order.get
        if column.table.name == "process" and column.name == "parameters":
            return self._parameters
        return partial(self._path) if column.table.name == "image" and column.name == "path" else None

    def _parameters(self, text: str) -> str:
        """Parameters with PIDs and frames called by their names."""

        def call(key: str, value: Any) -> Any:
            if isinstance(value, list):
                return [call(key, item) for item in value]
            if isinstance(value, int) and not isinstance(value, bool):
                return self.image[value] if key in ("frame", "frames") else self.process.get(value, value)
            return value

        return json.dumps({key: call(key, value) for key, value in json.loads(text).items()}, sort_keys=True)

    def _path(self, path: str) -> str:
        return Path(path).name if Path(path).is_absolute() else self.file(path)

    def file(self, path: str) -> str:
        """A path relative to the root, with the process's name for its PID."""
        *folders, last = Path(path).parts
        stem, dot, suffix = last.partition(".")
        pid = int(stem) if stem.isdigit() else 0
        return "/".join([*folders, f"{self.process.get(pid, stem)}{dot}{suffix}"])

    def in_header(self, content: bytes) -> bytes:
        """A file with the processes' names for the PIDs in it: nothing else of it may differ between two runs."""
        return PID.sub(lambda found: self.process.get(int(found[0]), found[0].decode()).encode(), content)


def _rows(connection: Connection, table: Table, names: _Names) -> dict[tuple[Any, ...], Row]:
    columns = [
        column
        for column in table.columns
        if not isinstance(column.type, DateTime) and (table.name, column.name) not in CIRCUMSTANCES
    ]
    naming = {column.name: names.of(column) for column in columns}
    keys = [column.name for column in table.primary_key if (table.name, column.name) not in CIRCUMSTANCES]
    if table.name == "source":
        columns, naming, keys = [*columns, table.c.source_id], naming | {"source_id": names.source.get}, ["source_id"]
    elif table.name == "image":
        columns, naming, keys = [*columns, table.c.image_id], naming | {"image_id": names.image.get}, ["image_id"]
    elif table.name == "rejection":
        keys = ["image_id", "pid", "reason"]
    result: dict[tuple[Any, ...], Row] = {}
    for values in connection.execute(select(*columns)):
        row = {
            column.name: value
            if value is None or (name := naming[column.name]) is None
            else _named(name, value, column)
            for column, value in zip(columns, values, strict=True)
        }
        key = tuple(row[name] for name in keys)
        if key in result:
            raise DoubledRowError(f"table {table.name} holds two rows of {key}")
        result[key] = row
    return result


def _named(name: Name, value: Any, column: Column[Any]) -> Any:
    called = name(value)
    if called is None:
        raise AssertionError(f"{column.table.name}.{column.name} = {value} leads nowhere")
    return called


def _files(root: Path, apart: frozenset[str], names: _Names) -> dict[str, str]:
    found = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and relative.parts[0] not in apart:
            content = names.in_header(path.read_bytes())
            found[names.file(str(relative))] = hashlib.blake2b(content, digest_size=16).hexdigest()
    return found
