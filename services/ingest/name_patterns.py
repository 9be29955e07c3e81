"""Kind, target, filter and running number of a frame by its name, as an operator's regular expressions tell them.

A pattern may be written badly or with evil intent: each has a bounded length, and a bounded time for each name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from services.errors import ConfigurationError
from services.header_reading import LONGEST_PATTERN
from services.ingest.cards import NAME_LENGTH, printable
from services.ingest.file_names import quoted
from services.ingest.frame_kinds import kind_by_words
from services.ingest.told_elsewhere import NOTHING, Told

GROUPS = frozenset({"obj", "band", "sn"})
MATCH_TIMEOUT_S = 1.0  # of one pattern on one name, which takes microseconds
PACKED = (".gz", ".fz")
FOLDERS = 2  # above the file, which a pattern may speak of


@dataclass(frozen=True)
class NameFacts:
    """What a name tells."""

    told: Told = NOTHING
    number: int | None = None  # by the group `sn`


class NamePatterns:
    """Patterns with the groups ``obj``, ``band`` and ``sn``; the first that fits a whole name counts.

    A pattern is held against the file's name, then against that with its folder and with two folders above, joined by
    ``/``; then against these without ``.gz`` and ``.fz``.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        """Compile.

        Raises:
            ConfigurationError: a pattern is too long, no regular expression, or has no or other groups.
        """
        self._compiled = [_compiled(pattern) for pattern in patterns]

    def read(self, path: Path) -> NameFacts | None:
        """What the first pattern that fits tells; None if none does.

        Raises:
            ConfigurationError: a pattern takes too long on this name.
        """
        for pattern in self._compiled:
            for name in _names(path):
                try:
                    found = pattern.fullmatch(name, timeout=MATCH_TIMEOUT_S)
                except TimeoutError as error:
                    raise ConfigurationError(
                        f"pattern {pattern.pattern!r} took longer than {MATCH_TIMEOUT_S:g} s on {quoted(path)}: write "
                        "it without repetitions inside repetitions"
                    ) from error
                if found is not None:
                    return _facts({name: value for name, value in found.groupdict().items() if value})
        return None


def _compiled(pattern: str) -> Any:
    if len(pattern) > LONGEST_PATTERN:
        raise ConfigurationError(f"pattern {pattern[:40]!r}… has {len(pattern)} characters: at most {LONGEST_PATTERN}")
    try:
        compiled = regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"pattern {pattern!r} is no regular expression: {error}") from error
    groups = set(compiled.groupindex)
    if not groups or groups - GROUPS:
        raise ConfigurationError(
            f"pattern {pattern!r} has the groups {', '.join(sorted(groups)) or 'none'}: expected some of "
            "(?P<obj>…), (?P<band>…) and (?P<sn>…)"
        )
    return compiled


def _names(path: Path) -> list[str]:
    parts = [part.encode(errors="replace").decode() for part in path.parts[-1 - FOLDERS :]]
    longer = ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    unpacked = [name[: -len(suffix)] for name in longer for suffix in PACKED if name.lower().endswith(suffix)]
    return [*longer, *unpacked]


def _facts(groups: dict[str, str]) -> NameFacts:
    name = printable(groups.get("obj", ""))[:NAME_LENGTH].strip()
    kind = kind_by_words(name) if name else None
    told = Told(
        kind=kind or ("light" if name else None),
        target=name if name and kind is None else None,
        filter=printable(groups.get("band", ""))[:NAME_LENGTH].strip() or None,
        by="the file's name",
    )
    digits = groups.get("sn", "")
    return NameFacts(told, int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None)
