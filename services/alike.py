"""Errors that say the same of many frames: one line with a count instead of a page."""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
EXAMPLES = 3  # PIDs that stand for a group

# What differs between frames that fail for one reason: quoted names, paths, and numbers (PIDs, counts, times).
_PARTICULARS = re.compile(r"""'[^']*'|"[^"]*"|\S*/\S*|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?""")


def gist(message: str) -> str:
    """The message without what is particular to one frame: equal for errors that are alike."""
    return _PARTICULARS.sub("…", message)


def gather(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Items with equal keys together, the largest groups first and else in the order in which they came."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return sorted(groups.values(), key=len, reverse=True)


def examples(pids: Sequence[int]) -> tuple[int, ...]:
    """The first few PIDs."""
    return tuple(sorted(pids)[:EXAMPLES])
