"""Where each frame lay relative to the reference: drift over time and in the plane, rotation, rejected frames."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.images import CALIBRATED, Image
from services.errors import DataError
from services.lightcurves.selection import ObservationFacts
from services.plots.style import BLUE, GREEN, LEGEND, ORANGE, RED, new_figure, save, tidy

HOURS_PER_DAY = 24.0


@dataclass(frozen=True)
class _Frames:
    """Calibrated images in order of time: ``[n]`` each, NaN where unknown."""

    time: NDArray[np.float64]
    time_label: str
    dx: NDArray[np.float64]
    dy: NDArray[np.float64]
    rotation: NDArray[np.float64]
    good: NDArray[np.bool_]


def frame_offsets(session: Session, observation: ObservationFacts, path: Path) -> Path:
    """Draw the offsets.

    Raises:
        DataError: no frame has been aligned yet.
    """
    frames = _read(session, observation)
    figure = new_figure(10.0, 5.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.25, 1.0), height_ratios=(1.6, 1.0))
    over_time = figure.add_subplot(grid[0, 0])
    turned = figure.add_subplot(grid[1, 0], sharex=over_time)
    plane = figure.add_subplot(grid[:, 1])
    _draw_over_time(over_time, frames)
    tidy(over_time, "", "offset (pixels)")
    over_time.tick_params(labelbottom=False)
    over_time.legend(**LEGEND, ncols=2)
    turned.plot(frames.time[frames.good], frames.rotation[frames.good], ".", color=GREEN, markersize=5)
    turned.plot(frames.time[~frames.good], frames.rotation[~frames.good], "x", color=RED, markersize=6)
    tidy(turned, frames.time_label, "rotation (degrees)")
    _draw_plane(plane, frames)
    figure.suptitle(
        f"{observation.title}: {frames.good.size} calibrated frames, {np.count_nonzero(~frames.good)} rejected",
        fontsize=11,
        x=0.01,
        ha="left",
        parse_math=False,
    )
    return save(figure, path)


def _read(session: Session, observation: ObservationFacts) -> _Frames:
    rows = session.execute(
        select(Image.jd_utc, Image.dx, Image.dy, Image.rotation_deg, Image.good)
        .where(Image.graph_pid == observation.graph_pid, Image.kind == CALIBRATED)
        .order_by(Image.jd_utc, Image.image_id)
    ).all()
    table = np.array(
        [[np.nan if value is None else float(value) for value in row] for row in rows], dtype=np.float64
    ).reshape(-1, 5)
    jd, dx, dy, rotation, good = table.T
    if not np.isfinite(dx).any():
        raise DataError(f"observation {observation.observation_id} has no aligned frame to draw")
    if np.isfinite(jd).all():
        time, label = (jd - jd[0]) * HOURS_PER_DAY, "hours since the first frame"
    else:
        time, label = np.arange(len(rows), dtype=np.float64), "frame (their headers tell no time)"
    # Before `select` has judged them, frames count as good.
    return _Frames(time, label, dx, dy, rotation, np.nan_to_num(good, nan=1.0) > 0)


def _draw_over_time(axes: Axes, frames: _Frames) -> None:
    for values, colour, name in ((frames.dx, BLUE, "dx"), (frames.dy, ORANGE, "dy")):
        axes.plot(frames.time[frames.good], values[frames.good], ".", color=colour, markersize=5, label=name)
        axes.plot(frames.time[~frames.good], values[~frames.good], "x", color=RED, markersize=6)
    if not frames.good.all():
        axes.plot([], [], "x", color=RED, label="rejected")
    lost = frames.time[np.isnan(frames.dx)]
    if lost.size:
        # In the axes' own height, below all offsets: such frames have no place.
        bottom = np.full(lost.size, 0.02)
        axes.plot(
            lost, bottom, "|", color=RED, markersize=10, transform=axes.get_xaxis_transform(), label="not aligned"
        )


def _draw_plane(axes: Axes, frames: _Frames) -> None:
    axes.plot(frames.dx[frames.good], frames.dy[frames.good], "-", color=BLUE, linewidth=0.5, alpha=0.35)
    points = axes.scatter(
        frames.dx[frames.good], frames.dy[frames.good], c=frames.time[frames.good], s=14, cmap="viridis", zorder=3
    )
    axes.plot(frames.dx[~frames.good], frames.dy[~frames.good], "x", color=RED, markersize=6, zorder=4)
    bar = axes.figure.colorbar(points, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(frames.time_label)
    bar.outline.set_visible(False)
    tidy(axes, "dx (pixels)", "dy (pixels)")
    axes.set_aspect("equal", adjustable="datalim")
