"""A camera's WCS by the angle at which it was mounted."""

import numpy as np

from pipeline.sky.astrometry.sky_wcs import SkyWcs


def made_wcs(
    angle_deg: float = 0.0,
    parity: float = -1.0,
    dec: float = 46.7,
    *,
    ra: float = 31.0,
    scale: float = 1.0,
    centre: tuple[float, float] = (50.0, 50.0),
) -> SkyWcs:
    """Pixels of ``scale`` arcsec, +y at ``angle_deg`` from north through east; parity -1 as on the sky, 1 mirrored."""
    angle = np.radians(angle_deg)
    up = np.array([np.sin(angle), np.cos(angle)])  # to the east, to the north
    right = parity * np.array([np.cos(angle), -np.sin(angle)])
    return SkyWcs(centre, (ra, dec), scale / 3600.0 * np.column_stack([right, up]))
