"""`tianyu graph`: commands and processes with their states, masters of other observations, three formats."""

from pathlib import Path

import pytest
import typer
from sqlalchemy import insert, update
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from schema import database
from schema.observing import Target
from schema.processes import ProcessDependence
from services.cli.graph_command import graph as graph_command
from services.errors import ConfigurationError
from services.operating.graph import Edge, Node, ProcessGraph, read_graph, render, to_dot, to_text
from services.operating.graph.drawing import short_pids
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID

MASTER = GRAPH_PID - 1_000_000
app = typer.Typer()
app.command()(graph_command)


def fill(session: Session, name: str = "HAT-P-32") -> tuple[int, int]:
    """Three frames, a flat of another observation, an older graph; returns the observations' ids."""
    light, flat = made_up.add_observation(session, name=name), made_up.add_observation(session, "flat", "")
    made_up.add_process(session, GRAPH_PID - 5, "analyze", "failed", light, graph_pid=GRAPH_PID - 5, error="old")
    made_up.add_process(session, MASTER, "combine_flat", "succeeded", flat, graph_pid=MASTER)
    states = ["succeeded", "failed", "running", "succeeded", "skipped", "waiting", "waiting", "waiting"]
    commands = ["calibrate"] * 3 + ["align"] * 3 + ["stack"] * 2
    for number, (command, state) in enumerate(zip(commands, states, strict=True)):
        made_up.add_process(session, GRAPH_PID + number, command, state, light)
    pairs = [(number, number + 3, True) for number in range(3)]
    pairs += [(number, 6, False) for number in (0, 1, 2)] + [(3, 6, True), (4, 6, False), (6, 7, False)]
    rows = [(GRAPH_PID + parent, GRAPH_PID + child, required) for parent, child, required in pairs]
    rows += [(MASTER, GRAPH_PID + number, False) for number in range(3)]
    session.execute(
        insert(ProcessDependence), [{"parent_pid": p, "child_pid": c, "required": required} for p, c, required in rows]
    )
    return light, flat


def test_by_command(any_session: Session) -> None:
    light, flat = fill(any_session)
    graph = read_graph(any_session, light)
    assert graph.title == f"observation {light}, HAT-P-32, filter R, 2024-03-04, graph {GRAPH_PID}"
    assert [(node.title, node.counts, node.is_outside) for node in graph.nodes] == [
        (f"combine_flat of observation {flat}", {"succeeded": 1}, True),
        ("calibrate", {"succeeded": 1, "failed": 1, "running": 1}, False),
        ("align", {"succeeded": 1, "skipped": 1, "waiting": 1}, False),
        ("stack", {"waiting": 2}, False),
    ]
    outside = graph.nodes[0].name
    assert set(graph.edges) == {
        Edge(outside, "calibrate", False),
        Edge("calibrate", "align", True),
        Edge("calibrate", "stack", False),
        Edge("align", "stack", False),
        Edge("stack", "stack", False),
    }
    assert graph.totals() == {"succeeded": 2, "failed": 1, "skipped": 1, "running": 1, "waiting": 3}


def test_by_process(any_session: Session) -> None:
    light, flat = fill(any_session)
    graph = read_graph(any_session, light, full=True)
    assert [node.pid for node in graph.nodes] == [MASTER, *(GRAPH_PID + number for number in range(8))]
    assert (graph.nodes[0].outside, graph.nodes[2].counts) == (flat, {"failed": 1})
    assert len(graph.edges) == 12
    assert Edge(str(GRAPH_PID + 3), str(GRAPH_PID + 6), True) in graph.edges
    assert Edge(str(MASTER), str(GRAPH_PID), False) in graph.edges


def test_an_observation_without_a_graph(session: Session) -> None:
    observation = made_up.add_observation(session)
    with pytest.raises(ConfigurationError, match=f"`tianyu publish {observation}`"):
        read_graph(session, observation)
    with pytest.raises(ConfigurationError, match="there is no observation 99"):
        read_graph(session, 99)


def test_text_by_command(session: Session) -> None:
    light, flat = fill(session)
    lines = [str(line) for line in to_text(read_graph(session, light))]
    assert lines[1] == "2 succeeded, 1 failed, 1 skipped, 1 running, 3 waiting"
    calibrate = next(number for number, line in enumerate(lines) if line.startswith("● calibrate"))
    assert lines[calibrate].endswith("████████××××××××▓▓▓▓▓▓▓▓  1 succeeded, 1 failed, 1 running")
    assert lines[calibrate + 1] == f"│   needs combine_flat of observation {flat} (optional)"
    assert lines[-1] == "    needs align (optional), calibrate (optional); in a tree"


def test_text_by_process(session: Session) -> None:
    light, _ = fill(session)
    lines = [str(line) for line in to_text(read_graph(session, light, full=True))]
    assert any(line.split() == [short(GRAPH_PID + 1), "×", "failed", "needs", f"{short(MASTER)}?"] for line in lines)
    assert any(line.split()[:3] == [short(GRAPH_PID + 4), "»", "skipped"] for line in lines)


def short(pid: int) -> str:
    return short_pids([MASTER, *(GRAPH_PID + number for number in range(8))])[pid]


def test_short_pids_tell_all_apart() -> None:
    assert short_pids([GRAPH_PID + 1, GRAPH_PID + 20]) == {GRAPH_PID + 1: "…0001", GRAPH_PID + 20: "…0020"}
    assert short_pids([123450007, 123460007]) == {123450007: "…50007", 123460007: "…60007"}


NASTY = 'a"b\\N<i>&\x01]]>'


def nasty(session: Session) -> int:
    light, _ = fill(session, "nasty")
    session.execute(update(Target).where(Target.name == "nasty").values(name=NASTY))
    return light


def test_dot_quotes_every_text(session: Session) -> None:
    light = nasty(session)
    source = to_dot(read_graph(session, light))
    assert "a&quot;b\\N&lt;i&gt;&amp;�]]&gt;" in source
    assert '"calibrate" -> "align";' in source
    assert '"calibrate" -> "stack" [style=dashed];' in source
    odd = ProcessGraph("t", (Node("x", 'co"m\\', {"waiting": 1}, 5),), (), is_full=True)
    assert 'label="co\\"m\\\\"' in to_dot(odd)


def test_dot_by_process_has_a_cluster_a_command(session: Session) -> None:
    light, flat = fill(session)
    source = to_dot(read_graph(session, light, full=True))
    assert source.count("subgraph cluster_") == 4
    assert f'label="combine_flat of observation {flat}"' in source
    assert f'tooltip="{GRAPH_PID + 1} failed"' in source
    assert source.count(" -> ") == 12
    assert source.count("{") == source.count("}")


@pytest.fixture
def published(tmp_path: Path, ready_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """An observation in the database that the settings name; there is no Graphviz."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TIANYU_DATABASE_URL", ready_sqlite_url)
    engine = database.connect(ready_sqlite_url)
    with database.session_factory(engine).begin() as session:
        made_up.base_rows(session)
        light, _ = fill(session)
    engine.dispose()
    return light


def install_dot(folder: Path, script: str) -> None:
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_command_writes_what_the_name_of_the_file_says(published: int, tmp_path: Path) -> None:
    install_dot(tmp_path, "echo '<svg>'")
    for name, beginning in (("g.svg", "<svg"), ("g.dot", "digraph"), ("g.txt", "observation")):
        result = CliRunner().invoke(app, [str(published), "--output", name])
        assert result.exit_code == 0, result.output
        assert (tmp_path / name).read_text().startswith(beginning)
    result = CliRunner().invoke(app, [str(published)])
    assert "● calibrate" in result.stdout


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_svg_needs_graphviz(published: int, tmp_path: Path, full: list[str]) -> None:
    arguments = [str(published), *full, "--format", "svg"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "apt install graphviz" in result.stderr
    assert "dot -Tsvg graph.dot -o graph.svg" in result.stderr.replace("\n", " ")
    install_dot(tmp_path, '[ "$*" = -Tsvg ] && read -r first && echo "drawn from: $first"')
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (0, "drawn from: digraph tianyu {\n")


def test_graphviz_that_fails_or_hangs(tmp_path: Path) -> None:
    install_dot(tmp_path, "echo 'syntax error' >&2; exit 3")
    with pytest.raises(ConfigurationError, match="exit code 3: syntax error; `--format dot`"):
        render(str(tmp_path / "dot"), "digraph {}")
    install_dot(tmp_path, "exec sleep 60")
    with pytest.raises(ConfigurationError, match=r"did not end within 0\.1 s"):
        render(str(tmp_path / "dot"), "digraph {}", timeout_s=0.1)
    with pytest.raises(ConfigurationError, match="cannot be run"):
        render(str(tmp_path / "nowhere"), "digraph {}")
