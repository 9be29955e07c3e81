"""Names beside a panel are where the WCS has those coordinates, however the camera was mounted."""

import numpy as np
import pytest

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from services.results.plots.sky_grid import draw_sky_grid, place_name
from services.results.plots.style import new_figure
from tests.unit.services.grid_names import Name, names_on
from tests.unit.services.made_wcs import made_wcs


def names_beside(wcs: SkyWcs, scale: float) -> tuple[list[Name], list[Name]]:
    """Those along the lower and along the left edge, each seen to be at its place."""
    axes = new_figure(6.0, 4.0).add_subplot(projection=wcs.astropy)
    axes.set_xlim(-0.5, 299.5)
    axes.set_ylim(-0.5, 199.5)
    draw_sky_grid(axes, wcs)
    found = names_on(axes)
    for names, label, across in zip(found, (axes.get_xlabel(), axes.get_ylabel()), (1, 0), strict=True):
        is_ra = label == "right ascension (ICRS)"
        assert is_ra or label == "declination"
        for xy, value, text in names:
            assert text[-1] in ("hms" if is_ra else "°′″")
            assert xy[across] == pytest.approx(-0.5, abs=1e-6)
            ra, dec = wcs.to_sky(np.array([xy]))[0]
            off = ((ra if is_ra else dec) - value + 180.0) % 360.0 - 180.0
            # Between two points of the edge the coordinate is taken for linear: a twentieth of a pixel.
            assert abs(off) * 3600.0 / scale * (np.cos(np.radians(dec)) if is_ra else 1.0) < 0.05
    return found


@pytest.mark.parametrize("parity", [-1.0, 1.0])
@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 90.0, 200.0, 315.0])
@pytest.mark.parametrize(("ra", "dec", "scale"), [(31.0, 46.7, 5.2), (359.99, -12.0, 1.0), (120.0, 80.0, 0.3)])
def test_names_are_where_the_coordinates_are(parity: float, angle: float, ra: float, dec: float, scale: float) -> None:
    for names in names_beside(made_wcs(angle, parity, dec, ra=ra, scale=scale, centre=(150.0, 100.0)), scale):
        assert 2 <= len(names) <= 8
        assert len({value for _, value, _ in names}) == len(names)


def test_around_a_pole_too() -> None:
    below, beside = names_beside(made_wcs(dec=90.0, scale=30.0, centre=(150.0, 100.0)), 30.0)
    assert len(below) >= 2
    assert len(beside) >= 2


@pytest.mark.parametrize(
    ("ra", "dec", "expected"),
    [
        (31.04283, 46.688, "02h04m10.28s +46°41′16.8″"),
        (359.9999999, -0.0001, "00h00m00.00s −00°00′00.4″"),
        (30.0, -5.5, "02h00m00.00s −05°30′00.0″"),
        (359.99998, 90.0, "00h00m00.00s +90°00′00.0″"),
    ],
)
def test_places_as_text(ra: float, dec: float, expected: str) -> None:
    assert place_name(ra, dec) == expected
