"""Electrons per ADU of a header, apart from the gain that is set at the camera; and its read noise."""

import re

from astropy.io import fits

from services.ingest import cards
from services.ingest.dialect import Dialect

GAIN_RANGE = (0.01, 99.9)  # e-/ADU
LARGEST_INTEGER_GAIN = 9  # a larger whole number in GAIN is a CMOS camera's gain setting unless it says e-/ADU
READ_NOISE_RANGE_E = (0.01, 1000.0)
READ_NOISE_UNITS = ("e-", "e", "electrons")
GAIN_UNITS = ("e-/adu", "e/adu", "e-/dn", "electrons/adu")

_IN_ADU = re.compile(r"(?<![/\w])(adu|dn|counts)(?![/\w])")


def amplifier_gain(header: fits.Header, name: str, words: Dialect) -> float | None:
    """Electrons per ADU of one of several amplifiers, by the card of this name; without one, as of a frame."""
    return cards.number(header, (name,), *GAIN_RANGE, GAIN_UNITS)[0] if name else gain_of_header(header, words)[0]


def gain_of_header(header: fits.Header, words: Dialect) -> tuple[float | None, str | None, tuple[str, ...]]:
    """(electrons per ADU, keyword, notes): EGAIN first, as GAIN is the gain setting in many CMOS cameras' headers."""
    for key in words.keywords.gain:
        value = cards.as_number(cards.raw(header, key), GAIN_UNITS)
        if value and words.units.get(key) == "ADU/e-":
            value = 1.0 / value
        if value is not None and GAIN_RANGE[0] <= value <= GAIN_RANGE[1]:
            return value, key, ()
    gain, told_by = cards.number(header, words.keywords.gain_or_setting, *GAIN_RANGE, GAIN_UNITS)
    if gain is None or told_by is None:
        return None, None, ()
    told = f"{cards.raw(header, told_by)} {cards.comment(header, told_by)}".lower()
    is_in_electrons = any(unit in told for unit in ("e-", "electron", "e/"))
    is_setting = gain.is_integer() and (words.gain_is_setting or gain > LARGEST_INTEGER_GAIN) and not is_in_electrons
    if is_setting or "adu/e" in told:
        return None, None, ()
    if gain.is_integer() and not is_in_electrons:
        doubt = f"{told_by} is a whole number without a unit, taken for e-/ADU: if it is a setting, set gain"
        return gain, told_by, (doubt,)
    return gain, told_by, ()


def read_noise_of_header(
    header: fits.Header, words: Dialect, gain: float | None
) -> tuple[float | None, str | None, tuple[str, ...]]:
    """(electrons, keyword, notes); what says that it is in ADU is multiplied by the ``gain``, else left out."""
    for key in words.keywords.read_noise:
        told = f"{cards.raw(header, key)} {cards.comment(header, key)}".lower()
        value = cards.as_number(cards.raw(header, key), (*READ_NOISE_UNITS, "adu", "dn"))
        if value is not None and _IN_ADU.search(told):
            if gain is None:
                return None, None, (f"{key} is in ADU, and no card tells the gain: it is left out",)
            value *= gain
        if value is not None and READ_NOISE_RANGE_E[0] <= value <= READ_NOISE_RANGE_E[1]:
            return value, key, ()
    return None, None, ()
