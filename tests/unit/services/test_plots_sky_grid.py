"""Lines of the grid and their names are where the WCS has those coordinates, however the camera was mounted."""

import re

import numpy as np
import pytest
from astropy.coordinates import Angle

from services.plots.sky_grid import Limits, dec_name, ra_name, sky_grid, ticks
from tests.unit.services.made_wcs import made_wcs

LIMITS: Limits = ((-0.5, 299.5), (-0.5, 199.5))


def degrees(name: str) -> float:
    """What a line's name says."""
    sexagesimal = name.replace("−", "-").translate(str.maketrans("°′″", "dms"))
    unit = "hourangle" if "h" in sexagesimal else "deg"
    return float(Angle(re.sub(r"(?<=[hd])$", "00m", sexagesimal), unit=unit).deg)


@pytest.mark.parametrize("parity", [-1.0, 1.0])
@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 90.0, 200.0, 315.0])
@pytest.mark.parametrize(("ra", "dec", "scale"), [(31.0, 46.7, 5.2), (359.99, -12.0, 1.0), (120.0, 80.0, 0.3)])
def test_names_are_where_the_coordinates_are(parity: float, angle: float, ra: float, dec: float, scale: float) -> None:
    wcs = made_wcs(angle, parity, dec, ra=ra, scale=scale, centre=(150.0, 100.0))
    grid = sky_grid(wcs, LIMITS)
    for lines, below, edge in ((grid.below, True, LIMITS[1][0]), (grid.beside, False, LIMITS[0][0])):
        places, names = ticks(lines, LIMITS, below)
        assert 2 <= len(places) == len(set(names)) <= 8
        for place, name in zip(places, names, strict=True):
            at = wcs.to_sky(np.array([[place, edge] if below else [edge, place]]))[0]
            if "h" in name:
                off = (at[0] - degrees(name) + 180.0) % 360.0 - 180.0
                off *= np.cos(np.radians(at[1]))
            else:
                off = at[1] - degrees(name)
            # Between two points of a line it is taken for straight: a twentieth of a pixel.
            assert abs(off) * 3600.0 / scale < 0.05
    for line in (*grid.ra, *grid.dec):
        on_line = wcs.to_sky(line.xy)[:, 0 if "h" in line.name else 1]
        spread = (on_line - degrees(line.name) + 180.0) % 360.0 - 180.0
        assert np.abs(spread).max() < 1e-6


def test_around_a_pole_lines_run_all_around() -> None:
    grid = sky_grid(made_wcs(dec=90.0, scale=30.0, centre=(150.0, 100.0)), LIMITS)
    hours = sorted(degrees(line.name) for line in grid.ra)
    assert hours[0] == 0.0
    assert np.ptp(np.diff([*hours, 360.0])) < 1e-6
    assert {line.name[0] for line in grid.dec} == {"+"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (ra_name(31.04283, 0.01), "02h04m10.28s"),
        (ra_name(359.9999999, 0.01), "00h00m00.00s"),
        (ra_name(30.0, 3600), "02h"),
        (ra_name(30.25, 60), "02h01m"),
        (dec_name(-0.0001, 0.1), "−00°00′00.4″"),
        (dec_name(46.688, 1), "+46°41′17″"),
        (dec_name(-5.5, 1800), "−05°30′"),
    ],
)
def test_coordinates_as_text(name: str, expected: str) -> None:
    assert name == expected
