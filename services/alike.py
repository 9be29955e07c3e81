"""What is said alike of many frames or observations: one line instead of a page."""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
NAMED = 5  # observations in one line
EXAMPLES = 3  # PIDs that stand for a group

# What differs between frames that fail for one reason: quoted names, paths, and numbers (PIDs, counts, times).
_PARTICULARS = re.compile(r"""'[^']*'|"[^"]*"|\S*/\S*|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?""")

# Notes on an observation, and of them those that are alike for kinds of masters.
_OF_OBSERVATION = re.compile(r"observation (\d+): (.+)", re.DOTALL)
_OF_MASTER = re.compile(r"no (bias|dark|flat) (frames .+)", re.DOTALL)


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


def named(observations: Sequence[int]) -> str:
    """Observations by their numbers, the first few of many."""
    first = ", ".join(map(str, observations[:NAMED]))
    more = f" and {len(observations) - NAMED} more" if len(observations) > NAMED else ""
    return f"observation{'s' if len(observations) > 1 else ''} {first}{more}"


def notes_together(notes: Iterable[str]) -> list[str]:
    """Notes in the order in which they came; what is said of several observations, or masters of one, in one line."""
    found: dict[str, list[int]] = {}
    for note in notes:
        of_one = _OF_OBSERVATION.fullmatch(note)
        whose = found.setdefault(note if of_one is None else of_one[2], [])
        if of_one is not None:
            whose.append(int(of_one[1]))
    kinds: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for said, observations in found.items():
        of_master = _OF_MASTER.fullmatch(said)
        text = said if of_master is None else of_master[2]
        kinds.setdefault((text, tuple(observations)), []).extend([] if of_master is None else [of_master[1]])
    lines = []
    for (text, numbers), masters in kinds.items():
        line = f"no {', '.join(masters)} {text}" if masters else text
        lines.append(f"{named(sorted(numbers))}: {line}" if numbers else line)
    return lines
