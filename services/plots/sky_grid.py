"""Lines of equal right ascension and declination on a template, and their names along its edges."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.astrometry.sky_wcs import SkyWcs
from services.plots.style import BLUE, GREY
from services.plots.template import X_LABEL, Y_LABEL

# Distances of lines: seconds of time of right ascension, arcseconds of declination.
RA_STEPS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800)
DEC_STEPS_ARCSEC = (0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000)
S_PER_DEG, ARCSEC_PER_DEG = 240.0, 3600.0
MOST_LINES = 14  # of a kind: more would hide the stars
LEAST_NAMES = 3  # of a kind, along its edge
SAMPLES = 32  # along each side, to see which part of the sky is shown
POINTS = 100  # of a line
BEYOND = 0.05  # of the span of the lines' coordinate, on either side
TURN_DEG = 360.0

Floats = NDArray[np.float64]
Span = tuple[float, float]
Limits = tuple[Span, Span]


@dataclass(frozen=True)
class Line:
    """A line of the grid: its name and its course in pixels, float64[n, 2]."""

    name: str
    xy: Floats


@dataclass(frozen=True)
class Grid:
    """Lines of equal right ascension and of equal declination; ``upright``: the first run from bottom to top."""

    ra: tuple[Line, ...]
    dec: tuple[Line, ...]
    upright: bool

    @property
    def below(self) -> tuple[Line, ...]:
        """Lines that are named along the lower edge; the others are along the left one."""
        return self.ra if self.upright else self.dec

    @property
    def beside(self) -> tuple[Line, ...]:
        """Lines that are named along the left edge."""
        return self.dec if self.upright else self.ra


def sky_grid(wcs: SkyWcs, limits: Limits) -> Grid:
    """Lines within limits ((x_low, x_high), (y_low, y_high)), pixels: of each kind so few that three have names."""
    (x_low, x_high), (y_low, y_high) = limits
    middle = np.array([[(x_low + x_high) / 2, (y_low + y_high) / 2]])
    ra_span, dec_span = _spans(wcs, limits, middle)
    upright = _upright(wcs, middle)
    ra = _lines(wcs, limits, (ra_span, dec_span), RA_STEPS_S, upright)
    dec = _lines(wcs, limits, (dec_span, ra_span), DEC_STEPS_ARCSEC, not upright)
    return Grid(ra, dec, upright)


def _spans(wcs: SkyWcs, limits: Limits, middle: Floats) -> tuple[Span, Span]:
    """Right ascensions and declinations that are shown, degrees; the first may lie a turn off, to be without a gap."""
    (x_low, x_high), (y_low, y_high) = limits
    ra_0 = float(wcs.to_sky(middle)[0, 0])
    across, up = np.meshgrid(np.linspace(x_low, x_high, SAMPLES), np.linspace(y_low, y_high, SAMPLES))
    ra, dec = wcs.to_sky(np.column_stack([across.ravel(), up.ravel()])).T
    ra = (ra - ra_0 + TURN_DEG / 2) % TURN_DEG - TURN_DEG / 2 + ra_0
    ra_span, dec_span = (float(ra.min()), float(ra.max())), (float(dec.min()), float(dec.max()))
    for pole in (-90.0, 90.0):
        x, y = wcs.to_pixels(np.array([[0.0, pole]]))[0]
        if x_low <= x <= x_high and y_low <= y <= y_high:
            ra_span = (0.0, TURN_DEG)
            dec_span = (min(pole, dec_span[0]), max(pole, dec_span[1]))
    return ra_span, dec_span


def _lines(
    wcs: SkyWcs, limits: Limits, spans: tuple[Span, Span], steps: Sequence[float], below: bool
) -> tuple[Line, ...]:
    """Lines of equal right ascension or declination (as the steps are), the coarsest of which enough have names.

    spans: of the coordinate that is equal along each line, and of the other.
    """
    of_ra = steps is RA_STEPS_S
    per_deg, name = (S_PER_DEG, ra_name) if of_ra else (ARCSEC_PER_DEG, dec_name)
    along = np.linspace(*_widened(spans[1], 90.0 if of_ra else np.inf), POINTS)
    found: tuple[Line, ...] = ()
    for step in reversed(steps):
        values = _marks(spans[0], step, per_deg)
        if len(values) > MOST_LINES:
            break
        courses = [np.column_stack([np.full(POINTS, value), along]) for value in values]
        found = tuple(
            Line(name(value, step), wcs.to_pixels(course if of_ra else course[:, ::-1]))
            for value, course in zip(values, courses, strict=True)
        )
        if len(ticks(found, limits, below)[0]) >= LEAST_NAMES:
            break
    return found


def draw_sky_grid(axes: Axes, wcs: SkyWcs) -> None:
    """Draw the grid over what the axes show; names of lines below and to the left, pixels above and to the right."""
    limits = x_limits, y_limits = axes.get_xlim(), axes.get_ylim()
    grid = sky_grid(wcs, limits)
    for line in (*grid.ra, *grid.dec):
        axes.plot(*line.xy.T, color=BLUE, linewidth=0.7, alpha=0.35, zorder=1.5)
    axes.set_xlim(x_limits)
    axes.set_ylim(y_limits)
    axes.set_xticks(*ticks(grid.below, limits, True), fontsize=8)
    axes.set_yticks(*ticks(grid.beside, limits, False), fontsize=8)
    words = ("right ascension (ICRS)", "declination")
    axes.set_xlabel(words[0 if grid.upright else 1])
    axes.set_ylabel(words[1 if grid.upright else 0])
    above, right = axes.secondary_xaxis("top"), axes.secondary_yaxis("right")
    above.set_xlabel(X_LABEL, fontsize=8, color=GREY)
    right.set_ylabel(Y_LABEL, fontsize=8, color=GREY)
    for second in (above, right):
        second.tick_params(labelsize=7, colors=GREY, length=2.5)
        for spine in second.spines.values():
            spine.set_color(GREY)


def ra_name(value: float, step: float) -> str:
    """Right ascension in hours as fine as the steps; value: degrees, step: seconds of time."""
    return _sixtieths(value % TURN_DEG * S_PER_DEG, step, "hms", 24)


def dec_name(value: float, step: float) -> str:
    """Declination in degrees as fine as the steps; value: degrees, step: arcseconds."""
    return ("−" if value < 0 else "+") + _sixtieths(abs(value) * ARCSEC_PER_DEG, step, "°′″", None)


def _sixtieths(seconds: float, step: float, units: str, wrap: int | None) -> str:
    decimals = next((n for n in range(3) if round(step * 10**n) >= 1 and abs(step * 10**n % 1) < 1e-9), 2)
    ticks = round(seconds * 10**decimals)
    whole, rest = divmod(ticks, 3600 * 10**decimals)
    if wrap is not None:
        whole %= wrap
    minutes, rest = divmod(rest, 60 * 10**decimals)
    text = f"{whole:02d}{units[0]}"
    if step < 3600:
        text += f"{minutes:02d}{units[1]}"
    if step < 60:
        text += f"{rest / 10**decimals:0{3 + decimals if decimals else 2}.{decimals}f}{units[2]}"
    return text


def _marks(span: Span, step: float, per_deg: float) -> list[float]:
    """Round values within a span, degrees; the step is in the unit of which there are ``per_deg`` in a degree."""
    low, high = (value * per_deg / step for value in span)
    numbers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    values = [number * step / per_deg for number in numbers]
    return values[:-1] if span[1] - span[0] >= TURN_DEG else values  # a whole turn ends where it begins


def _widened(span: tuple[float, float], most: float) -> tuple[float, float]:
    """A little longer, so that lines reach the edges; a whole turn stays one."""
    more = BEYOND * (span[1] - span[0]) if span[1] - span[0] < TURN_DEG else 0.0
    return max(span[0] - more, -most), min(span[1] + more, most)


def _upright(wcs: SkyWcs, middle: Floats) -> bool:
    """Whether north is nearer to up or down than to a side, in the middle."""
    here, right, up = wcs.to_sky(middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))[:, 1]
    return bool(abs(up - here) >= abs(right - here))  # declination changes along the lines of right ascension


def ticks(lines: Sequence[Line], limits: Limits, below: bool) -> tuple[list[float], list[str]]:
    """Where lines cross the lower (``below``) or the left edge, pixels along it, and their names."""
    axis = 1 if below else 0
    edge, between = limits[axis][0], limits[1 - axis]
    places, names = [], []
    for line in lines:
        at, along = line.xy[:, axis] - edge, line.xy[:, 1 - axis]
        with np.errstate(invalid="ignore"):
            crossing = np.flatnonzero((at[:-1] <= 0) != (at[1:] <= 0))
        for index in crossing:
            place = along[index] - at[index] * (along[index + 1] - along[index]) / (at[index + 1] - at[index])
            if between[0] <= place <= between[1]:
                places.append(float(place))
                names.append(line.name)
                break
    return places, names
