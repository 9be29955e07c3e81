"""Processes in whose place a later one stands: a part that was run again in the graph that there is."""

from collections.abc import Collection

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.processes import UNSUCCESSFUL, Process
from services.engine.publisher.old_graph import by_place, parameters_of
from services.steps import ORDER
from services.steps.select import SELECT

# Of the others a graph has one in each place.
REPEATED = frozenset({step.command for step in ORDER if step.joins} | {SELECT.command})


def replaced(session: Session, graph_pids: Collection[int]) -> list[Process]:
    """Processes of these graphs without success that count no more, since newer ones stand in their places."""
    query = select(Process).where(Process.graph_pid.in_(graph_pids), Process.command.in_(REPEATED))
    by_graph: dict[int, list[Process]] = {}
    for process in session.scalars(query.order_by(Process.pid)):
        if _is_of_a_step(process):
            by_graph.setdefault(process.graph_pid, []).append(process)
    found = []
    for processes in by_graph.values():
        standing = {process.pid for process in by_place(processes).values()}
        found += [one for one in processes if one.pid not in standing and one.status in UNSUCCESSFUL]
    return found


def _is_of_a_step(process: Process) -> bool:
    """Whether its parameters are those of its step; what nobody can read stands for itself."""
    try:
        parameters_of(process)
    except ValidationError:
        return False
    return True
