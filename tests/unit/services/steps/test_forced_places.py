"""Places that are asked for: how they are written, where they lie on a template, and what stands next to them."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from schema.photometry import Aperture
from services.choices import Choices, said
from services.star_names import PLACES_MOST, NamedPlace
from services.steps.force_places import rows_of
from services.steps.shared.template_sources import TemplateSources

SCALE = 1.0 / 3600.0
JD_2000, JD_2020 = 2451545.0, 2451545.0 + 20 * 365.25
WCS = SkyWcs((50.0, 40.0), (10.0, 20.0), np.array([[-SCALE, 0.0], [0.0, SCALE]]))
SHAPE = (80, 100)
KNOWN = {7: (10.0, 20.0), 9: (10.0, 20.0 + 10 * SCALE)}


def _sources() -> TemplateSources:
    xy = WCS.to_pixels(np.array(list(KNOWN.values())))
    aperture = Aperture(aperture=0, kind="circle", radius=3.0, annulus_inner=10.0, annulus_outer=15.0, fwhm=4.0)
    shape = (2, 1)
    return TemplateSources(
        source_ids=np.array(list(KNOWN)), xy=xy, light=np.array([100.0, 10.0]), flag=np.zeros(shape, np.int32),
        seeing_response=np.zeros(shape), isolated=np.ones(2, np.bool_), ellipses=None, apertures=[aperture],
    )  # fmt: skip


def test_a_place_is_what_its_text_says() -> None:
    for text in ("SN 2026abc=31.04300000d,-46.68800000d", "a=b=359.50000000d,-0.25000000d,12.5000,-3.0000"):
        assert str(NamedPlace.of(text)) == text
    assert NamedPlace.of("x=-0.5d,1d").radec == (359.5, 1.0)
    assert NamedPlace.of("a=b=1d,2d,3,-4") == NamedPlace("a=b", (1.0, 2.0), (3.0, -4.0))


@pytest.mark.parametrize("text", ["31.0d,46.0d", "=1d,2d", " =1d,2d", "a=1d,91d", "a=1,2", "a=1d,2d,3", "a=nand,2d"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is no place with a name"):
        Choices(forced_places=(text,))


def test_names_stand_once_and_lists_have_an_end() -> None:
    with pytest.raises(ValidationError, match="give each name once"):
        Choices(forced_places=("a=1d,2d", "a=3d,4d"))
    with pytest.raises(ValidationError, match="at most 1000"):
        Choices(forced_places=tuple(f"{i}=1d,2d" for i in range(PLACES_MOST + 1)))


def test_a_long_list_is_told_by_its_first_values() -> None:
    assert said([1, 2, 3, 4, 5, 6, 7]) == "[1, 2, 3, 4, 5] and 2 more"
    assert said([1, 2]) == "[1, 2]"


def test_places_lie_on_the_template_of_the_night() -> None:
    places = [
        NamedPlace("star", (10.0, 20.0)),
        NamedPlace("beside", (10.0, 20.0 + 4 * SCALE)),
        NamedPlace("edge", (10.0, 20.0 + 39.4 * SCALE)),
        NamedPlace("past the edge", (10.0, 20.0 + 39.6 * SCALE)),
        NamedPlace("behind", (190.0, -20.0)),
        NamedPlace("moving", (10.0, 20.0 - 20 * SCALE), (0.0, 1000.0)),
    ]
    star, beside, edge, past, behind, moving = rows_of(places, WCS, SHAPE, _sources(), JD_2020, KNOWN)
    assert (star.inside, star.is_source, star.nearest_source_id) == (True, True, 7)
    assert star.nearest_arcsec == pytest.approx(0.0, abs=1e-6)
    assert (beside.is_source, beside.nearest_source_id) == (False, 7)
    assert beside.nearest_arcsec == pytest.approx(4.0, abs=1e-6)
    assert (edge.inside, past.inside, behind.inside) == (True, False, False)
    assert (past.nearest_source_id, behind.x, behind.nearest_arcsec) == (None, None, None)
    # 20 years by an arcsec each.
    assert (moving.x, moving.y) == pytest.approx((star.x, star.y), abs=1e-3)
    assert moving.is_source


def test_without_coordinates_of_its_own_a_source_is_named_without_distance() -> None:
    [row] = rows_of([NamedPlace("star", (10.0, 20.0))], WCS, SHAPE, _sources(), JD_2000, {})
    assert (row.nearest_source_id, row.nearest_arcsec, row.is_source) == (7, None, True)
