"""`tianyu rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import friendly, note, out, start
from services.cli.publish_command import Priority, listed
from services.cli.star_options import ReferenceOption, TargetsOption, with_reference, with_targets
from services.cli.step_options import AtOption, UntilOption, with_places, with_steps
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.engine.publisher.rerun import Rerun


@friendly
def rerun(
    observation_id: Annotated[int, typer.Argument(help="Observation to run again.")],
    step: Annotated[str, typer.Option("--from", metavar="STEP", help="First step to run again.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be run again, and publish nothing.")
    ] = False,
    priority: Priority = 0,
    graph: Annotated[
        int | None,
        typer.Option(metavar="PID", help="Graph to run again; default: the one that the views show, else the newest."),
    ] = None,
    reference_frame: ReferenceOption = None,
    targets: TargetsOption = None,
    until: UntilOption = None,
    at: AtOption = None,
) -> None:
    """Run one step of an observation and all that follow again, with the settings of now.

    What comes before is taken over; the views show the old light curves until the new ones are committed. It takes
    the frames of the old graph: for those that came since, `tianyu publish`.

    Examples: `tianyu rerun --from extract 3`, `tianyu rerun --from select 3 --dry-run`,
    `tianyu rerun --from choose_reference 3 --reference-frame 10`,
    `tianyu rerun --from calibrate 3 --until calibrate`
    """
    from schema import database
    from services.engine.publisher.rerun import rerun as run_again
    from services.setup import open_database, require_site
    from services.steps import STEPS, from_on
    from services.steps.choose_reference import CHOOSE_REFERENCE

    settings = with_steps(with_targets(with_reference(start(), reference_frame), targets), until)
    settings = with_places(settings, at)
    if reference_frame is not None and step in STEPS and CHOOSE_REFERENCE not in from_on(STEPS[step]):
        raise ConfigurationError(
            f"--reference-frame has nothing to say from {step} on: run again from {CHOOSE_REFERENCE.command}"
        )

    engine = open_database(settings)
    require_site(settings, engine)

    def work(session: Session) -> Rerun:
        result = run_again(session, settings, observation_id, step, priority=priority, graph_pid=graph)
        if dry_run:
            session.rollback()
        return result

    result = database.transact(database.session_factory(engine), work)
    for line in result.notes:
        note(line)
    counts: dict[str, int] = {}
    for process in result.again():
        counts[process.command] = counts.get(process.command, 0) + 1
    place = "join" if result.graph_pid == result.source_pid else f"as graph {result.graph_pid}, after"
    out.print(
        f"observation {observation_id}: {'would run' if dry_run else 'runs'} again from {result.step}: "
        f"{sum(counts.values())} processes ({listed(counts)}) {place} graph {result.source_pid}; "
        f"{len(result.taken_over)} processes are taken over",
        soft_wrap=True,
    )
