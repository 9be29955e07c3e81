"""Graphs that end at a step since nobody asked for more, and one step that is asked for alone."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation, Target
from schema.processes import Process
from schema.queries.choices import ever_had, of_graphs
from schema.queries.publishing import NewProcess
from services.choices import Choices, read_choices
from services.errors import ConfigurationError
from services.own_site import is_of
from services.steps import ORDER, last_of
from services.steps.shared.step import AnyStep

UNTIL = '"until_step":"'  # in choices that have one


def ends_of_graphs(session: Session, graph_pids: Collection[int]) -> dict[int, AnyStep]:
    """The step at which each of these graphs ends, of those that were not asked for whole."""
    found: dict[int, AnyStep] = {}
    if not ever_had(session, UNTIL):
        return found  # nobody asks an archive of millions of processes
    for graph_pid, stored in of_graphs(session, graph_pids):  # what was asked for last counts
        try:
            choices = read_choices(stored.choices)
            found[graph_pid] = last_of(choices)
        except ConfigurationError:  # of another version
            choices = Choices()
        if choices.until_step is None:
            found.pop(graph_pid, None)
    return found


def stopped_before(session: Session, site: str, choices: Choices) -> list[int]:
    """Observations of the sky of this site whose newest graph ends before the step that is asked for now.

    Raises:
        ConfigurationError: there is no step of that name.
    """
    end = ORDER.index(last_of(choices))
    if not ever_had(session, UNTIL):
        return []
    newest = (
        select(Observation.observation_id, func.max(Process.graph_pid))
        .join(Observation, Observation.observation_id == Process.observation_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(is_of(site), Target.kind == LIGHT)
        .group_by(Observation.observation_id)
    )
    graphs = {graph_pid: number for number, graph_pid in session.execute(newest)}
    ends = ends_of_graphs(session, graphs)
    return sorted(graphs[graph_pid] for graph_pid, step in ends.items() if ORDER.index(step) < end)


def unpublished(session: Session, site: str) -> list[int]:
    """Observations of the sky of this site that have no graph yet."""
    query = (
        select(Observation.observation_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(is_of(site), Target.kind == LIGHT, Observation.graph_pid.is_(None))
        .order_by(Observation.observation_id)
    )
    return list(session.scalars(query))


def require_alone(observation_id: int, command: str, to_run: Sequence[NewProcess], notes: Iterable[str]) -> None:
    """Nothing but one step would run.

    Raises:
        ConfigurationError: what it goes by is not there; the message names the steps that are lacking.
    """
    lacking = Counter(process.command for process in to_run if process.command != command)
    if not lacking:
        return
    named = ", ".join(f"{name} ({count})" for name, count in lacking.items())
    last = max(lacking, key=[step.command for step in ORDER].index)
    because = "".join(f"; {note}" for note in notes if "other choices" in note)
    raise ConfigurationError(
        f"observation {observation_id}: {command} cannot run alone (--only), for what it goes by is not there by the "
        f"choices and frames of now: {named} would have to run before{because}; `--until {last}` makes it"
    )
