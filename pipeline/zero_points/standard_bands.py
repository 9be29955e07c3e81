"""Standard bands, and what Gaia's G, BP and RP say of a star's magnitude in them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Relation:
    """G - band = a polynomial of BP - RP, lowest power first; its scatter over stars, mag; colours where it holds."""

    coefficients: tuple[float, ...]
    scatter: float
    low: float
    high: float


BANDS = ("B", "V", "Rc", "Ic", "g", "r", "i", "z")
# Gaia DR3 documentation 1.3, section 5.5.1, tables 5.9 and 5.10; those of V, Rc, Ic, g, r and i are Riello et al. 2021
# (A&A 649, A3), tables C.1 and C.2. Johnson-Cousins is Stetson's (Vega), g, r and i are SDSS DR12's (AB). B above 1.75,
# Rc and r above 2.0 hold for M giants alone; whether g does above 2.0 is not told apart here: they end there.
RELATIONS = {
    "B": Relation((0.01448, -0.6874, -0.3604, 0.06718, -0.006061), 0.0633, -0.5, 1.75),
    "V": Relation((-0.02704, 0.01424, -0.2156, 0.01426), 0.03017, -0.5, 5.0),
    "Rc": Relation((-0.02275, 0.3961, -0.1243, -0.01396, 0.003775), 0.03167, 0.0, 2.0),
    "Ic": Relation((0.01753, 0.76, -0.0991), 0.03765, -0.5, 4.5),
    "g": Relation((0.2199, -0.6365, -0.1548, 0.0064), 0.0745, 0.3, 2.0),
    "r": Relation((-0.09837, 0.08592, 0.1907, -0.1701, 0.02263), 0.03776, 0.0, 2.0),
    "i": Relation((-0.293, 0.6404, -0.09609, -0.002104), 0.04092, 0.5, 2.0),
}
# Names that cameras write, without capitals where no other band differs from it by them.
FILTER_NAMES = {
    "B": ("B", "Bj", "Johnson B", "Bessell B", "Bessel B"),
    "V": ("V", "Vj", "Johnson V", "Bessell V", "Bessel V"),
    "Rc": ("R", "Rc", "Cousins R", "Bessell R", "Bessel R"),
    "Ic": ("I", "Ic", "Cousins I", "Bessell I", "Bessel I"),
    "g": ("g", "gp", "g'", "SG", "SDSS g", "sdss-g", "Sloan g"),
    "r": ("r", "rp", "r'", "SR", "SDSS r", "sdss-r", "Sloan r"),
    "i": ("i", "ip", "i'", "SI", "SDSS i", "sdss-i", "Sloan i"),
    "z": ("z", "zp", "z'", "zs", "SZ", "SDSS z", "sdss-z", "Sloan z"),
}
_BAND_OF = {name: band for band, names in FILTER_NAMES.items() for name in names}


def band_of_filter(name: str) -> str | None:
    """The standard band that a filter of this name is made for; None for a clear one, or one that nobody knows."""
    return _BAND_OF.get(name.strip())


def by_relation(band: str, g_mag: Floats, colour: Floats) -> Floats:
    """Magnitudes in a band by Gaia's G and BP - RP: float64[n]; NaN outside the relation's colours, or without one."""
    relation = RELATIONS.get(band)
    if relation is None:
        return np.full(g_mag.shape, np.nan)
    inside = (colour >= relation.low) & (colour <= relation.high)
    difference = np.polynomial.polynomial.polyval(colour, relation.coefficients)
    return np.asarray(np.where(inside, g_mag - difference, np.nan))


def index_by_relation(first: str, second: str, colour: Floats) -> Floats:
    """first - second of a star of this BP - RP, mag: float64[n]; NaN where one of the relations does not hold."""
    zero = np.zeros_like(colour)
    return np.asarray(by_relation(first, zero, colour) - by_relation(second, zero, colour))
