"""Times of an observation: mid-exposure, and as seen from the barycentre of the solar system."""

import warnings

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UnusableDataError

SECONDS_PER_DAY = 86400.0


def mid_exposure_times(start_utc_jd: ArrayLike, exposure_s: ArrayLike) -> NDArray[np.float64]:
    """JD(UTC) of the middle of each exposure.

    Args:
        start_utc_jd: start of the exposure, JD(UTC), days.
        exposure_s: exposure time, s.
    """
    half = 0.5 * np.asarray(exposure_s, dtype=np.float64) / SECONDS_PER_DAY
    return np.asarray(np.asarray(start_utc_jd, dtype=np.float64) + half)


def bjd_tdb(
    jd_utc: NDArray[np.float64],
    ra_deg: float,
    dec_deg: float,
    location: tuple[float, float, float] | None = None,
) -> NDArray[np.float64]:
    """BJD(TDB): when the light of a field would have reached the barycentre (Eastman, Siverd & Gaudi 2010).

    The ephemeris built into astropy is used, and Earth's rotation from its bundled table, never the network: good to
    a millisecond. Without a location the centre of the Earth stands for it, which is wrong by up to 21 ms.

    Args:
        jd_utc: float64[t], mid-exposure, JD(UTC), days.
        ra_deg: right ascension of the field's centre, ICRS, degrees.
        dec_deg: declination, degrees.
        location: east longitude and latitude, degrees, and height above the ellipsoid, m.

    Returns:
        float64[t], days (a float64 of this size resolves 40 µs).

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
    if location is None:
        site = EarthLocation.from_geocentric(0.0, 0.0, 0.0, unit=u.m)
    else:
        site = EarthLocation.from_geodetic(location[0] * u.deg, location[1] * u.deg, location[2] * u.m)
    # Beyond its tables astropy warns of a polar motion it takes for the mean: nanoseconds here.
    offline = iers.conf.set_temp("auto_download", False)
    any_date = iers.conf.set_temp("iers_degraded_accuracy", "ignore")
    with offline, any_date, warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        times = Time(jd_utc, format="jd", scale="utc", location=site)
        delay = times.light_travel_time(SkyCoord(ra_deg * u.deg, dec_deg * u.deg), ephemeris="builtin")
        return np.asarray((times.tdb + delay).jd, dtype=np.float64)
