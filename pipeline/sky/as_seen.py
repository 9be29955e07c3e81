"""A field as it was seen: the times of its light, and where it stood above the horizon."""

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.horizontal import airmass, altitude_azimuth
from pipeline.sky.times import Location, Observer, check_seen, observer

COLUMNS = (
    *("bjd_tdb", "hjd_utc", "jd_tdb", "observer_x", "observer_y", "observer_z"),
    *("airmass", "altitude_deg", "azimuth_deg"),
)


def as_seen(
    jd_utc: NDArray[np.float64], ra_deg: float, dec_deg: float, location: Location | None
) -> dict[str, NDArray[np.float64]]:
    """Columns of table image that follow from time, pointing and place: float64[t] each.

    ``bjd_tdb`` and ``hjd_utc`` are those of the field's centre. A star two degrees from it lies up to 17 s off; its
    own BJD(TDB) is ``jd_tdb`` + (observer_x, observer_y, observer_z) · (the star's direction), light-days on ICRS axes.
    ``airmass`` is the centre's too, NaN below the horizon: two degrees lower it is 6 % more at airmass 2.

    Args:
        jd_utc: float64[t], mid-exposure, JD(UTC), days.
        ra_deg: right ascension of the field's centre, ICRS, degrees.
        dec_deg: declination, degrees.
        location: east longitude and latitude, degrees, and height above the ellipsoid, m. Without one the times are
            those of the Earth's centre, up to 21 ms off, and the three columns of the horizon are left out.

    Raises:
        UnusableDataError: coordinates or times that are not finite, or a declination or latitude beyond ±90 degrees.
    """
    check_seen(jd_utc, ra_deg, dec_deg, location)
    here = observer(jd_utc, location)
    columns = {"bjd_tdb": here.bjd_tdb(ra_deg, dec_deg), "hjd_utc": here.hjd_utc(ra_deg, dec_deg)} | _of_observer(here)
    if location is not None:
        altitude, azimuth = altitude_azimuth(jd_utc, ra_deg, dec_deg, location)
        columns |= {"airmass": airmass(altitude), "altitude_deg": altitude, "azimuth_deg": azimuth}
    return columns


def unpointed(jd_utc: NDArray[np.float64], location: Location | None) -> dict[str, NDArray[np.float64]]:
    """Those of the columns that need no pointing: enough for the BJD of every star once the field is solved.

    Arguments and errors as those of `as_seen`.
    """
    return _of_observer(observer(jd_utc, location))


def _of_observer(here: Observer) -> dict[str, NDArray[np.float64]]:
    x, y, z = here.barycentric.T
    return {"jd_tdb": here.jd_tdb, "observer_x": x, "observer_y": y, "observer_z": z}
