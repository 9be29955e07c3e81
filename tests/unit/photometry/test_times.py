import socket

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time

from pipeline.errors import UnusableDataError
from pipeline.sky.times import bjd_tdb

WHIPPLE = (-110.88, 31.68, 2600.0)


def test_a_year_swings_by_the_light_time_of_the_orbit() -> None:
    """On the ecliptic the delay goes from -499 to +499 s (1 au), about TDB - UTC = 69.184 s in 2017."""
    jd = 2457754.5 + np.arange(0.0, 365.25, 0.5)
    delay = (bjd_tdb(jd, 90.0, 23.4393) - jd) * 86400.0
    assert np.mean([delay.max(), delay.min()]) == pytest.approx(69.184, abs=6.0)
    assert (delay.max() - delay.min()) / 2 == pytest.approx(499.0, abs=6.0)
    pole = (bjd_tdb(jd, 270.0, 66.5607) - jd) * 86400.0
    assert np.ptp(pole) < 12.0  # at the ecliptic's pole only the sun's own motion is left


def test_a_known_date() -> None:
    """The sun's direction at the March equinox of 2017 (JD 2457832.937) is RA 0, and the Earth 0.996 au behind it."""
    toward_sun = bjd_tdb(np.array([2457832.937]), 0.0, 0.0)[0]
    assert (toward_sun - 2457832.937) * 86400.0 == pytest.approx(69.184 - 0.996 * 499.005, abs=4.0)


def test_astropy_with_its_tables_of_the_earth_agrees() -> None:
    """To the last bit of a day number, 40 µs, wherever the field and the station are."""
    generator = np.random.default_rng(5)
    for _ in range(5):
        jd = 2451545.0 + generator.uniform(0.0, 9000.0, 20)
        ra, dec = generator.uniform(0.0, 360.0), generator.uniform(-90.0, 90.0)
        place = (generator.uniform(-180.0, 180.0), generator.uniform(-90.0, 90.0), 4200.0)
        site = EarthLocation.from_geodetic(place[0] * u.deg, place[1] * u.deg, place[2] * u.m)
        times = Time(jd, format="jd", scale="utc", location=site)
        delay = times.light_travel_time(SkyCoord(ra * u.deg, dec * u.deg), ephemeris="builtin")
        expected = (times.tdb + delay).jd
        np.testing.assert_allclose(bjd_tdb(jd, ra, dec, place), expected, rtol=0, atol=1.5 * np.spacing(2460000.0))


def test_the_centre_of_the_earth_is_off_by_21_ms_at_most() -> None:
    jd = 2458107.5 + np.arange(0.0, 1.0, 1.0 / 24.0)
    difference = (bjd_tdb(jd, 31.04, 46.69, WHIPPLE) - bjd_tdb(jd, 31.04, 46.69)) * 86400.0
    assert 0.005 < np.abs(difference).max() < 0.0215


@pytest.mark.filterwarnings("ignore:.*dubious year")  # leap seconds to come are not known
def test_no_network_and_no_limit_of_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    far = np.array([2445000.5, 2458107.5, 2462500.5])
    assert np.isfinite(bjd_tdb(far, 31.04, 46.69, WHIPPLE)).all()


@pytest.mark.parametrize(("ra", "dec"), [(np.nan, 0.0), (0.0, np.inf), (0.0, 91.0)])
def test_impossible_fields_are_refused(ra: float, dec: float) -> None:
    with pytest.raises(UnusableDataError, match="field"):
        bjd_tdb(np.array([2458107.5]), ra, dec)


def test_times_must_be_numbers() -> None:
    with pytest.raises(UnusableDataError, match="1 of 2 times"):
        bjd_tdb(np.array([2458107.5, np.nan]), 0.0, 0.0)
