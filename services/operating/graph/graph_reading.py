"""Read the newest graph of an observation, by command or by process, with what it needs of other graphs."""

from collections import defaultdict
from typing import Any

from sqlalchemy import ColumnElement, Integer, cast, func, select
from sqlalchemy.orm import Session, aliased

from schema.observing import Filter, Observation, Target
from schema.processes import Process, ProcessDependence
from services.errors import ConfigurationError
from services.operating.graph.drawing import Edge, Node, ProcessGraph
from services.own_site import no_observation
from services.steps import COMMANDS

_PLACE = {command: number for number, command in enumerate(COMMANDS)}
_parent, _child = aliased(Process), aliased(Process)


def read_graph(session: Session, observation_id: int, *, full: bool = False) -> ProcessGraph:
    """The graph by command, or, when ``full``, by process.

    Raises:
        ConfigurationError: there is no such observation, or it is not published.
    """
    title = _title(session, observation_id)
    graph_pid = session.scalar(select(func.max(Process.graph_pid)).where(Process.observation_id == observation_id))
    if graph_pid is None:
        raise ConfigurationError(
            f"observation {observation_id} has no processes: `tianyu publish {observation_id}` makes its graph"
        )
    nodes, edges = (_by_process if full else _by_command)(session, graph_pid)
    return ProcessGraph(f"{title}, graph {graph_pid}", tuple(sorted(nodes, key=_order)), tuple(edges), full)


def _title(session: Session, observation_id: int) -> str:
    row = session.execute(
        select(Target.name, Filter.name, Observation.night)
        .select_from(Observation)
        .join(Target, Target.target_id == Observation.target_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .where(Observation.observation_id == observation_id)
    ).first()
    if row is None:
        raise no_observation(observation_id)
    target, filter_name, night = row
    parts = [f"observation {observation_id}", target, f"filter {filter_name}" if filter_name else "", str(night)]
    return ", ".join(part for part in parts if part)


def _order(node: Node) -> tuple[object, ...]:
    place = _PLACE.get(node.command, len(_PLACE))
    return (not node.is_outside, place, node.command, node.outside or 0, node.pid or 0)


def _of_graph(graph_pid: int, *columns: Any) -> Any:
    """Dependencies of the graph's processes, with parent and child."""
    return (
        select(*columns)
        .select_from(ProcessDependence)
        .join(_child, _child.pid == ProcessDependence.child_pid)
        .join(_parent, _parent.pid == ProcessDependence.parent_pid)
        .where(_child.graph_pid == graph_pid)
    )


def _name(command: str, outside: bool, observation: int | None) -> str:
    return f"{command}@{observation or 0}" if outside else command


def _by_command(session: Session, graph_pid: int) -> tuple[list[Node], list[Edge]]:
    own: dict[str, dict[str, int]] = defaultdict(dict)
    for command, state, count in session.execute(
        select(Process.command, Process.status, func.count())
        .where(Process.graph_pid == graph_pid)
        .group_by(Process.command, Process.status)
    ):
        own[command][state] = count
    other: dict[tuple[str, int | None], dict[str, int]] = defaultdict(dict)
    what = (_parent.command, _parent.observation_id, _parent.status)
    for command, observation, state, count in session.execute(
        _of_graph(graph_pid, *what, func.count(_parent.pid.distinct())).where(_is_outside(graph_pid)).group_by(*what)
    ):
        other[command, observation][state] = count
    nodes = [Node(_name(command, False, None), command, counts) for command, counts in own.items()] + [
        Node(_name(command, True, observation), command, counts, is_outside=True, outside=observation)
        for (command, observation), counts in other.items()
    ]
    return nodes, _command_edges(session, graph_pid)


def _is_outside(graph_pid: int) -> ColumnElement[bool]:
    return _parent.graph_pid != graph_pid


def _command_edges(session: Session, graph_pid: int) -> list[Edge]:
    # Parents of this graph are one node a command, whatever observation they are of.
    ends = (_parent.command, _is_outside(graph_pid), _parent.observation_id, _child.command)
    rows = session.execute(
        _of_graph(graph_pid, *ends, func.min(cast(ProcessDependence.required, Integer))).group_by(*ends)
    )
    return [
        Edge(_name(parent, bool(outside), observation), child, bool(required))
        for parent, outside, observation, child, required in rows
    ]


def _by_process(session: Session, graph_pid: int) -> tuple[list[Node], list[Edge]]:
    nodes = [
        Node(str(pid), command, {state: 1}, pid)
        for pid, command, state in session.execute(
            select(Process.pid, Process.command, Process.status).where(Process.graph_pid == graph_pid)
        )
    ]
    what = (_parent.pid, _parent.command, _parent.status, _parent.observation_id)
    nodes += [
        Node(str(pid), command, {state: 1}, pid, is_outside=True, outside=observation)
        for pid, command, state, observation in session.execute(
            _of_graph(graph_pid, *what).where(_is_outside(graph_pid)).distinct()
        )
    ]
    rows = session.execute(
        _of_graph(
            graph_pid, ProcessDependence.parent_pid, ProcessDependence.child_pid, ProcessDependence.required
        ).order_by(ProcessDependence.parent_pid, ProcessDependence.child_pid)
    )
    return nodes, [Edge(str(parent), str(child), required) for parent, child, required in rows]
