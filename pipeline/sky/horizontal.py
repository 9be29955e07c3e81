"""Where a field stands above the horizon, and through how much air it is seen."""

import warnings

import erfa  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.sky.times import check_seen


def altitude_azimuth(
    jd_utc: NDArray[np.float64], ra_deg: float, dec_deg: float, location: tuple[float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Altitude and azimuth of a field, without refraction (ERFA's atco13; astropy's AltAz with no pressure).

    UTC stands for UT1 and the pole for its mean: 15 arcsec for each second of UT1 − UTC, which is 0.9 s at most and
    below 0.6 s since 2010. The table of the Earth's rotation that would mend it takes a second to read.

    Args:
        jd_utc: float64[t], mid-exposure, JD(UTC), days.
        ra_deg: right ascension of the field's centre, ICRS, degrees.
        dec_deg: declination, degrees.
        location: east longitude and latitude, degrees, and height above the ellipsoid, m.

    Returns:
        float64[t] each, degrees; azimuth from north through east, 0 to 360.

    Raises:
        UnusableDataError: coordinates or times that are not finite, or a declination or latitude beyond ±90 degrees.
    """
    check_seen(jd_utc, ra_deg, dec_deg, location)
    day = np.floor(jd_utc)
    still, station = (0.0,) * 4, (np.radians(location[0]), np.radians(location[1]), location[2])
    no_rotation_data, no_air = (0.0,) * 3, (0.0,) * 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)  # leap seconds of years to come are unknown
        azimuth, zenith_distance, *_ = erfa.atco13(
            np.radians(ra_deg), np.radians(dec_deg), *still, day, jd_utc - day, no_rotation_data[0], *station,
            *no_rotation_data[1:], *no_air,
        )  # fmt: skip
    return 90.0 - np.degrees(zenith_distance), np.degrees(azimuth) % 360.0


def airmass(altitude_deg: ArrayLike) -> NDArray[np.float64]:
    """Relative air mass (Kasten & Young 1989, Applied Optics 28, 4735): 1 at zenith, 38 at the horizon.

    Args:
        altitude_deg: without refraction, degrees, any shape.

    Returns:
        float64 in its shape; NaN below the horizon.
    """
    altitude = np.asarray(altitude_deg, dtype=np.float64)
    above = np.where(altitude >= 0.0, altitude, np.nan)
    return np.asarray(1.0 / (np.sin(np.radians(above)) + 0.50572 * (above + 6.07995) ** -1.6364))
