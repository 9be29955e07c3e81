"""Graphs that end at a step since nobody asked for more, and one step that is asked for alone."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from schema.queries.choices import ever_had, of_graphs
from services.choices import Choices, read_choices
from services.engine.publisher.publication import Publication
from services.engine.publisher.published import newest_graphs
from services.errors import ConfigurationError
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
    graphs = {graph_pid: number for number, graph_pid in newest_graphs(session, site).items()}
    ends = ends_of_graphs(session, graphs)
    return sorted(graphs[graph_pid] for graph_pid, step in ends.items() if ORDER.index(step) < end)


def require_alone(publication: Publication) -> None:
    """Nothing but the last step that is asked for would run.

    Raises:
        ConfigurationError: what it goes by is not there; the message names the steps that are lacking.
    """
    command, lacking = last_of(publication.choices).command, publication.runs()
    del lacking[command]
    if not lacking:
        return
    named = ", ".join(f"{name} ({count})" for name, count in lacking.items())
    last = max(lacking, key=[step.command for step in ORDER].index)
    because = "".join(f"; {change}" for change in publication.changes)
    raise ConfigurationError(
        f"observation {publication.observation_id}: {command} cannot run alone (--only), for what it goes by is not "
        f"there by the choices and frames of now: {named} would have to run before{because}; `--until {last}` makes it"
    )
