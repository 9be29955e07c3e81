"""What `tianyu run` prints of nights that were asked for up to a step."""

from collections.abc import Sequence

from rich.text import Text
from sqlalchemy import Engine

from schema import database
from schema.observing import LIGHT
from schema.processes import SUCCEEDED, UNSUCCESSFUL
from services.choices import Choices
from services.cli.console import out, show_error
from services.operating.status import ObservationStatus, status
from services.steps import last_of


def state_of(state: ObservationStatus) -> Text:
    """Light curves, the step after which it stopped, or none."""
    if state.end != SUCCEEDED:
        return Text("none", "bold red")
    return Text("light curves" if state.stopped_after is None else f"stopped after {state.stopped_after}", "green")


def show_stopped(state: ObservationStatus) -> None:
    """What was made, and whether there are light curves."""
    curves = "the light curves are those of before" if state.light_curves else "no light curves yet"
    out.print(f"  stopped after {state.stopped_after}, as asked: {_made(state)}; {curves}", soft_wrap=True)
    for line in state.notes:
        out.print(Text(f"  note: {line}", "yellow"), soft_wrap=True)
    for master in state.failed_masters:
        out.print(Text(f"  failed: {master.says(state.observation_id)}", "red"), soft_wrap=True)
    for group in state.failure_groups:
        out.print(Text(f"  failed: {group.count} {group.command}: {group.error}", "red"), soft_wrap=True)
    if state.end == SUCCEEDED:
        out.print("  the same command without --until or --only goes on from here", soft_wrap=True)
    else:
        show_error(f"observation {state.observation_id} did not come to {state.stopped_after}")


def are_asked_alone(choices: Choices) -> bool:
    """Whether masters alone are asked for."""
    return last_of(choices).kind != LIGHT


def show_masters(engine: Engine, choices: Choices, as_json: bool) -> bool:
    """Print what was made of calibration frames; whether there is something, and nothing failed."""
    with database.reading_factory(engine)() as session:
        states = [one for one in status(session) if one.kind != LIGHT and one.graph_pid is not None]
    if as_json:
        out.print_json(data={"observations": [state.to_json() for state in states]})
    else:
        _show_masters(states, choices)
    return bool(states) and not any(one.count(*UNSUCCESSFUL) for one in states)


def _show_masters(states: Sequence[ObservationStatus], choices: Choices) -> None:
    for state in states:
        named = " ".join(filter(None, (state.kind, state.filter)))
        failed = "".join(f"; {group.error}" for group in state.failure_groups)
        out.print(f"observation {state.observation_id}, {named}: {_made(state)}{failed}", soft_wrap=True)
    out.print(f"stopped after {choices.until_step}, as asked: masters alone, no frames calibrated yet", soft_wrap=True)


def _made(state: ObservationStatus) -> str:
    """Processes that succeeded, by command, and how many did not."""
    parts = []
    for command in state.commands:
        failed = command.total - command.counts[SUCCEEDED]
        parts.append(
            f"{command.counts[SUCCEEDED]} {command.command}" + (f" ({failed} without success)" if failed else "")
        )
    return ", ".join(parts)
