import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from pipeline.errors import UnusableDataError
from pipeline.sky.as_seen import COLUMNS, as_seen, unpointed
from pipeline.sky.times import bjd_tdb

Location = tuple[float, float, float]

DELINGHA, PARANAL, SIDING_SPRING = (97.56, 37.38, 3200.0), (-70.40, -24.63, 2635.0), (149.07, -31.27, 1165.0)
SECONDS_PER_DAY = 86400.0
FIELD_RADIUS_DEG = 2.0


def nights(generator: np.random.Generator, place: Location, count: int = 12) -> Time:
    """Anytime from 2000 to 2024, at a place."""
    location = EarthLocation.from_geodetic(place[0] * u.deg, place[1] * u.deg, place[2] * u.m)
    return Time(2451545.0 + generator.uniform(0.0, 9000.0, count), format="jd", scale="utc", location=location)


def around(ra: float, dec: float, generator: np.random.Generator, count: int = 12) -> SkyCoord:
    """Stars within two degrees of a place, its rim included."""
    angle = generator.uniform(0.0, 360.0, count) * u.deg
    distance = np.linspace(0.0, FIELD_RADIUS_DEG, count) * u.deg
    return SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(angle, distance)


def own_bjd(seen: dict[str, np.ndarray], star: SkyCoord) -> np.ndarray:
    """What view `light_curve` computes of a star, as it computes it: [t]."""
    ra, dec = np.radians(star.ra.deg), np.radians(star.dec.deg)
    return (
        seen["jd_tdb"]
        + seen["observer_x"] * np.cos(dec) * np.cos(ra)
        + seen["observer_y"] * np.cos(dec) * np.sin(ra)
        + seen["observer_z"] * np.sin(dec)
    )


@pytest.mark.parametrize("place", [DELINGHA, PARANAL, SIDING_SPRING, None])
@pytest.mark.parametrize(("ra", "dec"), [(31.04, 46.69), (0.3, -1.0), (266.0, 23.5), (120.0, 88.9)])
def test_the_own_time_of_every_star_of_a_field(place: Location | None, ra: float, dec: float) -> None:
    """Against astropy, 10 ms over four degrees; without a place the Earth's centre stands for it, 21 ms off at most."""
    generator = np.random.default_rng(3)
    times = nights(generator, PARANAL if place is None else place)
    seen = as_seen(times.jd, ra, dec, place)
    off = []
    for star in around(ra, dec, generator):
        expected = times.tdb + times.light_travel_time(star, ephemeris="builtin")
        off.append((own_bjd(seen, star) - expected.jd) * SECONDS_PER_DAY)
    limit = 0.010 if place is not None else 0.0213
    assert np.abs(off).max() < limit
    if place is None:
        assert np.abs(off).max() > 0.005  # the limit of the sites proper would not hold


def test_a_fields_corner_is_seconds_away_from_its_centre() -> None:
    """2 degrees of 499 s: why a field's own time does not do for a transit's."""
    jd = 2457754.5 + np.arange(0.0, 365.25, 5.0)
    seen = as_seen(jd, 30.0, 10.0, None)
    corner = SkyCoord(32.0 * u.deg, 10.0 * u.deg)
    off = (own_bjd(seen, corner) - seen["bjd_tdb"]) * SECONDS_PER_DAY
    assert 15.0 < np.abs(off).max() < 17.5


@pytest.mark.parametrize("place", [DELINGHA, None])
def test_times_of_the_fields_centre(place: Location | None) -> None:
    """HJD(UTC) and BJD(TDB) against astropy to 1 ms with a place, 22 ms without."""
    generator = np.random.default_rng(4)
    times = nights(generator, DELINGHA if place is None else place)
    star = SkyCoord(250.0 * u.deg, -60.0 * u.deg)
    seen = as_seen(times.jd, 250.0, -60.0, place)
    light = times.light_travel_time(star, "heliocentric", ephemeris="builtin").to_value(u.day)
    limit = (0.001 if place is not None else 0.022) / SECONDS_PER_DAY
    np.testing.assert_allclose(seen["hjd_utc"], times.jd + light, rtol=0, atol=limit)
    barycentric = times.light_travel_time(star, ephemeris="builtin")
    np.testing.assert_allclose(seen["bjd_tdb"], (times.tdb + barycentric).jd, rtol=0, atol=limit)
    np.testing.assert_array_equal(seen["bjd_tdb"], bjd_tdb(times.jd, 250.0, -60.0, place))


def test_the_sun_is_a_few_seconds_from_the_barycentre() -> None:
    """HJD(UTC) + (TDB - UTC) differs from BJD(TDB) by the Sun's own path: light takes 5 s for two of its radii."""
    jd = 2451545.0 + np.arange(0.0, 9000.0, 30.0)
    seen = as_seen(jd, 10.0, -5.0, None)
    difference = (seen["bjd_tdb"] - seen["hjd_utc"] - (seen["jd_tdb"] - jd)) * SECONDS_PER_DAY
    assert 1.0 < np.abs(difference).max() < 5.1


def test_height_and_airmass_are_astropys_and_need_a_place() -> None:
    """Airmass within 0.1 % of astropy's altitude put into Kasten and Young's formula, down to 10 degrees."""
    generator = np.random.default_rng(6)
    times = nights(generator, PARANAL, 60)
    with iers.conf.set_temp("auto_download", False):
        expected = SkyCoord(31.0, -20.0, unit="deg").transform_to(AltAz(obstime=times, location=times.location))
    seen = as_seen(times.jd, 31.0, -20.0, PARANAL)
    assert set(seen) == set(COLUMNS)
    altitude = expected.alt.deg
    high = altitude > 10.0
    formula = 1.0 / (np.sin(np.radians(altitude[high])) + 0.50572 * (altitude[high] + 6.07995) ** -1.6364)
    assert high.sum() > 10
    np.testing.assert_allclose(seen["airmass"][high], formula, rtol=1e-3)
    assert np.isnan(seen["airmass"][altitude < -0.1]).all()
    assert not {"airmass", "altitude_deg", "azimuth_deg"} & set(as_seen(times.jd, 31.0, -20.0, None))


def test_what_needs_no_pointing_is_known_without_one() -> None:
    jd = np.array([2458107.5, 2459107.7])
    seen, blind = as_seen(jd, 31.0, 46.0, DELINGHA), unpointed(jd, DELINGHA)
    assert set(blind) == {"jd_tdb", "observer_x", "observer_y", "observer_z"}
    for name, values in blind.items():
        np.testing.assert_array_equal(values, seen[name])


@pytest.mark.parametrize(
    ("jd", "dec", "place"),
    [(np.nan, 0.0, None), (2458000.5, 91.0, None), (2458000.5, np.nan, DELINGHA), (2458000.5, 0.0, (0.0, 91.0, 0.0))],
)
def test_what_cannot_be_is_refused(jd: float, dec: float, place: Location | None) -> None:
    with pytest.raises(UnusableDataError):
        as_seen(np.array([jd]), 0.0, dec, place)
