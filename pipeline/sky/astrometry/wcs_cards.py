"""A WCS as FITS header cards (Calabretta and Greisen 2002; SIP: Shupe et al. 2005), and as lines of text."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry.distortion import inverse_polynomials
from pipeline.sky.astrometry.projection import NATIVE_POLE
from pipeline.units import positive_angle

Floats = NDArray[np.float64]
Cards = dict[str, str | float | int]
Parameters = tuple[tuple[float, float], tuple[float, float], Floats, Floats | None, Floats | None]

TYPES = (("RA---TAN", "DEC--TAN"), ("RA---TAN-SIP", "DEC--TAN-SIP"))
NATIVE_POLE_TOLERANCE = 1e-9  # degrees


def cards_of(
    crpix: tuple[float, float], crval: tuple[float, float], cd: Floats, a: Floats | None, b: Floats | None
) -> Cards:
    """FITS keywords and values of a WCS with the parameters of `SkyWcs` (0-based crpix)."""
    sip = a is not None and b is not None
    cards: Cards = {"WCSAXES": 2}
    cards["CTYPE1"], cards["CTYPE2"] = TYPES[sip]
    cards |= {"CUNIT1": "deg", "CUNIT2": "deg"}
    cards |= {"CRPIX1": float(crpix[0]) + 1.0, "CRPIX2": float(crpix[1]) + 1.0}
    cards |= {"CRVAL1": float(crval[0]), "CRVAL2": float(crval[1])}
    cards |= {f"CD{i + 1}_{j + 1}": float(cd[i, j]) for i in (0, 1) for j in (0, 1)}
    cards |= {"LONPOLE": NATIVE_POLE, "LATPOLE": float(crval[1]), "RADESYS": "ICRS"}
    if a is not None and b is not None:
        reach = max(abs(crpix[0]), abs(crpix[1]), 1.0)
        for name, polynomial in zip(("A", "B", "AP", "BP"), (a, b, *inverse_polynomials(a, b, reach)), strict=True):
            cards[f"{name}_ORDER"] = len(polynomial) - 1
            for i, j in zip(*np.nonzero(polynomial), strict=True):
                cards[f"{name}_{i}_{j}"] = float(polynomial[i, j])
    return cards


def parameters_of(cards: Mapping[str, object]) -> Parameters:
    """(crpix, 0-based, crval, cd, a, b) of FITS keywords and values.

    Raises:
        UnusableDataError: a keyword is missing, the projection is another one, or the plane is turned by LONPOLE.
    """
    types = (str(cards.get("CTYPE1")).strip(), str(cards.get("CTYPE2")).strip())
    if types not in TYPES:
        raise UnusableDataError(
            f"CTYPE1, CTYPE2 are {types[0]!r}, {types[1]!r}, expected {TYPES[0]} or {TYPES[1]}: solve the image again"
        )
    pole = _number(cards, "LONPOLE", NATIVE_POLE)
    if abs(pole - NATIVE_POLE) > NATIVE_POLE_TOLERANCE:
        raise UnusableDataError(f"LONPOLE is {pole:g}, expected {NATIVE_POLE:g}: solve the image again")
    crpix = (_number(cards, "CRPIX1") - 1.0, _number(cards, "CRPIX2") - 1.0)
    crval = (positive_angle(_number(cards, "CRVAL1")), _number(cards, "CRVAL2"))
    cd = _matrix(cards)
    if np.linalg.det(cd) == 0:
        raise UnusableDataError(f"CD is {cd.tolist()}, expected a matrix that can be inverted: solve the image again")
    if "A_ORDER" not in cards or "B_ORDER" not in cards:
        return crpix, crval, cd, None, None
    return crpix, crval, cd, _polynomial(cards, "A"), _polynomial(cards, "B")


def _matrix(cards: Mapping[str, object]) -> Floats:
    """float64[2, 2], degrees a pixel: CD, else PC with CDELT, else CDELT turned by CROTA2."""
    if any(f"CD{i}_{j}" in cards for i in (1, 2) for j in (1, 2)):
        return np.array([[_number(cards, f"CD{i}_{j}", 0.0) for j in (1, 2)] for i in (1, 2)])
    steps = np.array([_number(cards, f"CDELT{i}") for i in (1, 2)])
    if any(f"PC{i}_{j}" in cards for i in (1, 2) for j in (1, 2)):
        turn = np.array([[_number(cards, f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)])
        return np.asarray(steps[:, None] * turn)
    angle = np.radians(_number(cards, "CROTA2", 0.0))
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[steps[0] * cosine, -steps[1] * sine], [steps[0] * sine, steps[1] * cosine]])


def text_of(cards: Mapping[str, str | float | int]) -> str:
    """Cards as lines ``KEYWORD = value``; numbers in as many digits as float64 needs."""
    return "\n".join(f"{key:<8}= {_shown(value)}" for key, value in cards.items())


def cards_in(text: str) -> Mapping[str, object]:
    """Keywords and values of lines of FITS header cards."""
    from astropy.io.fits import Header

    header: Mapping[str, object] = Header.fromstring(text, sep="\n")
    return header


def _shown(value: str | float | int) -> str:
    return f"'{value:<8}'" if isinstance(value, str) else repr(value).upper()


def _polynomial(cards: Mapping[str, object], name: str) -> Floats:
    order = int(_number(cards, f"{name}_ORDER"))
    found = np.zeros((order + 1, order + 1))
    for i in range(order + 1):
        for j in range(order + 1 - i):
            found[i, j] = _number(cards, f"{name}_{i}_{j}", 0.0)
    return found


def _number(cards: Mapping[str, object], key: str, default: float | None = None) -> float:
    value = cards.get(key, default)
    try:
        number = float(str(value).replace("D", "E"))
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise UnusableDataError(f"{key} is {value!r}, expected a number: solve the image again")
    return number
