"""What `tianyu run` prints of an observation."""

from collections.abc import Iterator

from rich.text import Text
from sqlalchemy import Engine

from pipeline.statistics import FEWEST_POINTS
from schema import database
from schema.processes import SUCCEEDED
from services.cli.console import out, show_error
from services.operating.status import status
from services.results.summary.numbers import SkySummary, Summary, summarize

REASONS_SHOWN = 8


def show(engine: Engine, observation: int) -> bool:
    """Print the summary of one observation; returns whether its newest graph gave light curves."""
    with database.reading_factory(engine)() as session:
        summary = summarize(session, observation)
        [state] = status(session, observation)
    title = f"observation {observation}: {state.target}, filter {state.filter}, night {state.night}"
    out.print(Text(title, "bold"))
    for name, text in (*_frames_and_stars(summary), *_sky(summary.sky), *_choices_and_precision(summary)):
        out.print(f"  {name:<16} {text}" if name else f"    {text}", soft_wrap=True, markup=False)
    if state.light_curves:
        out.print(f"  candidates       {summary.candidates} stars vary: `tianyu analyze {observation}` lists them")
    for line in summary.notes:
        out.print(Text(f"  note: {line}", "yellow"))
    for master in state.failed_masters:
        out.print(Text(f"  failed: {master.says(observation)}", "red"), soft_wrap=True)
    for failure in state.failures[:REASONS_SHOWN]:
        out.print(Text(f"  failed: {failure.command} {failure.pid}: {failure.error}", "red"))
    if not state.light_curves:
        show_error(f"observation {observation} has no light curves: the reasons are above")
    elif state.end != SUCCEEDED:
        show_error(f"observation {observation} has light curves of before, graph {state.graph_pid} gave none")
    return state.end == SUCCEEDED


def _frames_and_stars(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "frames", f"{summary.used} used of {summary.frames}"
    for rejection in summary.rejected[:REASONS_SHOWN]:
        yield "", f"rejected {rejection.frames}: {rejection.reason}"
    yield "sources", f"{summary.sources}, {summary.light_curves} with light curves"
    yield "reference stars", f"{summary.reference_stars}"


def _sky(sky: SkySummary) -> Iterator[tuple[str, str]]:
    if sky.unsolved is None:
        residual = "" if sky.rms_arcsec is None else f", residual {sky.rms_arcsec:.2f} arcsec"
        solved = f"{sky.pixel_scale_arcsec:.3f} arcsec a pixel, {sky.matches} stars matched{residual}"
    else:
        solved = f"none: {sky.unsolved}"
    yield "sky coordinates", solved
    gaia = [f"{sky.gaia_sources} sources named"] if sky.gaia_sources else []
    gaia += [sky.gaia_missing] if sky.gaia_missing is not None else []
    if sky.zero_point_error_mmag is not None:
        gaia.append(f"zero points from {sky.zero_point_stars} stars, good to {sky.zero_point_error_mmag:.1f} mmag")
    elif sky.gaia_sources:
        gaia.append(f"no magnitudes: {sky.zero_point_missing or 'too few stars agree on a zero point'}")
    yield "Gaia", "; ".join(gaia)


def _choices_and_precision(summary: Summary) -> Iterator[tuple[str, str]]:
    if any(chosen.choices for chosen in summary.published_by):
        yield "choices", "; then ".join(map(str, summary.published_by))
    if summary.bright_scatter_mmag is not None and summary.bright_error_mmag is not None:
        yield (
            "median scatter",
            f"{summary.bright_scatter_mmag:.2f} mmag of the {summary.bright_stars} brightest unsaturated stars; "
            f"their errors promise {summary.bright_error_mmag:.2f} mmag",
        )
    elif summary.light_curves and summary.used < FEWEST_POINTS:
        yield "median scatter", f"not told: of {summary.used} frames it would be chance, {FEWEST_POINTS} tell it"
