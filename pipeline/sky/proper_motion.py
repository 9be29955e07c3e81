"""Where stars of a catalogue stand at another time."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.sky.astrometry.sphere import directions, unit_vectors

J2000_JD = 2451545.0
DAYS_PER_YEAR = 365.25  # Julian
MAS_PER_RADIAN = 180.0 / np.pi * 3.6e6

Floats = NDArray[np.float64]


def moved(radec: Floats, pm_ra_mas: Floats, pm_dec_mas: Floats, ref_epoch: Floats, jd: ArrayLike) -> Floats:
    """Places at a time: straight on along the tangent, which holds at the poles too.

    Parallax (at most 0.8 arcsec) and the change of perspective (Barnard's star: 0.001 arcsec a year squared) are left
    out. An unknown motion counts as none.

    Args:
        radec: float64[n, 2] at the reference epoch, ICRS, degrees.
        pm_ra_mas: float64[n], mas a year, times cos(declination); NaN unknown.
        pm_dec_mas: float64[n], mas a year; NaN unknown.
        ref_epoch: float64[n], Julian year.
        jd: the time, JD; days count alike in TDB and in UTC here.

    Returns:
        float64[n, 2], right ascension (0 to 360) and declination, degrees.
    """
    ra, dec = np.radians(radec).T
    years = (np.asarray(jd, dtype=np.float64) - J2000_JD) / DAYS_PER_YEAR - (ref_epoch - 2000.0)
    east, north = (np.nan_to_num(motion) * years / MAS_PER_RADIAN for motion in (pm_ra_mas, pm_dec_mas))
    eastward = np.column_stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)])
    northward = np.column_stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    return directions(unit_vectors(radec) + east[:, None] * eastward + north[:, None] * northward)
