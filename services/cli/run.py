"""`tianyu run`: a folder of frames in, light curves out, by one command and without a server."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from pipeline.statistics import FEWEST_POINTS
from services import log
from services.cli.console import err, friendly, note, out, progress, show_error
from services.cli.positions import parse_radec, parse_target
from services.cli.star_options import TARGET_FORM, TARGET_HELP
from services.errors import ConfigurationError, TianyuError, TransientError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from services.ingest.register import Folder
    from services.settings import Settings
    from services.status import ObservationStatus
    from services.summary import SkySummary

POLL_S = 0.1
MOST_CONSUMERS = 4  # by default: more than this and a laptop's disk is the limit
REASONS_SHOWN = 8
FREE_BYTES_LEAST = 50_000_000  # three calibrated images of a 2048 x 2048 camera; with less, database and queues stall


@friendly
def run(
    raw_dir: Annotated[Path, typer.Argument(help="Folder of FITS frames; searched with its subfolders.")],
    workdir: Annotated[Path, typer.Option(help="Where database, images and plots go.")] = Path("tianyu-work"),
    consumers: Annotated[int | None, typer.Option(min=1, max=64, help="Default: one a core, at most 4.")] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar=TARGET_FORM, help=f"Star to plot: {TARGET_HELP}"),
    ] = None,
    radec: Annotated[
        str | None, typer.Option(metavar="RA,DEC", help="Where the telescope pointed, where headers do not tell.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Stars of the field with Gaia's columns: no network is asked.")
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw the field, its noise, its frames and one star.")] = True,
) -> None:
    """Make the light curves of a night: register, publish, process, summarise.

    A run that was interrupted goes on where it was when it is started again, and
    takes in frames that came since. Exit code 0 only if light curves were made.

    Examples: `tianyu run ~/night`, `tianyu run ~/night --workdir ~/reduced --target HAT-P-32`,
    `tianyu run ~/night --radec 31.0428,46.6878 --catalog gaia.csv`
    """
    if target is not None:
        parse_target(target)  # what is no target is told before anything is made
    sky = _sky_settings(radec, catalog)
    from services.embedded import embedded_settings, hurry, process_tree
    from services.ingest.names import find_frames

    hurry()
    log.configure(level="WARNING")  # until the settings say in which form
    find_frames(raw_dir)  # a folder that cannot be read is told before anything is made
    settings = embedded_settings(workdir, **sky)
    log.configure(settings.log_format, "WARNING")
    began = time.monotonic()
    count = consumers or min(os.cpu_count() or 1, MOST_CONSUMERS)
    with process_tree(settings, count) as tree:
        observations = _publish(settings, tree.engine, _read(raw_dir))
        _wait(settings, tree.engine, tree.look_after)
        tree.dismiss()  # they leave while the results are shown
        if not observations:
            raise ConfigurationError(
                f"no observation in {str(raw_dir)!r} could be published: see the messages above; "
                "light frames are needed, calibration frames alone give no light curves"
            )
        made = [_finish(settings, tree.engine, observation, target, plots) for observation in observations]
    out.print(f"database {settings.root / 'tianyu.db'}", soft_wrap=True)
    note(f"done in {time.monotonic() - began:.1f} s")
    if not all(made):
        raise typer.Exit(1)


def _sky_settings(radec: str | None, catalog: Path | None) -> dict[str, object]:
    """Settings that the options stand for."""
    settings: dict[str, object] = {}
    if radec is not None:
        ra, dec = parse_radec(radec)
        settings["solve_radec"] = f"{ra:.8f}d,{dec:.8f}d"
    if catalog is not None:
        if not catalog.is_file():
            raise ConfigurationError(f"--catalog {str(catalog)!r} is no file: expected a table with Gaia's columns")
        settings["catalog_file"] = catalog.absolute()
    return settings


def _read(raw_dir: Path) -> "Folder":
    from services.ingest.register import read_folder

    with progress() as bars:
        task = bars.add_task("reading headers", note="")
        return read_folder(raw_dir, lambda done, total: bars.update(task, completed=done, total=total))


def _publish(settings: "Settings", engine: "Engine", folder: "Folder") -> list[int]:
    """Register and publish; returns the light observations of this working folder."""
    from sqlalchemy import select

    from schema import database
    from schema.observing import LIGHT, Observation, Target
    from services.ingest.register import register
    from services.publisher.changed_choices import by_other_choices
    from services.publisher.publish import Publisher, unpublished

    sessions = database.session_factory(engine)
    result = database.transact(
        sessions, lambda session: register(session, folder, site=settings.site, root=settings.root)
    )
    for file, reason in result.rejected:
        note(f"rejected {file!r}: {reason}")
    for line in result.notes:
        note(line)
    with sessions() as session:
        wanted = unpublished(session)
    grown = [
        item.observation_id
        for item in result.observations
        if item.key.kind == LIGHT and item.published and item.new > item.rejected
    ]
    with sessions() as session:
        renewed, kept = by_other_choices(session, settings.choices, but=grown)
    for line in kept:
        note(line)
    for observation in wanted + grown + renewed:
        try:
            with sessions.begin() as session:
                publication = Publisher(session, settings).publish(observation)
        except ConfigurationError as error:
            show_error(str(error))
            continue
        for line in publication.notes:
            note(line)
    with sessions() as session:
        query = (
            select(Observation.observation_id)
            .join(Target, Target.target_id == Observation.target_id)
            .where(Target.kind == LIGHT, Observation.graph_pid.is_not(None))
        )
        return list(session.scalars(query.order_by(Observation.observation_id)))


def _require_space(root: Path) -> None:
    free = shutil.disk_usage(root).free
    if free < FREE_BYTES_LEAST:
        raise TransientError(
            f"the disk of {str(root)!r} is full: {free / 1e6:.0f} MB free, at least {FREE_BYTES_LEAST / 1e6:.0f} MB "
            "are needed; free some space and start the same command again, it goes on where it was"
        )


def _wait(settings: "Settings", engine: "Engine", look_after: Callable[[], None]) -> None:
    from schema import database
    from services.cli.bars import follow
    from services.status import finished, status

    reading = database.reading_factory(engine)

    def done() -> bool:
        look_after()
        _require_space(settings.root)
        with reading() as session:
            return finished(session)

    def look() -> "list[ObservationStatus]":
        with reading() as session:
            return status(session)

    follow(look, done, lambda: time.sleep(POLL_S))


def _finish(settings: "Settings", engine: "Engine", observation: int, target: str | None, plots: bool) -> bool:
    """Print the summary of one observation and draw its plots; returns whether it has light curves."""
    from schema import database
    from services.status import light_curves_made, status
    from services.summary import summarize

    with database.reading_factory(engine)() as session:
        made = light_curves_made(session, observation)
        summary = summarize(session, observation)
        [state] = status(session, observation)
    out.print(Text(f"observation {observation}: {state.target}, filter {state.filter}, night {state.night}", "bold"))
    out.print(f"  frames           {summary.used} used of {summary.frames}")
    for rejection in summary.rejected[:REASONS_SHOWN]:
        out.print(Text(f"    rejected {rejection.frames}: {rejection.reason}"))
    out.print(f"  sources          {summary.sources}, {summary.light_curves} with light curves")
    out.print(f"  reference stars  {summary.reference_stars}")
    _print_sky(summary.sky)
    if any(chosen.choices for chosen in summary.published_by):
        out.print(f"  choices          {'; then '.join(map(str, summary.published_by))}", soft_wrap=True, markup=False)
    if summary.bright_scatter_mmag is not None and summary.bright_error_mmag is not None:
        out.print(
            f"  median scatter   {summary.bright_scatter_mmag:.2f} mmag of the {summary.bright_stars} brightest "
            f"unsaturated stars; their errors promise {summary.bright_error_mmag:.2f} mmag"
        )
    elif made and summary.used < FEWEST_POINTS:
        out.print(f"  median scatter   not told: of {summary.used} frames it would be chance, {FEWEST_POINTS} tell it")
    if made:
        out.print(f"  candidates       {summary.candidates} stars vary: `tianyu analyze {observation}` lists them")
    for line in summary.notes:
        out.print(Text(f"  note: {line}", "yellow"))
    for failure in state.failures[:REASONS_SHOWN]:
        out.print(Text(f"  failed: {failure.command} {failure.pid}: {failure.error}", "red"))
    if not made:
        show_error(f"observation {observation} has no light curves: the reasons are above")
        return False
    if plots:
        _draw(settings, engine, observation, target)
    return True


def _print_sky(sky: "SkySummary") -> None:
    if sky.unsolved is None:
        residual = "" if sky.rms_arcsec is None else f", residual {sky.rms_arcsec:.2f} arcsec"
        solved = f"{sky.pixel_scale_arcsec:.3f} arcsec a pixel, {sky.matches} stars matched{residual}"
    else:
        solved = f"none: {sky.unsolved}"
    out.print(f"  sky coordinates  {solved}", soft_wrap=True, markup=False)
    gaia = [f"{sky.gaia_sources} sources named"] if sky.gaia_sources else []
    gaia += [sky.gaia_missing] if sky.gaia_missing is not None else []
    if sky.zero_point_error_mmag is not None:
        gaia.append(f"zero points from {sky.zero_point_stars} stars, good to {sky.zero_point_error_mmag:.1f} mmag")
    elif sky.gaia_sources:
        gaia.append(f"no magnitudes: {sky.zero_point_missing or 'too few stars agree on a zero point'}")
    out.print(f"  Gaia             {'; '.join(gaia)}", soft_wrap=True, markup=False)


def _draw(settings: "Settings", engine: "Engine", observation: int, target: str | None) -> None:
    from schema import database
    from services.cli.stars import star_to_show
    from services.image_store import open_store
    from services.plots import make_plots

    folder = settings.root / "plots" / str(observation)
    try:
        source = star_to_show(engine, settings, observation, None if target is None else parse_target(target))
    except TianyuError as error:
        err.print(Text(f"target: {error}; another star is drawn instead", "yellow"))
        source = star_to_show(engine, settings, observation, None)
    with database.reading_factory(engine)() as session:
        paths = make_plots(session, open_store(settings.root), observation, folder, source)
    out.print(f"  plots            {', '.join(path.name for path in paths)} in {folder}", soft_wrap=True)
