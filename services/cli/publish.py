"""`tianyu publish`."""

from typing import Annotated

import typer

from services.cli.console import friendly, note, out, start
from services.errors import ConfigurationError


@friendly
def publish(
    observation_id: Annotated[int | None, typer.Argument(help="Observation to publish.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Publish all that has no graph yet.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be published, and publish nothing.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Make a new graph of one that was published.")] = False,
) -> None:
    """Write an observation's whole process graph in one transaction, with the masters that it needs.

    Examples: `tianyu publish 3`, `tianyu publish --all`, `tianyu publish 3 --again`, `tianyu publish 3 --dry-run`
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
        with sessions() as session, session.begin():
            try:
                publication = Publisher(session, settings).publish(wanted_id, again=again)
            except ConfigurationError as error:
                if not everything:
                    raise
                session.rollback()
                note(f"not published: {error}")
                failed = True
                continue
            if dry_run:
                session.rollback()
        for line in publication.notes:
            note(line)
        counts = ", ".join(f"{count} {command}" for command, count in publication.counts().items())
        verb = "would publish" if dry_run else "published"
        out.print(
            f"observation {wanted_id}: {verb} graph {publication.graph_pid}, "
            f"{len(publication.processes)} processes ({counts})",
            soft_wrap=True,
        )
    if failed:
        raise typer.Exit(1)
