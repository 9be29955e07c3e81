"""One page on a night: what came of it, the field, how well stars were measured, and its frames."""

from pathlib import Path

from sqlalchemy.orm import Session

from services.errors import DataError
from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.provenance import provenance
from services.results.plots.night_frames import read_frames
from services.results.plots.scatter_plot import draw_scatter
from services.results.plots.style import head, save
from services.results.reports.page_parts import Fact, draw_field, draw_frames, page, write_facts
from services.results.summary.numbers import Summary, summarize
from services.shown import shown

MOST_REASONS, MOST_NOTES = 3, 3  # that the page has room for


def night_report(session: Session, images: ImageStore | None, observation: ObservationFacts, path: Path) -> Path:
    """Write the page.

    Raises:
        DataError: no frame is aligned.
        ConfigurationError: the file cannot be written.
    """
    figure = page()
    grid = figure.add_gridspec(3, 2, height_ratios=(1.15, 1.3, 0.7), width_ratios=(1.3, 1.0))
    summary = summarize(session, observation.observation_id)
    write_facts(figure.add_subplot(grid[0, 0]), facts_of(session, observation, summary))
    draw_field(figure.add_subplot(grid[0, 1]), session, images, observation, None)
    axes = figure.add_subplot(grid[1, :])
    try:
        draw_scatter(axes, session, observation, None)
        # Above the panel, where it covers no star.
        axes.legend(frameon=False, fontsize=7, ncols=5, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    except DataError as error:
        axes.set_axis_off()
        axes.text(0.0, 0.5, shown(str(error)), transform=axes.transAxes, wrap=True, fontsize=8)
    draw_frames(figure.add_subplot(grid[2, :]), read_frames(session, observation))
    head(figure, f"Observation {observation.observation_id}: {observation.title}")
    return save(figure, path)


def facts_of(session: Session, observation: ObservationFacts, summary: Summary) -> list[Fact]:
    """What is known of the night."""
    known = provenance(session, observation)
    sky = summary.sky
    others = sum(one.frames for one in summary.rejected[MOST_REASONS:])
    facts: list[Fact] = [
        ("camera", f"{observation.instrument}, {known.get('telescope', 'telescope unknown')}"),
        ("exposure (s)", str(known.get("exposure_s", "several"))),
        ("frames", f"{summary.used} used of {summary.frames}"),
        *(("", f"{one.frames} rejected: {one.reason}") for one in summary.rejected[:MOST_REASONS]),
        *([("", f"{others} rejected for other reasons")] if others else []),
        ("sources", f"{summary.sources}, {summary.light_curves} light curves, {summary.reference_stars} references"),
    ]
    if summary.bright_scatter is not None and summary.bright_error is not None:
        words = f"{summary.bright_scatter:.3%} (quoted {summary.bright_error:.3%})"
        facts.append(("bright stars", f"scatter {words}, {summary.bright_stars} stars"))
    if sky.pixel_scale_arcsec is not None:
        facts.append(("sky", f"{sky.pixel_scale_arcsec:.3f} arcsec a pixel, {sky.matches or 0} stars matched"))
    else:
        facts.append(("sky", f"not solved: {sky.unsolved or 'not yet'}"))
    if sky.zero_point_error_mmag is not None:
        facts.append(("zero points", f"± {sky.zero_point_error_mmag:.1f} mmag by {sky.zero_point_stars} stars of Gaia"))
    facts.append(("candidates", str(summary.candidates)))
    facts += [("note", one) for one in summary.notes[:MOST_NOTES]]
    published = sorted({one.version for one in summary.published_by})
    facts += [("Tianyu", ", ".join(published)), ("graph", str(observation.graph_pid))]
    return facts
