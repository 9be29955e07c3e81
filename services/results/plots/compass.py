"""North, east and a scale bar on a template, by its WCS."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from pipeline.sky.astrometry.projection import from_plane
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.units import ARCSEC
from services.results.plots.style import BLACK

STEP_DEG = 1.0 / ARCSEC  # whose ends tell a direction
ARM_SHARE = 0.08  # of the panel's side
BAR_SHARE = 0.25  # of the panel's side, at most
BARS_ARCSEC = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
ARCSEC_PER_ARCMIN = 60
HALO = [withStroke(linewidth=2.5, foreground="white")]


@dataclass(frozen=True)
class SkyAxes:
    """Steps of one arcsecond towards north and east, in pixels: float64[2] each."""

    north: NDArray[np.float64]
    east: NDArray[np.float64]

    @property
    def arcsec_per_pixel(self) -> float:
        """Length of a pixel on the sky."""
        return float(1.0 / np.hypot(*self.north))


def sky_axes(wcs: SkyWcs, xy: tuple[float, float]) -> SkyAxes:
    """Directions at a place, 0-based pixels; at a pole itself those of one meridian."""
    ra, dec = wcs.to_sky(np.array([xy]))[0].tolist()
    here, north, east = wcs.to_pixels(from_plane(np.array([[0.0, 0.0], [0.0, STEP_DEG], [STEP_DEG, 0.0]]), ra, dec))
    return SkyAxes(north - here, east - here)


def draw_compass(axes: Axes, sky: SkyAxes, stars: Sequence[tuple[float, float]]) -> None:
    """Arrows to north and east, and a bar of a round length, in the two corners farthest from the marked stars."""
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    side = min(x_high - x_low, y_high - y_low)
    inset = 1.7 * ARM_SHARE * side
    corners = np.array([(x, y) for x in (x_low + inset, x_high - inset) for y in (y_low + inset, y_high - inset)])
    room = np.hypot(*(corners[:, None] - np.array(stars)).transpose(2, 0, 1)).min(axis=1)
    bar_at, centre = corners[np.argsort(room)[-2:]]
    for name, step in (("N", sky.north), ("E", sky.east)):
        way = step / np.hypot(*step) * ARM_SHARE * side
        axes.annotate(
            "", tuple(centre + way), tuple(centre), arrowprops={"arrowstyle": "->", "color": BLACK, "lw": 1.4}
        )
        x, y = (centre + 1.35 * way).tolist()
        axes.text(x, y, name, ha="center", va="center", fontsize=9, path_effects=HALO)
    longest = BAR_SHARE * side * sky.arcsec_per_pixel
    length = max([bar for bar in BARS_ARCSEC if bar <= longest], default=BARS_ARCSEC[0])
    half = 0.5 * length / sky.arcsec_per_pixel
    x, y = bar_at.tolist()
    axes.plot([x - half, x + half], [y, y], color=BLACK, linewidth=2.5, path_effects=HALO)
    words = f"{length // ARCSEC_PER_ARCMIN}′" if length >= ARCSEC_PER_ARCMIN else f"{length}″"
    axes.text(x, y + 0.02 * side, words, ha="center", fontsize=9, path_effects=HALO)
