"""`tianyu capture`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.console import JsonOption, friendly, note, out, start
from services.cli.publish_command import Priority, listed
from services.cli.template_options import TemplateOption
from services.errors import ConfigurationError
from services.shown import processes

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from services.operating.planned_night import PlannedNight
    from services.settings import Settings
    from services.telescope.observing_plan import ObservingPlan


@friendly
def capture(
    plan: Annotated[Path, typer.Argument(help="TOML file: target, and which exposures are taken of it.")],
    workdir: Annotated[
        Path | None, typer.Option(help="Observe from here, and put database, images and plots there.")
    ] = None,
    consumers: Annotated[
        int | None, typer.Option(min=1, max=64, help="With --workdir: processes at a time, besides the telescope's.")
    ] = None,
    priority: Priority = 0,
    template: TemplateOption = "own",
    again: Annotated[
        bool, typer.Option("--again", help="Take all exposures once more, though the plan was published before.")
    ] = False,
    plots: Annotated[
        bool, typer.Option(help="With --workdir: draw the field, its noise, its frames and one star.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be published, and publish nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a plan of exposures with all that is made of them: one observation, from the sky to light curves.

    The telescope's consumer (`tianyu consumer --group telescope`) takes the exposures one after the other; each
    frame is calibrated as soon as it is there. What is not taken by the plan's end, or by local noon, is missed: the
    night goes on with the frames there are.

    With `--workdir` all is done by this one program, as by `tianyu run`. A plan that was published before for the
    same night is not published twice: what is still to come of it goes on.

    With `--template known` each frame is measured as soon as it is calibrated, if the field is known from another
    night.

    Examples: `tianyu capture tonight.toml`, `tianyu capture tonight.toml --dry-run`,
    `tianyu capture tonight.toml --workdir ~/reduced`, `tianyu capture tonight.toml --dry-run --json`
    """
    from services.engine.embedded import start_faster

    start_faster()
    from services.telescope.observing_plan import read_plan

    wanted = read_plan(plan)  # what is no plan is told before anything is made
    if workdir is None:
        from services.setup import open_database, require_site

        settings = start()
        engine = open_database(settings)
        require_site(settings, engine)
        planned = _publish(engine, settings, wanted, dry_run, priority=priority, known=template == "known", again=again)
        if as_json:
            out.print_json(data=planned.to_json() | {"dry_run": dry_run})
        else:
            _say(planned, dry_run)
        return
    if dry_run:
        raise ConfigurationError(
            "--dry-run publishes nothing, so that there is nothing to do in --workdir: leave one out"
        )
    _observe(wanted, workdir, consumers, plots, as_json, priority=priority, known=template == "known", again=again)


def _observe(plan: ObservingPlan, workdir: Path, consumers: int | None, plots: bool, as_json: bool, **how: Any) -> None:
    from services import log
    from services.engine.embedded import DATABASE_FILE, embedded_settings, process_tree

    settings = embedded_settings(workdir)
    log.configure(settings.log_format, "WARNING")
    began = time.monotonic()
    with process_tree(settings, consumers) as tree:
        from services.cli.patience import follow
        from services.cli.plot_command import draw
        from services.cli.summary_lines import results_of, tell_results
        from services.operating.night_outcome import is_success
        from services.operating.reduction import work_off

        planned = _publish(tree.engine, settings, plan, **how)
        if not as_json:
            _say(planned, dry_run=False)
        observations = work_off(tree, settings, follow)
        results = results_of(tree.engine, observations)

        def drawn(number: int) -> list[Path]:
            return draw(tree.engine, settings, number, None, insist=False) if plots else []

        tell_results(results, settings.root / DATABASE_FILE, drawn, as_json=as_json)
    note(f"done in {time.monotonic() - began:.1f} s")
    if results and not is_success([one.state for one in results], settings.choices, strict=False):
        raise typer.Exit(1)


def _publish(
    engine: Engine, settings: Settings, plan: ObservingPlan, dry_run: bool = False, **how: Any
) -> PlannedNight:
    from schema import database
    from services.operating.planned_night import publish_plan

    now = datetime.now(UTC)
    radec = _place(engine, settings, plan, now)

    def work(session: Session) -> PlannedNight:
        published = publish_plan(session, settings, plan, radec, now, **how)
        if dry_run:
            session.rollback()
        return published

    planned = database.transact(database.session_factory(engine), work)
    for line in dict.fromkeys(line for one in planned.publications for line in one.notes):
        note(line)
    return planned


def _say(planned: PlannedNight, dry_run: bool) -> None:
    if planned.says:
        out.print(planned.says, soft_wrap=True)
    verb = "would publish" if dry_run else "published"
    for number, count in planned.exposures.items():
        out.print(
            f"observation {number}: {verb} {count} exposures, to be over by {planned.end:%Y-%m-%d %H:%M} UTC",
            soft_wrap=True,
        )
    for one in planned.publications:
        if counts := one.runs():
            text = f"observation {one.observation_id}: {verb} graph {one.graph_pid}, {processes(counts.total())}"
            out.print(f"{text} ({listed(counts)})", soft_wrap=True)


def _place(engine: Engine, settings: Settings, plan: ObservingPlan, now: datetime) -> tuple[float, float] | None:
    """Where the target is (ICRS, degrees) tonight: by the plan, the operator's file of targets, or its name."""
    if plan.place is not None or plan.target is None:
        return plan.place
    from services.star_names import place_on_sky
    from services.targets_file import bare, read_targets

    if settings.targets_file is not None:
        for name, table in read_targets(settings.targets_file).items():
            if bare(name) == bare(plan.target) and table.radec is not None:
                return place_on_sky(table.radec)
    from services.results.positions import Position
    from services.results.targets import resolve

    found = resolve(engine, settings, plan.target)
    motion = None if found.pm_ra_mas is None or found.pm_dec_mas is None else (found.pm_ra_mas, found.pm_dec_mas)
    return Position(found.ra_deg, found.dec_deg, "sky", motion).on_night(now.date())
