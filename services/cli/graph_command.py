"""`tianyu graph`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import ForceOption, JsonOption, friendly, note, out, reading, say, start
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.operating.graph import ProcessGraph


class Format(StrEnum):
    """How a graph is drawn."""

    TEXT = "text"
    DOT = "dot"
    SVG = "svg"


@friendly
def graph(
    observation_id: Annotated[int, typer.Argument(help="Observation whose newest graph is drawn.")],
    full: Annotated[bool, typer.Option("--full", help="Each process, not each command.")] = False,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Default: by the name of --output, else text."),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: standard output.")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw the process graph of an observation: what depends on what, and how far each part is.

    SVG is drawn by Graphviz' program `dot`, which must be installed; `--format dot`
    writes what it reads, for `dot -Tsvg graph.dot -o graph.svg` on another machine.

    Examples: `tianyu graph 4`, `tianyu graph 4 --output graph.svg`, `tianyu graph 4 --full --format dot`,
    `tianyu graph 4 --json`
    """
    from services.destinations import require_replaceable
    from services.operating.graph import read_graph, to_text
    from services.whole_files import whole_file

    if as_json and (form is not None or output is not None):
        raise ConfigurationError("--json goes to standard output: give it without --format and --output")
    settings = start()

    chosen = form or _by_name(output)
    with reading(settings) as session:
        if output is not None:
            require_replaceable(session, settings, [output], force=force)
        found = read_graph(session, observation_id, full=full)
    if as_json:
        out.print_json(data=found.to_json())
        return
    if chosen is Format.TEXT and output is None:
        for line in to_text(found):
            out.print(line, soft_wrap=True)
        return
    content = "".join(f"{line}\n" for line in to_text(found)) if chosen is Format.TEXT else _source(found, chosen)
    if output is None:
        say(content)
        return
    with whole_file(output) as path:
        path.write_text(content, encoding="utf-8")
    note(f"written to {output}")


def _by_name(output: Path | None) -> Format:
    suffix = output.suffix.lower() if output is not None else ""
    return {".svg": Format.SVG, ".dot": Format.DOT, ".gv": Format.DOT}.get(suffix, Format.TEXT)


def _source(found: ProcessGraph, chosen: Format) -> str:
    from services.operating.graph import find_dot, render, to_dot

    if chosen is Format.DOT:
        return to_dot(found)
    program = find_dot()
    if program is None:
        raise ConfigurationError(
            "drawing SVG needs Graphviz, and there is no program `dot`: install it (Debian: `apt install graphviz`), "
            "or write `--output graph.dot` and run `dot -Tsvg graph.dot -o graph.svg` on another machine"
        )
    return render(program, to_dot(found))
