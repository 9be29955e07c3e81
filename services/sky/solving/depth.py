"""How deep a catalogue is to be asked so that a part of the sky gives about so many stars."""

import math

import numpy as np

# Gaia's stars a square degree brighter than G, mean of the sky; the poles have a third, the plane five times more.
COUNT_G = (8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0)
COUNT = (1.2, 8.5, 70.0, 440.0, 2000.0, 7500.0, 22000.0)


def area(radius_deg: float) -> float:
    """Square degrees of a circle on the sphere."""
    return 2.0 * math.pi * (1.0 - math.cos(math.radians(min(radius_deg, 180.0)))) * math.degrees(1.0) ** 2


def limit_for(density: float) -> float:
    """G, from 8 to 20, down to which there are so many stars a square degree."""
    return float(np.interp(math.log10(density), np.log10(COUNT), COUNT_G))
