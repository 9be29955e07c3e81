"""Places on the sky as mounts count them."""

from datetime import datetime

import erfa  # type: ignore[import-untyped]
import numpy as np

OTHER, OF_DATE, J2000 = 0, 1, 2  # ASCOM's EquatorialCoordinateType
ARCSEC_A_DEGREE = 3600.0


def as_mount_has_it(radec: tuple[float, float], system: int, when: datetime) -> tuple[float, float]:
    """Right ascension and declination (degrees) that a mount of this system shows for a place (ICRS, degrees).

    Most count by the equator and equinox of date, a third of a degree from ICRS in 2026. It is the apparent place seen
    from the Earth's centre, within an arcsecond (IAU 2006/2000A, ``erfa.atci13``). ``when``: UTC; TT is 70 s from it,
    which precession and aberration do not see.

    Raises:
        ValueError: the system is none of these (B1950, J2050).
    """
    if system == J2000:
        return radec
    if system not in (OTHER, OF_DATE):
        raise ValueError(f"equatorial system {system}: expected {OF_DATE} (of date) or {J2000} (J2000)")
    day = when.timestamp() / 86_400.0 + 2440587.5
    ra, dec, equation = erfa.atci13(*np.radians(radec), 0.0, 0.0, 0.0, 0.0, day, 0.0)
    return float(np.degrees(erfa.anp(ra - equation))), float(np.degrees(dec))


def apart_arcsec(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Angle between two places, both in degrees."""
    return float(np.degrees(erfa.seps(*np.radians(one), *np.radians(other))) * ARCSEC_A_DEGREE)
