"""Right ascension and declination of what a panel shows: astropy's grid and names; pixels on the other two sides."""

import numpy as np
from matplotlib.axes import Axes

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from services.results.plots.style import BLUE, GREY
from services.results.plots.template_picture import X_LABEL, Y_LABEL

NAMES = 5  # wanted along a side
MOST_LINES = 14  # of a kind: more would hide the stars
HUNDREDTHS_PER_DEG = 24000.0  # of a second of right ascension


def draw_sky_grid(axes: Axes, wcs: SkyWcs) -> None:
    """Grid over what the WCSAxes of ``wcs`` show; its names below and to the left, pixels above and to the right."""
    ra, dec = axes.coords  # type: ignore[attr-defined]
    ra.set_axislabel("right ascension (ICRS)")
    dec.set_axislabel("declination")
    ra.set_separator("hms")
    dec.set_separator("°′″")
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width, height = abs(right - left), abs(top - bottom)
    along, up = _slope_of_declination(wcs, (left + right) / 2, (bottom + top) / 2)
    turned = min(along, up) / max(along, up, 1e-12)  # at a pole itself neither changes
    below, beside = (ra, dec) if up >= along else (dec, ra)
    for side, lines, own, other in (("b", below, width, height), ("l", beside, height, width)):
        for place in (lines.set_ticks_position, lines.set_ticklabel_position, lines.set_axislabel_position):
            place(side)
        # Of turned lines a side cuts only some.
        lines.set_ticks(number=min(round(NAMES * (1.0 + turned * other / own)), MOST_LINES))
        lines.set_ticklabel(size=8, exclude_overlapping=True)
        lines.grid(color=BLUE, linewidth=0.7, alpha=0.35, linestyle="-")
    above, beyond = axes.secondary_xaxis("top"), axes.secondary_yaxis("right")
    above.set_xlabel(X_LABEL, fontsize=8, color=GREY)
    beyond.set_ylabel(Y_LABEL, fontsize=8, color=GREY)
    for second in (above, beyond):
        second.tick_params(labelsize=7, colors=GREY, length=2.5)
        for spine in second.spines.values():
            spine.set_color(GREY)


def _slope_of_declination(wcs: SkyWcs, x: float, y: float) -> tuple[float, float]:
    """By how much it changes along x and along y; right ascension changes as much along the other."""
    here, right, up = wcs.to_sky(np.array([[x, y], [x + 1.0, y], [x, y + 1.0]]))[:, 1].tolist()
    return abs(right - here), abs(up - here)


def place_name(ra_deg: float, dec_deg: float) -> str:
    """Right ascension and declination as text: ``02h04m10.28s +46°41′17.1″``."""
    from astropy.coordinates import Angle

    ra = round(ra_deg * HUNDREDTHS_PER_DEG) / HUNDREDTHS_PER_DEG % 360.0  # just below a turn it is 0 h, not 24
    hours = Angle(ra, "deg").to_string("hourangle", precision=2, pad=True)
    degrees = Angle(dec_deg, "deg").to_string(sep="°′″", precision=1, pad=True, alwayssign=True)
    return f"{hours} {degrees.replace('-', '−')}"
