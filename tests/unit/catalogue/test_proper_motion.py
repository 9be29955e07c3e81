"""Stars move: Barnard's star where it was, motions at the pole and across 0 h."""

import numpy as np
import pytest

from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.sky.proper_motion import moved
from services.sky.catalogue import CatalogueStars

J2000 = 2451545.0


def one(ra: float, dec: float, pm_ra: float, pm_dec: float, jd: float, epoch: float = 2016.0) -> np.ndarray:
    return moved(np.array([[ra, dec]]), np.array([pm_ra]), np.array([pm_dec]), np.array([epoch]), jd)


def test_barnards_star_was_where_simbad_has_it() -> None:
    """Gaia DR3 (2016) back to the place of SIMBAD for 2000, 166 arcsec away; SIMBAD too moves stars straight."""
    then = one(269.44850252543836, 4.739420051112412, -801.551, 10362.394, J2000)
    assert separation_arcsec(then, np.array([[269.452076958619, 4.693364966]]))[0] < 0.001


def test_right_ascension_crosses_the_zero() -> None:
    """1 arcsec a year to the west for ten years."""
    ((ra, dec),) = one(0.001, 0.0, -1000.0, 0.0, J2000 + 3652.5, 2000.0).tolist()
    assert ra == pytest.approx(360.0 + 0.001 - 10.0 / 3600.0, abs=1e-9)
    assert dec == pytest.approx(0.0, abs=1e-12)


def test_motion_in_right_ascension_is_on_the_sky() -> None:
    """At declination 60 degrees an arcsec to the east is two in right ascension."""
    ((ra, _),) = one(50.0, 60.0, 1000.0, 0.0, J2000 + 365.25, 2000.0).tolist()
    assert (ra - 50.0) * 3600.0 == pytest.approx(2.0, abs=1e-4)


def test_a_star_walks_over_the_pole() -> None:
    ((ra, dec),) = one(10.0, 89.9999, 0.0, 3_600_000.0 * 0.0002, J2000 + 365.25, 2000.0).tolist()
    assert ra == pytest.approx(190.0, abs=1e-6)
    assert dec == pytest.approx(89.9999, abs=1e-7)


def test_unknown_motion_is_none() -> None:
    np.testing.assert_allclose(one(10.0, 20.0, np.nan, np.nan, J2000 + 1e4), [[10.0, 20.0]], rtol=1e-14)


def test_stars_of_a_catalogue_move_by_their_own_epochs() -> None:
    n = 2
    stars = CatalogueStars.none()
    columns = {name: np.zeros(n, values.dtype) for name, values in stars.columns().items()}
    columns |= {"source_id": np.arange(n), "pm_dec_mas": np.full(n, 1000.0), "ref_epoch": np.array([2015.5, 2016.0])}
    at_2016 = CatalogueStars(**columns).at_epoch(J2000 + 16 * 365.25)
    np.testing.assert_allclose(at_2016[:, 1] * 3600.0, [0.5, 0.0], atol=1e-9)
