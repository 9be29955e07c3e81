"""Is a place on the Earth possible? Sidereal time, altitudes and the Sun from formulae good to a tenth of a degree.

That tells east from west. What is published of frames (airmass, times) comes from ERFA instead, see `horizontal`.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.units import signed_angle

Floats = NDArray[np.float64]

J2000 = 2451545.0


def sidereal_deg(jd_utc: Floats, longitude_deg: float) -> Floats:
    """Local mean sidereal time, degrees 0 to 360, at an east longitude (Meeus, Astronomical Algorithms, 12.4)."""
    return np.asarray((280.46061837 + 360.98564736629 * (jd_utc - J2000) + longitude_deg) % 360.0)


def sun(jd_utc: Floats) -> tuple[Floats, Floats]:
    """Right ascension and declination of the Sun, degrees, good to 0.01 (Astronomical Almanac, C5)."""
    days = jd_utc - J2000
    anomaly = np.radians(357.528 + 0.9856003 * days)
    longitude = np.radians(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2.0 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    ra = np.arctan2(np.cos(obliquity) * np.sin(longitude), np.cos(longitude))
    return np.degrees(ra) % 360.0, np.degrees(np.arcsin(np.sin(obliquity) * np.sin(longitude)))


def altitude_deg(jd_utc: Floats, ra_deg: Floats, dec_deg: Floats, longitude_deg: float, latitude_deg: float) -> Floats:
    """Altitude above the horizon, degrees, without refraction; ra, dec: float64[t] of date, precession aside."""
    hour_angle = np.radians(sidereal_deg(jd_utc, longitude_deg) - ra_deg)
    dec, latitude = np.radians(dec_deg), np.radians(latitude_deg)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    return np.asarray(np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))


def separation_of_angles(a: Floats, b: Floats) -> Floats:
    """Smallest difference of angles, degrees 0 to 180."""
    return np.abs(signed_angle(a - b))
