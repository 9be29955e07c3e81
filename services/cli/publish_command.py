"""`tianyu publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import friendly, note, out, start
from services.cli.master_options import (
    AltBias,
    AltDark,
    AltFlat,
    UseBias,
    UseDark,
    UseFlat,
    Without,
    with_masters,
)
from services.cli.star_options import (
    ForcedOption,
    PointingOption,
    ReferenceOption,
    TargetsOption,
    with_reference,
    with_targets,
)
from services.cli.step_options import AtOption, OnlyOption, UntilOption, with_places, with_steps
from services.cli.template_options import NewTemplateOption, TemplateOption, require_one_template
from services.errors import ConfigurationError
from services.results.positions import pointing
from services.shown import processes

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.engine.publisher.publication import Publication

PRIORITIES = 1000  # on either side of 0

Priority = Annotated[
    int, typer.Option(min=-PRIORITIES, max=PRIORITIES, help="Smaller runs first, as with nice; 10 for a backfill.")
]


@friendly
def publish(
    observation_id: Annotated[int | None, typer.Argument(help="Observation to publish.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Publish all that has no graph yet, or one that was stopped.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be published, and publish nothing.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Make everything anew, whatever was made before.")] = False,
    priority: Priority = 0,
    template: TemplateOption = "own",
    new_template: NewTemplateOption = False,
    radec: PointingOption = None,
    reference_frame: ReferenceOption = None,
    targets: TargetsOption = None,
    forced: ForcedOption = None,
    until: UntilOption = None,
    only: OnlyOption = None,
    at: AtOption = None,
    without: Without = None,
    use_bias: UseBias = None,
    use_dark: UseDark = None,
    use_flat: UseFlat = None,
    alt_bias: AltBias = None,
    alt_dark: AltDark = None,
    alt_flat: AltFlat = None,
) -> None:
    """Write an observation's whole process graph in one transaction, with the masters that it needs.

    What was made before from the same frames and choices is not made again: with changed settings only what
    goes by them and what follows is computed, and where nothing changed nothing is published.
    Frames that came since are measured on the template that there is; `--new-template` makes one of all frames.

    Of what is ready, a consumer gets the smallest priority first: live work at 0 overtakes a backfill at 10.

    With `--until STEP` the graph ends after that step, and publishing without it goes on from there; with `--only STEP`
    that step alone is published, for instance by other settings.

    With `--at SITE=STEP,STEP` these steps run at another site, and images travel there; setting `placement` says it for
    all observations.

    With `--forced` flux is measured at the places of a list too, whatever is there (`tianyu lightcurve --forced`).

    With `--template known` nothing is stacked or detected: each frame is measured as soon as it is calibrated.

    Examples: `tianyu publish 3`, `tianyu publish --all --priority 10`, `tianyu publish 3 --again`,
    `tianyu publish 3 --new-template`, `tianyu publish 4 --template known`, `tianyu publish 3 --without flat`,
    `tianyu publish 3 --use-flat R=flat_R.fits --alt-bias 2`, `tianyu publish 3 --reference-frame 10`,
    `tianyu publish 3 --at base=solve,detect,crossmatch`, `tianyu publish 3 --forced list.csv`
    """
    if only is not None and again:
        raise ConfigurationError(
            f"--again makes everything anew, --only one step: `tianyu rerun {observation_id or 3} --from {only} "
            f"--until {only}` makes that step anew"
        )
    from schema import database
    from services.engine.publisher.publish import Publisher
    from services.engine.publisher.published import unpublished
    from services.engine.publisher.stopped import stopped_before
    from services.engine.publisher.target_choices import unknown_targets
    from services.operating.master_files import register_files
    from services.setup import open_database, require_site

    if (observation_id is None) != everything:
        raise ConfigurationError("give either an observation or --all: `tianyu publish 3`, `tianyu publish --all`")
    settings = with_masters(
        start().model_copy(update=pointing(radec)),
        without,
        use_bias=use_bias,
        use_dark=use_dark,
        use_flat=use_flat,
        alt_bias=alt_bias,
        alt_dark=alt_dark,
        alt_flat=alt_flat,
    )
    settings = with_steps(with_targets(with_reference(settings, reference_frame), targets), until, only)
    settings = with_places(settings, at)
    require_one_template(settings, template, new_template=new_template)

    engine = open_database(settings)
    require_site(settings, engine)
    if forced:
        from services.cli.forced_places import with_forced

        settings = with_forced(engine, settings, forced)
    sessions = database.session_factory(engine)
    for line in database.transact(sessions, lambda session: register_files(session, settings)):
        note(line)
    with sessions() as session:
        for line in unknown_targets(session, settings):
            note(line)
        if observation_id is None:
            wanted = unpublished(session, settings.site) + stopped_before(session, settings.site, settings.choices)
        else:
            wanted = [observation_id]
    if not wanted:
        note("everything is published")
    failed = False
    for wanted_id in wanted:

        def work(session: Session, wanted_id: int = wanted_id) -> Publication:
            publication = Publisher(session, settings, priority).publish(
                wanted_id,
                again=again,
                known=template == "known",
                new_template=new_template,
                only=only is not None,
            )
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
        out.print(_said(publication, dry_run), soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _said(publication: Publication, dry_run: bool) -> str:
    """What was published: how many processes run, and how many results of earlier graphs stand for others."""
    if publication.says:
        return publication.says
    counts, verb = publication.runs(), "would publish" if dry_run else "published"
    name, until = f"observation {publication.observation_id}", publication.choices.until_step
    what = "masters" if publication.graph_pid is None else f"graph {publication.graph_pid}"
    text = f"{name}: {verb} {what}, {processes(counts.total())} ({listed(counts)})"
    if not counts:
        text = f"{name}: its masters are made up to {until}, or on their way"
    elif until is not None:
        text += f", and stops after {until}"
    if publication.reused:
        text += f"; {publication.reused.total()} results are reused ({listed(publication.reused)})"
    return text


def listed(counts: dict[str, int]) -> str:
    """Counts by command in words."""
    return ", ".join(f"{count} {command}" for command, count in counts.items())
