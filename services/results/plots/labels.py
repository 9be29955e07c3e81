"""Names beside stars, where they hide neither a star nor each other."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

DIRECTIONS = 8  # tried around each star
DISTANCES = 2.3, 3.2  # of a name's centre from its star, in radii of the star's mark; near ones are preferred
ENOUGH = 2.5  # radii of room: more is no better


def place_labels(
    axes: Axes, names: Sequence[str], xy: Sequence[tuple[float, float]], radius: float, colours: Mapping[str, str]
) -> None:
    """Write each name in the direction farthest from the other stars and names, and inside the axes.

    Colours are by a name's first letter; ``radius`` is that of the marks, in the units of ``xy``.
    """
    angle = np.pi / 4 + 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    around = np.concatenate([distance * radius * circle for distance in DISTANCES])
    taken = [np.array(place) for place in xy]
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    low, high = np.array([x_low, y_low]) + radius, np.array([x_high, y_high]) - radius
    for name, place in zip(names, xy, strict=True):
        spots = np.array(place) + around
        room = np.hypot(*(spots[:, None] - np.array(taken)).transpose(2, 0, 1)).min(axis=1)
        room = np.minimum(room, ENOUGH * radius)
        room[((spots < low) | (spots > high)).any(axis=1)] = -1.0
        best = spots[int(np.argmax(room.round(3)))]
        taken.append(best)
        axes.text(
            float(best[0]),
            float(best[1]),
            name,
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
            color=colours[name[0]],
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
