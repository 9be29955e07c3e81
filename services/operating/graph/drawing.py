"""Nodes and edges of a drawing, and the colours of the states. A node is a command, or one process."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schema.processes import CANCELLED, FAILED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, WAITING

# In the order in which bars show them.
STATE_COLOURS: dict[str, str] = {
    SUCCEEDED: "#2e9e5b",
    FAILED: "#d64545",
    SKIPPED: "#e8a33d",
    CANCELLED: "#9b7bb8",
    RUNNING: "#2f7fd6",
    QUEUED: "#8fbce6",
    WAITING: "#d5dae0",
}
DARK_STATES = (SUCCEEDED, FAILED, CANCELLED, RUNNING)  # on whose colours text is white
LEAST_DIGITS = 4  # of a PID's short form


@dataclass(frozen=True)
class Node:
    """Processes of one command, or one process (``pid``); ``outside`` is the observation that another graph is of."""

    name: str  # unique in the drawing
    command: str
    counts: dict[str, int]  # by state, none that is 0
    pid: int | None = None
    is_outside: bool = False
    outside: int | None = None

    @property
    def total(self) -> int:
        """Processes."""
        return sum(self.counts.values())

    @property
    def title(self) -> str:
        """The command, and whose it is when another observation's."""
        if not self.is_outside:
            return self.command
        return f"{self.command} of " + ("another graph" if self.outside is None else f"observation {self.outside}")

    def states(self) -> list[tuple[str, int]]:
        """(state, count) in the order of the bars."""
        return [(state, self.counts[state]) for state in STATE_COLOURS if state in self.counts]


@dataclass(frozen=True)
class Edge:
    """``child`` needs ``parent``; ``required`` when each of the dependencies is."""

    parent: str
    child: str
    required: bool


@dataclass(frozen=True)
class ProcessGraph:
    """What is drawn; parents come before their children, as the steps follow one another."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    is_full: bool

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only; edges name their nodes."""
        named = [
            {
                "node": one.name,
                "command": one.command,
                "pid": one.pid,
                "counts": {state: one.counts.get(state, 0) for state in STATE_COLOURS},
                "in_other_graph": one.is_outside,
                "of_observation_id": one.outside,
            }
            for one in self.nodes
        ]
        return {"title": self.title, "nodes": named, "edges": [asdict(edge) for edge in self.edges]}

    def totals(self) -> dict[str, int]:
        """Processes of the observation itself by state."""
        own = [node for node in self.nodes if not node.is_outside]
        sums = {state: sum(node.counts.get(state, 0) for node in own) for state in STATE_COLOURS}
        return {state: count for state, count in sums.items() if count}


def short_pids(pids: Sequence[int]) -> dict[int, str]:
    """The last digits of each PID, as many as tell all of them apart."""
    for digits in range(LEAST_DIGITS, 20):
        if len({pid % 10**digits for pid in pids}) == len(set(pids)):
            return {pid: f"…{pid % 10**digits:0{digits}d}" for pid in pids}
    raise AssertionError("unreachable: a PID has at most 19 digits")


def printable(text: str) -> str:
    """Without the control characters that neither XML nor Graphviz can hold."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def counts_text(counts: dict[str, int]) -> str:
    """``3 succeeded, 1 failed``."""
    return ", ".join(f"{counts[state]} {state}" for state in STATE_COLOURS if state in counts)
