"""What `tianyu run` prints of its observations: of a few all, of many a line each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.text import Text
from sqlalchemy import Engine

from pipeline.statistics import FEWEST_POINTS
from schema import database
from schema.processes import SUCCEEDED
from services.alike import notes_together
from services.cli.console import out, show_error, table_of
from services.cli.stopped_lines import show_stopped, state_of
from services.operating.status import ObservationStatus, status
from services.results.summary.numbers import SkySummary, Summary, summarize
from services.shown import axis

Draw = Callable[[int], Sequence[Path]]

REASONS_SHOWN = 8
MOST_WHOLE = 3  # observations of which all is printed
SUMMARY = (
    *("frames", "used", "rejected", "sources", "reference_stars", "light_curves", "candidates"),
    *("bright_stars", "bright_scatter", "bright_error", "sky", "notes", "no_good"),
)


@dataclass(frozen=True)
class Result:
    """What came of an observation."""

    state: ObservationStatus
    summary: Summary

    @property
    def is_made(self) -> bool:
        """Whether its newest graph gave light curves."""
        return self.state.end == SUCCEEDED and self.state.stopped_after is None

    def to_json(self) -> dict[str, Any]:
        """As `tianyu status` has it, with the summary of its light curves."""
        summary = asdict(self.summary)
        return self.state.to_json() | {"summary": {name: summary[name] for name in SUMMARY}}


def results_of(engine: Engine, observations: Sequence[int]) -> list[Result]:
    """Read what came of observations."""
    with database.reading_factory(engine)() as session:
        # As many queries for all as for one of them.
        alone = observations[0] if len(observations) == 1 else None
        states = {state.observation_id: state for state in status(session, alone)} if observations else {}
        return [Result(states[observation], summarize(session, observation)) for observation in observations]


def tell_results(
    results: Sequence[Result], database_file: Path | None, draw: Draw = lambda _: (), *, as_json: bool
) -> None:
    """Print what came of observations, for people or machines, and where the database is, if it is a file.

    draw: makes the plots of an observation that has light curves; returns their files.
    """
    if as_json:
        print_as_json(results, database_file, draw)
        return
    show_results(results, draw)
    if database_file is not None:
        out.print(f"database {database_file}", soft_wrap=True)


def show_results(results: Sequence[Result], draw: Draw = lambda _: ()) -> None:
    """Print all of a few observations, or of many a line each."""
    are_few = len(results) <= MOST_WHOLE
    if not are_few:
        _show_in_lines(results)
    folders = []
    for one in results:
        if are_few:
            _show(one)
        files = draw(one.state.observation_id) if one.is_made else ()
        folders += [files[0].parent] if files else []
        if files and are_few:
            names = ", ".join(file.name for file in files)
            out.print(f"  plots            {names} in {files[0].parent}", soft_wrap=True)
    if folders and not are_few:
        out.print(f"plots {folders[0].parent}, a folder for each observation", soft_wrap=True)


def print_as_json(results: Sequence[Result], database_file: Path | None, draw: Draw = lambda _: ()) -> None:
    """The same for machines; what has no light curves is told to standard error, too."""
    told = []
    for one in results:
        files = draw(one.state.observation_id) if one.is_made else ()
        told.append(one.to_json() | {"plots": [str(file) for file in files]})
    out.print_json(data={"database": None if database_file is None else str(database_file), "observations": told})
    for one in results:
        if one.state.stopped_after is None:
            _show_failure(one.state, f"`tianyu status {one.state.observation_id}` has the reasons")


def _show(result: Result) -> None:
    state, summary = result.state, result.summary
    observation = state.observation_id
    title = f"observation {observation}: {state.target}, filter {state.filter}, night {state.night}"
    out.print(Text(title, "bold"))
    if state.stopped_after is not None:
        show_stopped(state)
        return
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
    _show_failure(state, "the reasons are above")


def _show_failure(state: ObservationStatus, remedy: str) -> None:
    if not state.light_curves:
        show_error(f"observation {state.observation_id} has no light curves: {remedy}")
    elif state.end != SUCCEEDED:
        graph = f"graph {state.graph_pid} gave none"
        show_error(f"observation {state.observation_id} has light curves of before, {graph}")


def _show_in_lines(results: Sequence[Result]) -> None:
    numbers = ("exposure", "frames", "used", "stars", "scatter")
    table = table_of("id", "target", "filter", "night", *numbers, "state", right=numbers, wrapped=("target", "filter"))
    for one in results:
        state, summary = one.state, one.summary
        scatter = summary.bright_scatter_mmag
        table.add_row(
            str(state.observation_id),
            state.target,
            state.filter,
            str(state.night),
            f"{state.exposure_s:g} s",
            str(summary.frames),
            str(summary.used),
            str(summary.light_curves),
            "" if scatter is None else f"{scatter:.1f} mmag",
            _with_masters(state_of(one.state), one),
        )
    out.print(table)
    whole = [one for one in results if one.state.stopped_after is None]
    notes = (f"observation {one.state.observation_id}: {line}" for one in whole for line in one.summary.notes)
    for line in notes_together(notes):
        out.print(Text(f"note: {line}", "yellow"), soft_wrap=True)
    for one in results:
        for master in one.state.failed_masters:
            out.print(Text(f"failed: {master.says(one.state.observation_id)}", "red"), soft_wrap=True)
        if one.state.stopped_after is not None and one.state.end == SUCCEEDED:
            continue
        more = f"`tianyu status {one.state.observation_id}` has the reasons"
        _show_failure(one.state, f"{one.state.failures[0].error} ({more})" if one.state.failures else more)


def _with_masters(state: Text, result: Result) -> Text:
    """The state, with the kinds of calibration frames of which none were good: who reads one line sees it there."""
    if result.is_made and result.summary.no_good:
        state.append(f", no good {' and '.join(result.summary.no_good)}", "bold yellow")
    return state


def _frames_and_stars(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "frames", f"{summary.used} used of {summary.frames}"
    for rejection in summary.rejected[:REASONS_SHOWN]:
        yield "", f"rejected {rejection.frames}: {rejection.reason}"
    yield "sources", f"{summary.sources}, {summary.light_curves} with light curves"
    yield "reference stars", f"{summary.reference_stars}"


def _sky(sky: SkySummary) -> Iterator[tuple[str, str]]:
    if sky.unsolved is None:
        residual = "" if sky.rms_arcsec is None else f", residual {sky.rms_arcsec:.2f} arcsec"
        angle = sky.position_angle_deg
        mirrored = ", mirrored" * bool(sky.mirrored)
        turned = "" if angle is None else f", y axis {axis(angle)} degrees east of north{mirrored}"
        solved = f"{sky.pixel_scale_arcsec:.3f} arcsec a pixel{turned}, {sky.matches} stars matched{residual}"
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
