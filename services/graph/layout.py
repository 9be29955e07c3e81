"""A layered layout for a graph of a few nodes: parents above children, long edges in lanes beside what lies between.

Layers by the longest path, the order in a layer by the mean of the neighbours; then each edge that crosses a layer gets
a lane of its own, left or right of all boxes there. Enough for commands; thousands of processes are Graphviz' business.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from services.graph.model import Edge, Node

SWEEPS = 12
NODE_GAP, LANE_GAP = 48.0, 22.0  # pixels between borders


@dataclass(frozen=True)
class Route:
    """An edge, and the (x, layer) that it passes from its parent to its child."""

    edge: Edge
    points: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Layout:
    """Centres of nodes by name as (x, layer), routes of edges, and how wide and deep it is."""

    places: dict[str, tuple[float, int]]
    routes: tuple[Route, ...]
    left: float
    right: float
    layers: int


def arrange(nodes: Sequence[Node], edges: Sequence[Edge], width: float) -> Layout:
    """Place ``nodes``, ``width`` pixels wide each; edges from a node to itself are left out."""
    edges = [edge for edge in edges if edge.parent != edge.child]
    layer = _layers(nodes, edges)
    rows: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for name, number in layer.items():
        rows[number].append(name)
    x = _positions(rows, edges, width)
    lanes = _Lanes(rows, x, width)
    routes = {}
    for edge in sorted(edges, key=lambda edge: (layer[edge.child] - layer[edge.parent], layer[edge.parent])):
        start, end = (x[edge.parent], layer[edge.parent]), (x[edge.child], layer[edge.child])
        routes[edge] = Route(edge, (start, *lanes.take(start, end), end))
    return Layout(
        places={node.name: (x[node.name], layer[node.name]) for node in nodes},
        routes=tuple(routes[edge] for edge in edges),
        left=min(lanes.left),
        right=max(lanes.right),
        layers=len(rows),
    )


class _Lanes:
    """How far boxes and lanes reach to the left and to the right in each layer."""

    def __init__(self, rows: Sequence[Sequence[str]], x: dict[str, float], width: float) -> None:
        self.left = [min(x[name] for name in row) - width / 2 for row in rows]
        self.right = [max(x[name] for name in row) + width / 2 for row in rows]

    def take(self, start: tuple[float, int], end: tuple[float, int]) -> list[tuple[float, int]]:
        """A lane past the layers between, on the side where the way is shorter; nothing where none lies between."""
        between = range(start[1] + 1, end[1])
        if not between:
            return []
        left = min(self.left[layer] for layer in between) - LANE_GAP
        right = max(self.right[layer] for layer in between) + LANE_GAP
        middle = (start[0] + end[0]) / 2
        lane = right if right - middle <= middle - left else left
        for layer in between:
            self.left[layer], self.right[layer] = min(self.left[layer], lane), max(self.right[layer], lane)
        return [(lane, layer) for layer in between]


def _positions(rows: Sequence[list[str]], edges: Sequence[Edge], width: float) -> dict[str, float]:
    """The middle of each box: rows are centred, and ordered by the mean of the neighbours."""
    neighbours: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        neighbours[edge.parent].append(edge.child)
        neighbours[edge.child].append(edge.parent)
    step = width + NODE_GAP
    x: dict[str, float] = {}

    def centre(row: Sequence[str]) -> None:
        x.update({name: (place - (len(row) - 1) / 2) * step for place, name in enumerate(row)})

    def mean(name: str) -> float:
        return sum(x[other] for other in neighbours[name]) / len(neighbours[name]) if neighbours[name] else x[name]

    for row in rows:
        centre(row)
    for _ in range(SWEEPS):
        for row in rows:
            row.sort(key=mean)
            centre(row)
    return x


def _layers(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, int]:
    """Longest path from above; as many rounds as there are nodes, so that a circle cannot hold it up."""
    layer = {node.name: 0 for node in nodes}
    for _ in nodes:
        for edge in edges:
            layer[edge.child] = min(max(layer[edge.child], layer[edge.parent] + 1), len(nodes) - 1)
    below: dict[str, list[int]] = defaultdict(list)
    for edge in edges:
        below[edge.parent].append(layer[edge.child])
    parents_of_none = {node.name for node in nodes} - {edge.child for edge in edges}
    for name in parents_of_none & below.keys():  # beside what needs it, not at the very top
        layer[name] = min(below[name]) - 1
    used = {number: place for place, number in enumerate(sorted(set(layer.values())))}
    return {name: used[number] for name, number in layer.items()}
