import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from pipeline.errors import UnusableDataError
from pipeline.sky.horizontal import airmass, altitude_azimuth

LOCATION = (93.9, 38.6, 4200.0)
TIMES = ["2012-05-01T03:00", "2016-12-30T18:00", "2017-12-20T12:00", "2019-07-01T20:00"]


@pytest.mark.parametrize(("ra", "dec"), [(31.043, 46.688), (150.0, -20.0), (280.0, 85.0)])
@pytest.mark.parametrize("location", [LOCATION, (-70.7, -30.2, 2700.0)])
def test_altitude_and_azimuth_are_astropys(ra: float, dec: float, location: tuple[float, float, float]) -> None:
    """Within 10 arcsec: UTC stands for UT1, which was up to 0.6 s off in these years."""
    times = Time(TIMES)
    place = EarthLocation.from_geodetic(location[0] * u.deg, location[1] * u.deg, location[2] * u.m)
    with iers.conf.set_temp("auto_download", False):
        expected = SkyCoord(ra, dec, unit="deg").transform_to(AltAz(obstime=times, location=place))
    altitude, azimuth = altitude_azimuth(times.jd, ra, dec, location)
    turned = (azimuth - expected.az.deg + 180.0) % 360.0 - 180.0
    assert np.abs(altitude - expected.alt.deg).max() * 3600 < 10.0
    assert np.abs(turned * np.cos(np.radians(altitude))).max() * 3600 < 10.0
    assert ((azimuth >= 0) & (azimuth < 360)).all()


def test_airmass_of_kasten_and_young() -> None:
    """Their table: 1.0 at zenith, 1.9939 at 30 degrees, 10.31 at 5 degrees, 37.92 at the horizon."""
    np.testing.assert_allclose(airmass([90.0, 30.0, 5.0, 0.0]), [1.0, 1.9943, 10.31, 37.92], rtol=1e-3)
    assert np.isnan(airmass(-0.1))


@pytest.mark.parametrize(
    ("jd", "dec", "location"),
    [(np.nan, 0.0, LOCATION), (2458000.5, 91.0, LOCATION), (2458000.5, 0.0, (0.0, 91.0, 0.0))],
)
def test_places_and_times_that_cannot_be(jd: float, dec: float, location: tuple[float, float, float]) -> None:
    with pytest.raises(UnusableDataError):
        altitude_azimuth(np.array([jd]), 0.0, dec, location)
