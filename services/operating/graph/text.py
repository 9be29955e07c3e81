"""The graph for a terminal: a line a command or process, with its states and what it depends on."""

from collections import defaultdict
from itertools import groupby

from rich.text import Text

from schema.processes import CANCELLED, FAILED, QUEUED, RUNNING, SKIPPED, SUCCEEDED, WAITING
from services.operating.graph.drawing import STATE_COLOURS, Edge, Node, ProcessGraph, counts_text, short_pids

BAR_WIDTH = 24
NAMED = 6  # dependencies of one process
# Different where there is no colour, too.
GLYPHS = {SUCCEEDED: "█", FAILED: "×", SKIPPED: "»", CANCELLED: "-", RUNNING: "▓", QUEUED: "▒", WAITING: "░"}


def to_text(graph: ProcessGraph) -> list[Text]:
    """Lines; ``str()`` of them has no colours."""
    lines = [Text(graph.title, "bold"), Text(counts_text(graph.totals()))]
    lines.append(Text("  ").join(Text(f"{GLYPHS[state]} {state}", colour) for state, colour in STATE_COLOURS.items()))
    needs: dict[str, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        needs[edge.child].append(edge)
    lines += _full(graph, needs) if graph.is_full else _collapsed(graph, needs)
    return lines


def _collapsed(graph: ProcessGraph, needs: dict[str, list[Edge]]) -> list[Text]:
    titles = {node.name: node.title for node in graph.nodes}
    width = max(map(len, titles.values()))
    digits = max(len(str(node.total)) for node in graph.nodes)
    lines = []
    for number, node in enumerate(graph.nodes):
        line = Text(f"{'○' if node.is_outside else '●'} ").append(f"{node.title:<{width}}", "bold")
        lines.append(
            line.append(f"  {node.total:>{digits}}  ").append(bar(node)).append(f"  {counts_text(node.counts)}")
        )
        below = "│" if number < len(graph.nodes) - 1 else " "
        others = [edge for edge in needs[node.name] if edge.parent != node.name]
        parents = [f"{titles[edge.parent]}{'' if edge.required else ' (optional)'}" for edge in others]
        remarks = [f"needs {', '.join(parents)}"] if parents else []
        remarks += ["in a tree"] if len(others) < len(needs[node.name]) else []
        if remarks:
            lines.append(Text(f"{below}   {'; '.join(remarks)}", "dim"))
    return lines


def bar(node: Node, width: int = BAR_WIDTH) -> Text:
    """Parts of ``width`` for each state; whatever there is shows at least once."""
    shares = {state: max(1, round(width * count / node.total)) for state, count in node.states()}
    largest = max(shares, key=lambda state: shares[state])
    shares[largest] += width - sum(shares.values())
    return Text().join(Text(GLYPHS[state] * share, STATE_COLOURS[state]) for state, share in shares.items())


def _full(graph: ProcessGraph, needs: dict[str, list[Edge]]) -> list[Text]:
    short = {str(pid): text for pid, text in short_pids([node.pid for node in graph.nodes if node.pid]).items()}
    lines = []
    for title, nodes in groupby(graph.nodes, key=lambda node: node.title):
        lines.append(Text(title, "bold"))
        for node in nodes:
            [state] = node.counts
            line = Text(f"  {short[node.name]}  ").append(f"{GLYPHS[state]} {state:<9}", STATE_COLOURS[state])
            parents = [f"{short[edge.parent]}{'' if edge.required else '?'}" for edge in needs[node.name]]
            more = f" and {len(parents) - NAMED} more" if len(parents) > NAMED else ""
            if parents:
                line.append(f"  needs {', '.join(parents[:NAMED])}{more}", "dim")
            lines.append(line)
    return [*lines, Text("? = optional: it must only be finished", "dim")]
