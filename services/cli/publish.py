"""`tianyu publish`."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import friendly, note, out, start
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.publisher.publish import Publication

PRIORITIES = 1000  # on either side of 0

Priority = Annotated[
    int, typer.Option(min=-PRIORITIES, max=PRIORITIES, help="Smaller runs first, as with nice; 10 for a backfill.")
]


@friendly
def publish(
    observation_id: Annotated[int | None, typer.Argument(help="Observation to publish.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Publish all that has no graph yet.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be published, and publish nothing.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Make a new graph of one that was published.")] = False,
    priority: Priority = 0,
) -> None:
    """Write an observation's whole process graph in one transaction, with the masters that it needs.

    Of what is ready, a consumer gets the smallest priority first: live work at 0 overtakes a backfill at 10.

    Examples: `tianyu publish 3`, `tianyu publish --all --priority 10`, `tianyu publish 3 --again`
    """
    if (observation_id is None) != everything:
        raise ConfigurationError("give either an observation or --all: `tianyu publish 3`, `tianyu publish --all`")
    settings = start()
    from schema import database
    from services.publisher.publish import Publisher, unpublished
    from services.setup import open_database, require_site

    engine = open_database(settings)
    require_site(settings, engine)
    sessions = database.session_factory(engine)
    with sessions() as session:
        wanted = unpublished(session) if observation_id is None else [observation_id]
    if not wanted:
        note("everything is published")
    failed = False
    for wanted_id in wanted:

        def work(session: "Session", wanted_id: int = wanted_id) -> "Publication":
            publication = Publisher(session, settings, priority).publish(wanted_id, again=again)
            if dry_run:
                session.rollback()
            return publication

        try:
            publication = database.transact(sessions, work)
        except ConfigurationError as error:
            if not everything:
                raise
            note(f"not published: {error}")
            failed = True
            continue
        for line in publication.notes:
            note(line)
        verb = "would publish" if dry_run else "published"
        out.print(
            f"observation {wanted_id}: {verb} graph {publication.graph_pid}, "
            f"{len(publication.processes)} processes ({listed(publication.counts())})",
            soft_wrap=True,
        )
    if failed:
        raise typer.Exit(1)


def listed(counts: dict[str, int]) -> str:
    """Counts by command in words."""
    return ", ".join(f"{count} {command}" for command, count in counts.items())
