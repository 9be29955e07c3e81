"""The graph in Graphviz' language."""

from html import escape
from itertools import groupby

from services.operating.graph.drawing import (
    DARK_STATES,
    STATE_COLOURS,
    Node,
    ProcessGraph,
    counts_text,
    printable,
    short_pids,
)

BAR_POINTS = 150
FONT = "Helvetica,Arial,sans-serif"


def to_dot(graph: ProcessGraph) -> str:
    """Source for ``dot``; every text in it is quoted."""
    lines = [
        "digraph tianyu {",
        f"  graph [label=<{_heading(graph)}>, labelloc=t, fontname={quote(FONT)}, ranksep=0.45, nodesep=0.25];",
        # Hundreds of frames side by side would be a picture of 20 m by 20 cm.
        f"  rankdir={'LR' if graph.is_full else 'TB'};",
        f"  node [fontname={quote(FONT)}, fontsize=11, color={quote('#5b6570')}];",
        f"  edge [color={quote('#5b6570')}, arrowsize=0.7];",
        *(_clusters(graph) if graph.is_full else map(_command, graph.nodes)),
    ]
    for edge in graph.edges:
        style = "" if edge.required else " [style=dashed]"
        lines.append(f"  {quote(edge.parent)} -> {quote(edge.child)}{style};")
    return "\n".join([*lines, "}", ""])


def quote(text: str) -> str:
    """A quoted string of which Graphviz interprets nothing."""
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _heading(graph: ProcessGraph) -> str:
    states = "".join(
        f'<TD BGCOLOR="{colour}"><FONT COLOR="{_ink(state)}">{state}</FONT></TD>'
        for state, colour in STATE_COLOURS.items()
    )
    title = escape(printable(graph.title))
    across = f'<TD COLSPAN="{len(STATE_COLOURS)}">'
    return (
        f'<TABLE BORDER="0" CELLSPACING="4"><TR>{across}<B>{title}</B></TD></TR><TR>{states}</TR>'
        f'<TR>{across}<FONT POINT-SIZE="10">solid: required, dashed: optional</FONT></TD></TR></TABLE>'
    )


def _ink(state: str) -> str:
    return "white" if state in DARK_STATES else "black"


def _command(node: Node) -> str:
    widths = {state: max(3, round(BAR_POINTS * count / node.total)) for state, count in node.states()}
    cells = "".join(
        f'<TD BGCOLOR="{STATE_COLOURS[state]}" WIDTH="{width}" HEIGHT="8"></TD>' for state, width in widths.items()
    )
    label = (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="2"><TR><TD><B>{escape(printable(node.title))}</B></TD></TR>'
        f'<TR><TD><TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0"><TR>{cells}</TR></TABLE></TD></TR>'
        f'<TR><TD><FONT POINT-SIZE="9">{escape(counts_text(node.counts))}</FONT></TD></TR></TABLE>'
    )
    style = "rounded,dashed" if node.is_outside else "rounded"
    return f"  {quote(node.name)} [shape=box, style={quote(style)}, label=<{label}>];"


def _clusters(graph: ProcessGraph) -> list[str]:
    short = short_pids([node.pid for node in graph.nodes if node.pid is not None])
    lines = []
    for number, (title, nodes) in enumerate(groupby(graph.nodes, key=lambda node: node.title)):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={quote(title)}; style=rounded; color={quote('#c4cad0')};")
        for node in nodes:
            [state] = node.counts
            assert node.pid is not None
            facts = f"label={quote(short[node.pid])}, tooltip={quote(f'{node.pid} {state}')}, style=filled"
            colours = f"fillcolor={quote(STATE_COLOURS[state])}, fontcolor={_ink(state)}"
            lines.append(f"    {quote(node.name)} [shape=box, height=0.25, {facts}, {colours}];")
        lines.append("  }")
    return lines
