"""RANGE partitions by image for the measurement tables on MySQL and MariaDB: each about as many rows as is wanted.

A primary key that starts with the source makes one light curve one range read, but scatters each frame's
inserts over the whole table: past the buffer pool they fall from 480 to 21 thousand rows a second. With partitions
the working set stays small (330-450 thousand rows a second). A read of one star looks into each of them, so that
there must not be many. SQLite has no partitions and needs none at its size.

Ranges are added where nothing is yet, wider ones the more there are, since a table takes ENGINE_MOST. Small ones that
nobody writes to any more become one, and what most rows were deleted of is written anew, since a server gives the room
of deleted rows back to the disk in no other way. Each is one ``REORGANIZE PARTITION``, which loses no row, whoever
writes meanwhile; what it copies nobody can write to as long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from math import ceil

from sqlalchemy import Connection, text

TABLES = ("flux", "relative_flux")
OVERFLOW = "p_overflow"  # takes images beyond the last range: nothing is lost, only slower
ROWS_PER_RANGE = 20_000_000  # 1.8 GB of fluxes
IMAGES_AT_FIRST = 1000  # in a range, as long as no row tells how many an image has
IMAGES_MOST = 100_000  # in a new range: a richer field may follow
RICHEST_OF = 3  # of so many newest ranges with rows the richest tells how many rows an image has
ADDED_MOST = 100  # ranges in one statement: where ids have gone far ahead, they get wider
COPIED_MOST = 1_000_000  # rows that a statement may copy while others work: some seconds
RANGES_MOST = 1000  # above which reads of single stars become slow
ROW_BYTES = 90  # of a row where inserts have filled the pages; 55 to 75 after a range was written anew
SPARSE = 4  # times what its rows need: a range as large as this is written anew
SPARSE_LEAST = 64_000_000  # bytes, of such a range
ENGINE_MOST = 8192  # partitions of a table
DOUBLINGS = 4  # of the rows of a new range until a table has so many: 2,000 of 20 million, 2,000 of 40 million, ...
FREE_LEAST = 100  # partitions that a table lacks to the most; with fewer left, the oldest ranges become wider ones

_RANGES = text(
    "SELECT partition_name, partition_description, table_rows, data_length + data_free "
    "FROM information_schema.partitions "
    "WHERE table_schema = DATABASE() AND table_name = :table AND partition_name IS NOT NULL "
    "ORDER BY partition_ordinal_position"
)
_NEWEST = text("SELECT COALESCE(MAX(image_id), 0) FROM image")
_FIRST_AT_WORK = text(
    "SELECT MIN(image_id) FROM image WHERE graph_pid IN "
    "(SELECT graph_pid FROM process WHERE status IN ('waiting', 'queued', 'running'))"
)


@dataclass(frozen=True)
class Range:
    """A partition: images below ``below`` and not in the one before; rows and bytes as the server estimates them."""

    name: str
    below: int
    rows: int
    size_bytes: int = 0

    @property
    def is_sparse(self) -> bool:
        """Whether most of it is the room of rows that are gone."""
        return self.size_bytes > max(SPARSE_LEAST, SPARSE * ROW_BYTES * self.rows)


@dataclass(frozen=True)
class Partitions:
    """How a table is partitioned. ``beyond``: rows behind the last range, at most COPIED_MOST + 1 are counted."""

    table: str
    ranges: tuple[Range, ...]
    beyond: int
    newest: int

    @property
    def end(self) -> int:
        """The first image that no range is for."""
        return self.ranges[-1].below if self.ranges else 0

    @property
    def room(self) -> int:
        """How many images there are ranges for, behind the newest."""
        return max(self.end - self.newest - 1, 0)

    @property
    def growth(self) -> int:
        """How many times as large as is wanted a new range is, so that no table comes to the most that there may be."""
        return int(2 ** (DOUBLINGS * len(self.ranges) // ENGINE_MOST))

    @property
    def is_full(self) -> bool:
        """Whether there is hardly room for one more range."""
        return len(self.ranges) > ENGINE_MOST - 1 - FREE_LEAST

    def images_per_range(self, rows_per_range: int) -> int:
        """How many images a new range is for, as the newest ranges with rows tell."""
        rows_per_range *= self.growth
        richest = max(islice(self._densities(), RICHEST_OF), default=None)
        if richest is None:
            return min(IMAGES_AT_FIRST, rows_per_range)
        return max(1, min(IMAGES_MOST * self.growth, int(rows_per_range / richest)))

    def _densities(self) -> Iterator[float]:
        """Rows an image of the ranges that have rows, the newest first."""
        starts = chain((one.below for one in islice(reversed(self.ranges), 1, None)), (0,))
        for one, start in zip(reversed(self.ranges), starts, strict=False):
            if one.rows and start <= self.newest:
                yield one.rows / (min(one.below, self.newest + 1) - start)

    def needed_at(self, rows_per_range: int) -> int:
        """From which newest image on ranges are to be added: there is less than one whole behind it then."""
        return self.end - self.images_per_range(rows_per_range)

    def missing(self, rows_per_range: int) -> int:
        """How many images more there should be ranges for: a whole one behind the newest image."""
        return max(0, self.newest + 1 + self.images_per_range(rows_per_range) - self.end)

    def bounds_to_add(self, rows_per_range: int) -> list[int]:
        """Where new ranges end; none where a server takes no more."""
        width, missing = self.images_per_range(rows_per_range), self.missing(rows_per_range)
        if not missing:
            return []
        number = min(ceil(missing / width), ADDED_MOST, ENGINE_MOST - 1 - len(self.ranges))
        if number <= 0:
            return []
        width = max(width, ceil(missing / number))
        return [self.end + width * (one + 1) for one in range(number)]

    def having_merged(self, groups: Sequence[Sequence[Range]]) -> "Partitions":
        """The same with one range in the place of each group."""
        merged = {group[-1]: Range(_name(group[-1].below), group[-1].below, _rows(group)) for group in groups}
        gone = {one for group in groups for one in group[:-1]}
        return replace(self, ranges=tuple(merged.get(one, one) for one in self.ranges if one not in gone))

    def to_merge(self, before: int, rows_per_range: int, copied_most: int) -> list[list[Range]]:
        """Neighbours that shall become one range, of those that end before an image."""
        most = min(rows_per_range, copied_most)
        groups: list[list[Range]] = []
        for one in self.ranges:
            if one.below > before:
                break
            if groups and _rows(groups[-1]) + one.rows <= most:
                groups[-1].append(one)
            else:
                groups.append([one])
        return [group for group in groups if len(group) > 1]

    def to_make_room(self, before: int, rows_per_range: int) -> list[list[Range]]:
        """Oldest neighbours that shall become as wide as new ranges are, until FREE_LEAST partitions are free again."""
        most = rows_per_range * self.growth
        missing = len(self.ranges) - (ENGINE_MOST - 1 - FREE_LEAST)
        groups: list[list[Range]] = []
        for group in self.to_merge(before, most, most):
            if missing <= 0:
                break
            groups.append(group[: missing + 1])
            missing -= len(groups[-1]) - 1
        return groups

    def to_write_anew(self, before: int, copied_most: int) -> list[Range]:
        """Ranges that keep room of rows that are gone, of those that end before an image; larger ones are left."""
        return [one for one in self.ranges if one.below <= before and one.is_sparse and one.rows <= copied_most]


def _rows(ranges: Sequence[Range]) -> int:
    return sum(one.rows for one in ranges)


def look(connection: Connection) -> list[Partitions]:
    """How the tables are partitioned; none where the engine has no partitions (SQLite)."""
    if connection.dialect.name == "sqlite":
        return []
    connection.execute(text("/*!80000 SET SESSION information_schema_stats_expiry = 0 */"))
    newest = newest_image(connection)
    found = []
    for table in TABLES:
        rows = connection.execute(_RANGES, {"table": table}).all()
        ranges = tuple(
            Range(name, int(below), int(count or 0), int(size or 0))
            for name, below, count, size in rows
            if name != OVERFLOW
        )
        found.append(Partitions(table, ranges, _beyond(connection, table) if rows else 0, newest))
    return found


def _beyond(connection: Connection, table: str) -> int:
    counted = f"SELECT 1 FROM {table} PARTITION ({OVERFLOW}) LIMIT {COPIED_MOST + 1}"  # noqa: S608 - names of our own
    return int(connection.execute(text(f"SELECT COUNT(*) FROM ({counted}) counted")).scalar_one())  # noqa: S608


def newest_image(connection: Connection) -> int:
    """The greatest image id."""
    return int(connection.execute(_NEWEST).scalar_one())


def arrange(connection: Connection, rows_per_range: int = ROWS_PER_RANGE, *, copies_all: bool = False) -> list[str]:
    """Merge what has become small, write anew what keeps much room of rows that are gone, and add ranges for images to
    come; safe to repeat. Returns what was done.

    ``copies_all``: also where so much is copied that nobody can write for minutes.
    """
    done: list[str] = []
    for found in look(connection):
        copied_most = rows_per_range if copies_all and len(found.ranges) > RANGES_MOST else COPIED_MOST
        at_work = connection.execute(_FIRST_AT_WORK).scalar_one_or_none()
        settled = found.newest if at_work is None else min(found.newest, int(at_work))
        now = _merged(connection, found, found.to_merge(settled, rows_per_range, copied_most), done)
        if copies_all:
            now = _merged(connection, now, now.to_make_room(settled, rows_per_range), done)
        for one in now.to_write_anew(settled, copied_most):
            _reorganize(connection, found.table, [one.name], [one.below])
            took = f"of about {one.rows} rows took {one.size_bytes / 1e6:.0f} MB, and is written anew"
            done.append(f"table {found.table}: range {one.name} {took}")
        bounds = now.bounds_to_add(rows_per_range)
        if bounds and (copies_all or now.beyond <= COPIED_MOST):
            _reorganize(connection, now.table, [OVERFLOW] if now.ranges else [], bounds, overflow=True)
            done.append(f"table {now.table}: {len(bounds)} ranges added, for images to {bounds[-1] - 1}")
    return done


def _merged(
    connection: Connection, found: Partitions, groups: Sequence[Sequence[Range]], done: list[str]
) -> Partitions:
    for group in groups:
        _reorganize(connection, found.table, [one.name for one in group], [group[-1].below])
    if groups:
        done.append(f"table {found.table}: {sum(map(len, groups))} ranges became {len(groups)}")
    return found.having_merged(groups)


def _reorganize(
    connection: Connection, table: str, old: Sequence[str], bounds: Sequence[int], *, overflow: bool = False
) -> None:
    """Make partitions with these bounds of old ones; of the table itself where it has none."""
    verb = f"REORGANIZE PARTITION {', '.join(old)} INTO" if old else "PARTITION BY RANGE (image_id)"
    connection.execute(text(f"ALTER TABLE {table} {verb} ({', '.join(_definitions(bounds, overflow))})"))
    # Until then a server tells 0 of all that was copied.
    connection.execute(text(f"ALTER TABLE {table} ANALYZE PARTITION {_name(bounds[0])}")).all()


def _name(bound: int) -> str:
    return f"below_{bound}"


def _definitions(bounds: Sequence[int], overflow: bool) -> Iterator[str]:
    for bound in bounds:
        yield f"PARTITION {_name(bound)} VALUES LESS THAN ({bound})"
    if overflow:
        yield f"PARTITION {OVERFLOW} VALUES LESS THAN MAXVALUE"
