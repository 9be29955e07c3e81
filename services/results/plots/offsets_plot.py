"""Where each frame lay relative to the reference: drift over time and in the plane, rotation, scale."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.plots.night_frames import Frames, read_frames
from services.results.plots.style import BLACK, BLUE, GREEN, GREY, LEGEND, ORANGE, PURPLE, head, new_figure, save, tidy

PPM = 1e6


def frame_offsets(session: Session, observation: ObservationFacts, path: Path) -> Path:
    """Draw the offsets.

    Raises:
        DataError: no frame has been aligned yet.
    """
    frames = read_frames(session, observation)
    time, time_label = frames.time
    figure = new_figure(11.0, 6.4)
    grid = figure.add_gridspec(3, 2, width_ratios=(1.2, 1.0), height_ratios=(1.7, 1.0, 1.0))
    shifted = figure.add_subplot(grid[0, 0])
    turned = figure.add_subplot(grid[1, 0], sharex=shifted)
    scaled = figure.add_subplot(grid[2, 0], sharex=shifted)
    _series(shifted, time, frames.aligned("dx"), frames.good, "o", BLUE, "dx")
    _series(shifted, time, frames.aligned("dy"), frames.good, "s", ORANGE, "dy")
    _series(turned, time, frames.aligned("rotation"), frames.good, "o", GREEN, "")
    _series(scaled, time, (frames.aligned("scale") - 1.0) * PPM, frames.good, "o", PURPLE, "")
    tidy(shifted, "", "offset (pixels)")
    tidy(turned, "", "rotation (degrees)")
    tidy(scaled, time_label, "scale − 1 (ppm)")
    for axes in (shifted, turned):
        axes.tick_params(labelbottom=False)
    _mark_judgement(shifted, time, frames)
    shifted.legend(**LEGEND, ncols=4, loc="lower left", bbox_to_anchor=(0.0, 1.0), columnspacing=1.2)
    figure.align_ylabels([shifted, turned, scaled])
    _draw_plane(figure.add_subplot(grid[:, 1]), frames)
    rejected = np.count_nonzero(~frames.good)
    head(figure, f"{observation.title}: {frames.good.size} calibrated frames, {rejected} rejected")
    return save(figure, path)


def _series(
    axes: Axes,
    time: NDArray[np.float64],
    values: NDArray[np.float64],
    good: NDArray[np.bool_],
    marker: str,
    colour: str,
    name: str,
) -> None:
    axes.plot(time[good], values[good], marker, color=colour, markersize=2.6, label=name)
    axes.plot(time[~good], values[~good], marker, color=colour, markersize=5.5, markerfacecolor="white")


def _mark_judgement(axes: Axes, time: NDArray[np.float64], frames: Frames) -> None:
    if not frames.good.all():
        axes.plot([], [], "o", color=GREY, markersize=5.5, markerfacecolor="white", label="rejected (hollow)")
    lost = time[np.isnan(frames.aligned("dx"))]
    if lost.size:
        # In the axes' own height, below all offsets: such frames have no place.
        bottom = np.full(lost.size, 0.03)
        axes.plot(
            lost, bottom, "|", color=BLACK, markersize=9, transform=axes.get_xaxis_transform(), label="not aligned"
        )


def _draw_plane(axes: Axes, frames: Frames) -> None:
    dx, dy, good = frames.aligned("dx"), frames.aligned("dy"), frames.good
    time, time_label = frames.time
    axes.plot(dx[good], dy[good], "-", color=GREY, linewidth=0.6, alpha=0.6)
    points = axes.scatter(dx[good], dy[good], c=time[good], s=14, cmap="viridis", linewidths=0, zorder=3)
    axes.plot(dx[~good], dy[~good], "o", color=GREY, markersize=5.5, markerfacecolor="none", zorder=4)
    axes.plot(0, 0, "+", color=BLACK, markersize=10, markeredgewidth=1.2, zorder=5, label="reference")
    bar = axes.figure.colorbar(points, ax=axes, location="bottom", shrink=0.9, pad=0.02, aspect=40)
    bar.set_label(time_label)
    bar.outline.set_visible(False)
    tidy(axes, "dx (pixels)", "dy (pixels)")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(**LEGEND, loc="upper right")
