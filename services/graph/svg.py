"""The graph by command as SVG, drawn without Graphviz."""

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

from services.graph.layout import Layout, Route, arrange
from services.graph.model import STATE_COLOURS, Node, ProcessGraph, counts_text, printable

BOX_HEIGHT, LAYER_STEP, MARGIN = 62.0, 112.0, 24.0
HEADER_HEIGHT = 92.0
LEAST_BOX_WIDTH, LEAST_WIDTH = 210.0, 640.0
HEADING_CHARACTER, TITLE_CHARACTER, COUNT_CHARACTER = 9.8, 8.4, 6.6  # pixels, on the wide side: fonts differ
SWATCH = 9.0
PORT_STEP = 16.0  # between the ends of edges at one box
INK, FAINT, PAPER, OUTSIDE_PAPER = "#24292f", "#6b7580", "#ffffff", "#f4f6f8"


def to_svg(graph: ProcessGraph) -> str:
    """A picture of a graph by command."""
    box = max([LEAST_BOX_WIDTH, *(_needed_width(node) for node in graph.nodes)])
    layout = arrange(graph.nodes, graph.edges, box)
    legend = _legend_width()
    width = max(
        LEAST_WIDTH,
        layout.right - layout.left + 2 * MARGIN,
        legend + 2 * MARGIN,
        len(graph.title) * HEADING_CHARACTER + 2 * MARGIN,
    )
    shift = width / 2 - (layout.left + layout.right) / 2
    height = HEADER_HEIGHT + (layout.layers - 1) * LAYER_STEP + BOX_HEIGHT + MARGIN
    trees = {edge.child for edge in graph.edges if edge.parent == edge.child}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Helvetica, Arial, sans-serif" fill="{INK}">',
        f"<title>{_text(graph.title)}</title>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="{FAINT}"/></marker></defs>',
        *_header(graph, width),
        *_edges(layout, shift),
    ]
    for node in graph.nodes:
        x, layer = layout.places[node.name]
        parts += _box(node, x + shift, _top(layer), box, node.name in trees)
    return "\n".join([*parts, "</svg>", ""])


def _text(text: str) -> str:
    return escape(printable(text))


def _top(layer: int) -> float:
    return HEADER_HEIGHT + layer * LAYER_STEP


def _count_widths(node: Node) -> list[float]:
    return [SWATCH + 5 + len(str(count)) * COUNT_CHARACTER + 9 for _, count in node.states()]


def _needed_width(node: Node) -> float:
    title = (len(node.title) + len(str(node.total)) + 4) * TITLE_CHARACTER
    return max(title, sum(_count_widths(node))) + 24


def _legend_width() -> float:
    return sum(SWATCH + 8 + len(state) * COUNT_CHARACTER + 16 for state in STATE_COLOURS)


def _header(graph: ProcessGraph, width: float) -> Iterator[str]:
    yield f'<text x="{MARGIN}" y="30" font-size="15" font-weight="bold">{_text(graph.title)}</text>'
    yield f'<text x="{MARGIN}" y="49" font-size="12" fill="{FAINT}">{_text(counts_text(graph.totals()))}</text>'
    x = MARGIN
    for state, colour in STATE_COLOURS.items():
        yield f'<rect x="{x:.1f}" y="60" width="{SWATCH}" height="{SWATCH}" rx="2" fill="{colour}"/>'
        yield f'<text x="{x + SWATCH + 5:.1f}" y="69" font-size="11">{state}</text>'
        x += SWATCH + 8 + len(state) * COUNT_CHARACTER + 16
    right = width - MARGIN
    for row, (name, dash) in enumerate((("required", ""), ("optional", ' stroke-dasharray="5 4"'))):
        y = 45 + 16 * row
        yield f'<path d="M{right - 84:.1f},{y} H{right - 54:.1f}" stroke="{FAINT}" stroke-width="1.3"{dash}/>'
        yield f'<text x="{right:.1f}" y="{y + 4}" font-size="11" text-anchor="end">{name}</text>'


def _edges(layout: Layout, shift: float) -> Iterator[str]:
    """Curves from box to box; the ends at one box stand side by side in the order of where they lead."""
    starts, ends = _ports(layout, first=True), _ports(layout, first=False)
    for number, route in enumerate(layout.routes):
        edge = route.edge
        points = _corners(route, starts[number] + shift, ends[number] + shift, shift)
        path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
        for (x0, y0), (x1, y1) in pairwise(points):
            middle = (y0 + y1) / 2
            path += f" C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
        dash = "" if edge.required else ' stroke-dasharray="5 4"'
        kind = "required" if edge.required else "optional"
        yield f'<path d="{path}" fill="none" stroke="{FAINT}" stroke-width="1.3"{dash} marker-end="url(#arrow)">'
        yield f"<title>{_text(f'{edge.child} needs {edge.parent}: {edge.count} {kind}')}</title></path>"


def _corners(route: Route, start: float, end: float, shift: float) -> list[tuple[float, float]]:
    """Where a curve turns: it passes boxes of layers between in a straight line."""
    corners = [(start, _top(route.points[0][1]) + BOX_HEIGHT)]
    for x, layer in route.points[1:-1]:
        corners += [(x + shift, _top(layer)), (x + shift, _top(layer) + BOX_HEIGHT)]
    return [*corners, (end, _top(route.points[-1][1]) - 1)]


def _ports(layout: Layout, *, first: bool) -> list[float]:
    """For each route the x at which it leaves (``first``) or reaches its box."""
    here, there = (0, 1) if first else (-1, -2)
    by_box: dict[str, list[int]] = {}
    for number, route in enumerate(layout.routes):
        by_box.setdefault(route.edge.parent if first else route.edge.child, []).append(number)
    ports = [0.0] * len(layout.routes)
    for numbers in by_box.values():
        numbers.sort(key=lambda number: layout.routes[number].points[there][0])
        for place, number in enumerate(numbers):
            ports[number] = layout.routes[number].points[here][0] + (place - (len(numbers) - 1) / 2) * PORT_STEP
    return ports


def _box(node: Node, x: float, top: float, width: float, in_tree: bool) -> Iterator[str]:
    left = x - width / 2
    dash, fill = (' stroke-dasharray="4 3"', OUTSIDE_PAPER) if node.is_outside else ("", PAPER)
    yield f"<g><title>{_text(f'{node.title}: {counts_text(node.counts)}')}</title>"
    yield (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BOX_HEIGHT}" rx="7" fill="{fill}" '
        f'stroke="{FAINT}"{dash}/>'
    )
    line, right = top + 21, left + width - 12
    yield f'<text x="{left + 12:.1f}" y="{line:.1f}" font-size="13" font-weight="bold">{_text(node.title)}</text>'
    total = f"{node.total} in a tree" if in_tree else str(node.total)
    yield f'<text x="{right:.1f}" y="{line:.1f}" font-size="12" text-anchor="end" fill="{FAINT}">{total}</text>'
    yield from _bar(node, left + 12, top + 30, width - 24)
    place = left + 12
    for (state, count), wide in zip(node.states(), _count_widths(node), strict=True):
        colour = STATE_COLOURS[state]
        yield f'<rect x="{place:.1f}" y="{top + 45:.1f}" width="{SWATCH}" height="{SWATCH}" rx="2" fill="{colour}"/>'
        yield f'<text x="{place + SWATCH + 4:.1f}" y="{top + 53.5:.1f}" font-size="11">{count}</text>'
        place += wide
    yield "</g>"


def _bar(node: Node, left: float, top: float, width: float) -> Iterator[str]:
    least = min(3.0, width / (2 * len(STATE_COLOURS)))  # pixels that a state shows at least
    spare = width - least * len(node.counts)
    for state, count in node.states():
        share = least + spare * count / node.total
        yield (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{share:.1f}" height="8" fill="{STATE_COLOURS[state]}">'
            f"<title>{count} {state}</title></rect>"
        )
        left += share
