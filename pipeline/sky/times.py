"""Times of an observation as seen from the Sun and from the barycentre of the solar system."""

import warnings
from dataclasses import dataclass

import erfa  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError

LIGHT_DAYS_PER_AU = 1.0 / erfa.DC  # time in which light passes an astronomical unit
WGS84 = 1  # ERFA's number of the ellipsoid


Location = tuple[float, float, float]  # east longitude and latitude, degrees, and height above the ellipsoid, m
Station = tuple[float, float, float]  # the same in radians, radians, m
TwoPart = tuple[NDArray[np.float64], NDArray[np.float64]]  # days, whose sum is a Julian date


@dataclass(frozen=True)
class Observer:
    """When and where light was caught; ``[t]`` and ``[t, 3]``.

    Of any star in direction n, a unit vector on the same axes, BJD(TDB) is ``tdb + barycentric · n`` and HJD(UTC)
    ``utc + heliocentric · n`` (Eastman, Siverd & Gaudi 2010).
    """

    utc: NDArray[np.float64]  # JD(UTC)
    tdb: TwoPart  # JD(TDB)
    barycentric: NDArray[np.float64]  # light-days, ICRS axes
    heliocentric: NDArray[np.float64]

    @property
    def jd_tdb(self) -> NDArray[np.float64]:
        """JD(TDB) in one number, which resolves 40 µs."""
        return np.asarray(self.tdb[0] + self.tdb[1])

    def bjd_tdb(self, ra_deg: float, dec_deg: float) -> NDArray[np.float64]:
        """BJD(TDB) of light from (ra, dec), ICRS, degrees: float64[t]."""
        return np.asarray(self.tdb[0] + (self.tdb[1] + self.barycentric @ _direction(ra_deg, dec_deg)))

    def hjd_utc(self, ra_deg: float, dec_deg: float) -> NDArray[np.float64]:
        """HJD(UTC) of light from (ra, dec), ICRS, degrees: float64[t]."""
        return np.asarray(self.utc + self.heliocentric @ _direction(ra_deg, dec_deg))


def observer(jd_utc: NDArray[np.float64], location: Location | None = None) -> Observer:
    """Where an observer is in the solar system.

    The ephemeris is ERFA's (epv00): good to a millisecond. Without a location the centre of the Earth stands for it,
    which is wrong by up to 21 ms. UTC stands for UT1 and the pole for its mean: a station is at most 0.9 s of the
    Earth's rotation off, which light passes in 1.4 µs. The same by astropy's own classes reads a table of the Earth's
    rotation and takes a second before the first time.

    Args:
        jd_utc: float64[t], mid-exposure, JD(UTC), days.
        location: east longitude and latitude, degrees, and height above the ellipsoid, m.

    Raises:
        UnusableDataError: times that are not finite, a place that is none, or a latitude beyond ±90 degrees.
    """
    check_seen(jd_utc, 0.0, 0.0, location)
    station = None if location is None else (np.radians(location[0]), np.radians(location[1]), location[2])
    day = np.floor(jd_utc)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)  # leap seconds of years to come are unknown
        tt = erfa.taitt(*erfa.utctai(day, jd_utc - day))
    tdb = erfa.tttdb(*tt, _tdb_minus_tt(jd_utc, tt, station))
    from_sun, from_barycentre = erfa.epv00(*tdb)
    on_earth = 0.0 if station is None else _station(jd_utc, tt, station)
    return Observer(
        utc=np.asarray(jd_utc, dtype=np.float64),
        tdb=tdb,
        barycentric=(from_barycentre["p"] + on_earth) * LIGHT_DAYS_PER_AU,
        heliocentric=(from_sun["p"] + on_earth) * LIGHT_DAYS_PER_AU,
    )


def bjd_tdb(
    jd_utc: NDArray[np.float64], ra_deg: float, dec_deg: float, location: Location | None = None
) -> NDArray[np.float64]:
    """BJD(TDB) of a field, as `observer` has it: float64[t], days (a float64 of this size resolves 40 µs).

    Args:
        jd_utc: float64[t], mid-exposure, JD(UTC), days.
        ra_deg: right ascension of the field's centre, ICRS, degrees.
        dec_deg: declination, degrees.
        location: east longitude and latitude, degrees, and height above the ellipsoid, m.

    Raises:
        UnusableDataError: coordinates or times that are not finite, or a declination or latitude beyond ±90 degrees.
    """
    check_seen(jd_utc, ra_deg, dec_deg, location)
    return observer(jd_utc, location).bjd_tdb(ra_deg, dec_deg)


def _direction(ra_deg: float, dec_deg: float) -> NDArray[np.float64]:
    return np.asarray(erfa.s2c(np.radians(ra_deg), np.radians(dec_deg)))


def check_seen(jd_utc: NDArray[np.float64], ra_deg: float, dec_deg: float, location: Location | None) -> None:
    """Refuse a field that is nowhere on the sky, a place that is nowhere on the Earth, and times that are none.

    Arguments as those of `bjd_tdb`.

    Raises:
        UnusableDataError: coordinates or times that are not finite, or a declination or latitude beyond ±90 degrees.
    """
    place = (0.0, 0.0, 0.0) if location is None else location
    if not np.isfinite([ra_deg, dec_deg, *place]).all() or abs(dec_deg) > 90.0 or abs(place[1]) > 90.0:
        raise UnusableDataError(
            f"field ({ra_deg}, {dec_deg}) deg seen from {location}: expected finite numbers, and at most 90 deg of "
            "declination and latitude"
        )
    if not np.isfinite(jd_utc).all():
        raise UnusableDataError(f"{int((~np.isfinite(jd_utc)).sum())} of {jd_utc.size} times are not finite numbers")


def _tdb_minus_tt(jd_utc: NDArray[np.float64], tt: TwoPart, station: Station | None) -> NDArray[np.float64]:
    """TDB − TT, s: at most 2 ms, of which 2 µs hang on the station."""
    longitude = 0.0 if station is None else station[0]
    x, y, z = (0.0, 0.0, 0.0) if station is None else erfa.gd2gc(WGS84, *station)
    return np.asarray(erfa.dtdb(*tt, (jd_utc - 0.5) % 1.0, longitude, np.hypot(x, y) / 1000.0, z / 1000.0))


def _station(jd_utc: NDArray[np.float64], tt: TwoPart, station: Station) -> NDArray[np.float64]:
    """Where the station is, seen from the Earth's centre: float64[t, 3], GCRS, astronomical units."""
    x, y, cio = erfa.xys00b(*tt)  # the short series: a milliarcsecond, 3 cm at the Earth's surface
    angle = erfa.era00(jd_utc, 0.0)
    position = erfa.pvtob(*station, 0.0, 0.0, 0.0, angle)["p"]
    return np.asarray(erfa.trxp(erfa.c2ixys(x, y, cio), position) / erfa.DAU)
