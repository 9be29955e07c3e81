"""An observing log: lines of frames' numbers, with what headers lack or tell wrongly.

Each line is ``first,last,name or kind,exposure in s,right ascension,declination`` and, if wanted, ``filter``, as the
pipeline of the 1.26-m telescope at Xinglong has it (Zhong et al. 2018, table 1); all but the first three may be empty.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.units import HOUR_DEG
from services.errors import ConfigurationError
from services.ingest.cards import NAME_LENGTH, as_number, printable
from services.ingest.coordinates import sexagesimal
from services.ingest.exposures import LONGEST_EXPOSURE_S
from services.ingest.file_names import FRAME_SUFFIXES
from services.ingest.frame_kinds import kind_by_words
from services.ingest.told_elsewhere import Told

COLUMNS = ("first frame", "last frame", "name or kind", "exposure", "right ascension", "declination", "filter")
NEEDED = 3
LARGEST_BYTES = 1_000_000
MOST_PROBLEMS = 5  # that one message names
LONGEST_NUMBER = 18  # digits

_LINE_BREAKS = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class LogLine:
    """Frames from ``first`` to ``last``, both included."""

    line: int
    first: int | str  # number, or a file's name
    last: int | str
    told: Told


class ObservingLog:
    """What a log tells by frames' numbers."""

    def __init__(self, name: str, lines: Sequence[LogLine]) -> None:
        self._name, self._lines = name, lines

    def files(self, folders: Iterable[Path]) -> list[Path]:
        """The frames that lines name by their files, as they may lie in any of these folders."""
        names = {end for line in self._lines for end in (line.first, line.last) if isinstance(end, str)}
        return [folder / name for folder in folders for name in sorted(names)]

    def numbered(self, numbers: Mapping[Path, int]) -> "ObservingLog":
        """The log, numbers in place of the names of files.

        Raises:
            ConfigurationError: a name is no file's, or a line ends before it begins.
        """
        by_name = {path.name: number for path, number in numbers.items()}
        lines = []
        for one in self._lines:
            ends = []
            for column, end in ((0, one.first), (1, one.last)):
                number = by_name.get(end) if isinstance(end, str) else end
                if number is None:
                    raise ConfigurationError(
                        f"log {self._name!r} is wrong: line {one.line}, {_column(column)}: there is no frame {end!r}"
                    )
                ends.append(number)
            if ends[1] < ends[0]:
                before = f"{_column(1)}: {one.last} is before the first frame, {one.first}"
                raise ConfigurationError(f"log {self._name!r} is wrong: line {one.line}, {before}")
            lines.append(replace(one, first=ends[0], last=ends[1]))
        return ObservingLog(self._name, lines)

    def of(self, number: int | None) -> Told:
        """What the first line with this number tells; a note where there is none, or where others tell otherwise."""
        found = [] if number is None else [one for one in self._lines if _is_within(one, number)]
        if not found:
            return Told(notes=(f"the log {self._name!r} has no line for it",))
        told = found[0].told
        if len(found) == 1:
            return told
        where = ", ".join(str(one.line) for one in found)
        is_same = all(replace(one.told, by="") == replace(told, by="") for one in found)
        which = "which tell the same" if is_same else f"of which line {found[0].line} is used"
        return replace(told, notes=(f"the log {self._name!r} has it in lines {where}, {which}",))


def read_log(path: Path) -> ObservingLog:
    """Read a log; a line of words above the first line of numbers is its heading, ``#`` begins a remark.

    Raises:
        ConfigurationError: it cannot be read, or something in it is wrong; the message names line and column.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigurationError(f"log {str(path)!r} is larger than {LARGEST_BYTES} bytes: is it one?")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"log {str(path)!r} cannot be read: {error.strerror}; check its name") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"log {str(path)!r} is no UTF-8: save it as such") from error
    lines: list[LogLine] = []
    problems: list[str] = []
    for number, written in enumerate(_LINE_BREAKS.split(text), start=1):
        cells = [cell.strip() for cell in next(csv.reader([written.partition("#")[0]]), [])]
        if not any(cells) or (not lines and not problems and not any(c.isdigit() for c in "".join(cells[:2]))):
            continue
        try:
            lines.append(_line(number, cells, path.name))
        except ValueError as error:
            problems.append(f"line {number}, {error}")
    if problems:
        more = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
        raise ConfigurationError(f"log {str(path)!r} is wrong: {'; '.join(problems[:MOST_PROBLEMS])}{more}")
    if not lines:
        raise ConfigurationError(f"log {str(path)!r} has no line: expected {', '.join(COLUMNS)}")
    return ObservingLog(path.name, lines)


def _line(number: int, cells: Sequence[str], name: str) -> LogLine:
    if not NEEDED <= len(cells) <= len(COLUMNS):
        raise ValueError(f"{len(cells)} columns: expected {NEEDED} to {len(COLUMNS)}, {', '.join(COLUMNS)}")
    padded = [*cells, *([""] * (len(COLUMNS) - len(cells)))]
    first, last = (_frame_number(padded, column) for column in (0, 1))
    if isinstance(first, int) and isinstance(last, int) and last < first:
        raise ValueError(f"{_column(1)}: {last} is before the first frame, {first}")
    if not padded[2]:
        raise ValueError(f"{_column(2)}: is empty: expected a target's name, or bias, dark or flat")
    kind = kind_by_words(padded[2])
    ra, dec = _pointing(padded)
    told = Told(
        kind=kind or "light",
        target=printable(padded[2])[:NAME_LENGTH] if kind in (None, "light") else None,
        filter=printable(padded[6])[:NAME_LENGTH] or None,
        exposure=_exposure(padded),
        ra_deg=ra,
        dec_deg=dec,
        by=f"the log {name!r}",
    )
    return LogLine(number, first, last, told)


def _column(index: int) -> str:
    return f"column {index + 1} ({COLUMNS[index]})"


def _is_within(line: LogLine, number: int) -> bool:
    return isinstance(line.first, int) and isinstance(line.last, int) and line.first <= number <= line.last


def _frame_number(cells: Sequence[str], column: int) -> int | str:
    written = cells[column]
    if written.isascii() and written.isdigit() and len(written) <= LONGEST_NUMBER:
        return int(written)
    if not written.lower().endswith(FRAME_SUFFIXES):
        raise ValueError(f"{_column(column)}: {written!r} is no number of a frame, and no file's name")
    return written


def _exposure(cells: Sequence[str]) -> float | None:
    if not cells[3]:
        return None
    seconds = as_number(cells[3], ("s", "sec"))
    if seconds is None or not 0.0 <= seconds <= LONGEST_EXPOSURE_S:
        raise ValueError(f"{_column(3)}: {cells[3]!r} is no exposure time: expected seconds")
    return seconds


def _pointing(cells: Sequence[str]) -> tuple[float | None, float | None]:
    """Degrees; sexagesimal right ascensions are hours, numbers are degrees."""
    angles: list[float | None] = []
    for column, limit in ((4, 360.0), (5, 90.0)):
        written = cells[column]
        if not written:
            angles.append(None)
            continue
        value, parts = as_number(written), sexagesimal(written)
        if value is None and parts is not None:
            value = parts * HOUR_DEG if column == 4 else parts
        if value is None or not (0.0 if column == 4 else -limit) <= value <= limit:
            raise ValueError(f"{_column(column)}: {written!r} is no place on the sky: expected 02:04:10.3 or degrees")
        angles.append(value)
    if (angles[0] is None) != (angles[1] is None):
        raise ValueError(f"{_column(4 if angles[0] is None else 5)}: is empty, beside the other angle")
    return angles[0], angles[1]


def running_numbers(paths: Iterable[Path], by_pattern: Mapping[Path, int]) -> dict[Path, int]:
    """The number of each frame: its pattern's, else of the numbers in names that are alike the one with most values."""
    found = dict(by_pattern)
    for members in _alike(paths):
        count = min(map(len, members.values()))
        if not count:
            continue
        values = [len({numbers[-place] for numbers in members.values()}) for place in range(1, count + 1)]
        place = values.index(max(values)) + 1  # of as many the last in the name
        for path, numbers in members.items():
            found.setdefault(path, numbers[-place])
    return found


def ambiguous(paths: Iterable[Path], by_pattern: Mapping[Path, int]) -> set[Path]:
    """Frames with several numbers in their names that no other name is like, and no pattern tells which counts."""
    alone = (members for members in _alike(paths) if len(members) == 1)
    return {path for members in alone for path, numbers in members.items() if len(numbers) > 1} - by_pattern.keys()


def _alike(paths: Iterable[Path]) -> Iterable[dict[Path, list[int]]]:
    """Names of one folder that differ in their numbers alone, with these."""
    alike: dict[tuple[Path, str], dict[Path, list[int]]] = defaultdict(dict)
    for path in paths:
        stem = path.name.partition(".")[0]
        numbers = [int(digits) for digits in re.findall(r"\d+", stem, re.ASCII) if len(digits) <= LONGEST_NUMBER]
        alike[path.parent, re.sub(r"\d+", "0", stem, flags=re.ASCII)][path] = numbers
    return alike.values()
