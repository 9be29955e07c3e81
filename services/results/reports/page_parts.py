"""Parts that both reports have: the page, its facts, the field, and the frames along the night."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sqlalchemy.orm import Session

from services.errors import DataError
from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.plots.night_frames import Frames
from services.results.plots.style import BLACK, BLUE, GREY, ORANGE, RED, new_figure, tidy
from services.results.plots.template_picture import draw_image, mark_target, read_template
from services.shown import shown
from services.steps.shared.first_frame import to_first_frame

A4 = 8.27, 11.69  # inches
CIRCLE_SHARE = 0.012  # radius of the target's mark, of the template's longer side
LINE_LETTERS, MOST_LINES = 48, 4  # of a fact

Fact = tuple[str, str]


def page() -> Figure:
    """An empty page."""
    return new_figure(*A4)


def write_facts(axes: Axes, facts: Sequence[Fact]) -> None:
    """Names and values, one below the other; long values go on in the next line."""
    axes.set_axis_off()
    y, step = 1.0, 0.048
    for name, value in facts:
        lines = textwrap.wrap(shown(value), LINE_LETTERS, max_lines=MOST_LINES, placeholder=" …") or [""]
        axes.text(0.0, y, name, transform=axes.transAxes, fontsize=7.5, color=GREY, va="top", parse_math=False)
        for line in lines:
            axes.text(0.27, y, line, transform=axes.transAxes, fontsize=7.5, color=BLACK, va="top", parse_math=False)
            y -= step


def draw_field(
    axes: Axes,
    session: Session,
    images: ImageStore | None,
    observation: ObservationFacts,
    xy: tuple[float, float] | None,
) -> None:
    """The template, with strokes around a place of the first frame; words where it cannot be shown."""
    try:
        pixels, _ = read_template(session, images, observation)
    except DataError as error:
        axes.set_axis_off()
        axes.text(0.5, 0.5, shown(str(error)), transform=axes.transAxes, ha="center", wrap=True, fontsize=7.5)
        return
    draw_image(axes, pixels, to_first_frame(session, observation.graph_pid))
    if xy is not None:
        mark_target(axes, xy, CIRCLE_SHARE * max(pixels.shape))
    tidy(axes, "x (pixels)", "y (pixels)")
    axes.grid(visible=False)
    axes.set_aspect("equal")


def draw_frames(axes: Axes, frames: Frames) -> None:
    """Transparency and sharpness along the night, and which frames are rejected."""
    time, label = frames.time
    axes.plot(time, frames.transparency, ".", color=BLUE, markersize=4, label="transparency")
    fwhm = frames.fwhm / np.nanmedian(frames.fwhm) if np.isfinite(frames.fwhm).any() else frames.fwhm
    axes.plot(time, fwhm, ".", color=ORANGE, markersize=3, label="FWHM over its median")
    if np.isfinite(frames.airmass).any():
        axes.plot(time, frames.airmass, "-", color=GREY, linewidth=1.0, label="airmass")
    bad = ~frames.good
    axes.plot(time[bad], np.zeros(int(bad.sum())), "x", color=RED, markersize=5, label=f"{int(bad.sum())} rejected")
    tidy(axes, label, "")
    axes.legend(frameon=False, fontsize=7, ncols=4, loc="lower left", bbox_to_anchor=(0.0, 1.0))
