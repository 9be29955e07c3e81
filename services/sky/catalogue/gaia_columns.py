"""Gaia's columns: what a table must have to be a catalogue of stars, and stars from such a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.sky.catalogue.catalogue_stars import CatalogueStars

NUMBERS = {  # CatalogueStars by Gaia's names
    "ra_deg": "ra",
    "dec_deg": "dec",
    "pm_ra_mas": "pmra",
    "pm_dec_mas": "pmdec",
    "parallax_mas": "parallax",
    "g_mag": "phot_g_mean_mag",
    "bp_mag": "phot_bp_mean_mag",
    "rp_mag": "phot_rp_mean_mag",
    "ref_epoch": "ref_epoch",
}
SOURCE_ID, VARIABLE_FLAG, VARIABLE = "source_id", "phot_variable_flag", "VARIABLE"
REQUIRED = (SOURCE_ID, "ra", "dec", "phot_g_mean_mag")
ALL = (SOURCE_ID, *NUMBERS.values(), VARIABLE_FLAG)
REF_EPOCH = 2016.0  # of Gaia DR3, where a table does not tell
MAGNITUDES = (-5.0, 40.0)  # Sirius is -1.5; Gaia ends at 22
NAMES_SHOWN = 12


class TableProblemError(ValueError):
    """A table is no catalogue of stars; the message says what was found."""


def stars_of(table: Mapping[str, Any], required: Sequence[str] = REQUIRED) -> CatalogueStars:
    """Stars of a table's columns, by name; masked values and empty places are NaN.

    Args:
        table: arrays of n values, masked or not, by Gaia's names in any case.
        required: columns that must be there.

    Raises:
        TableProblemError: columns are missing, ids are no integers, or places and magnitudes cannot be.
    """
    columns = {name.lower(): table[name] for name in table}
    missing = [name for name in required if name not in columns]
    if missing:
        shown = ", ".join(list(table)[:NAMES_SHOWN]) or "none"
        raise TableProblemError(f"column {', '.join(missing)} is missing; columns found: {shown}")
    ids = _ids(columns[SOURCE_ID])
    numbers = {
        field: float_column(columns[name], name) if name in columns else np.full(ids.size, np.nan)
        for field, name in NUMBERS.items()
    }
    numbers["ref_epoch"] = np.where(np.isfinite(numbers["ref_epoch"]), numbers["ref_epoch"], REF_EPOCH)
    _check(numbers)
    return CatalogueStars.joined(
        [CatalogueStars(source_id=ids, variable=_variable(columns.get(VARIABLE_FLAG), ids.size), **numbers)]
    )


def _ids(values: Any) -> NDArray[np.int64]:
    array = np.ma.asarray(values)
    # As a float64 an id of 19 digits would lose its last three.
    if array.dtype.kind not in "iu" or np.ma.getmaskarray(array).any():
        kind = "has empty places" if array.dtype.kind in "iu" else f"is of type {array.dtype}"
        raise TableProblemError(f"column {SOURCE_ID} {kind}: expected whole numbers")
    return np.asarray(array.data, dtype=np.int64)


def float_column(values: Any, name: str) -> NDArray[np.float64]:
    """Values of a column as float64[n]; NaN where there is none.

    Raises:
        TableProblemError: they are no numbers.
    """
    try:
        array: Any = np.ma.asarray(values).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TableProblemError(f"column {name} holds no numbers: {error}") from error
    return np.asarray(array.filled(np.nan), dtype=np.float64)


def _variable(values: Any, size: int) -> NDArray[np.bool_]:
    if values is None:
        return np.zeros(size, dtype=np.bool_)
    array = np.ma.asarray(values)
    if array.dtype.kind == "b":
        return np.asarray(array.filled(False), dtype=np.bool_)
    texts = (value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist())
    return np.array([text.strip().upper() == VARIABLE for text in texts], dtype=np.bool_)


def _check(numbers: Mapping[str, NDArray[np.float64]]) -> None:
    ra, dec, g = numbers["ra_deg"], numbers["dec_deg"], numbers["g_mag"]
    nowhere = ~((ra >= 0.0) & (ra <= 360.0) & (np.abs(dec) <= 90.0))
    if nowhere.any():
        first = int(np.argmax(nowhere))
        raise TableProblemError(
            f"{int(nowhere.sum())} of {ra.size} places are nowhere on the sky, the first at ra = {ra[first]}, "
            f"dec = {dec[first]}: expected degrees, 0 to 360 and -90 to 90"
        )
    wrong = np.isfinite(g) & ((g < MAGNITUDES[0]) | (g > MAGNITUDES[1]))
    if wrong.any():
        raise TableProblemError(f"phot_g_mean_mag is {g[wrong][0]} in {int(wrong.sum())} places: that is no magnitude")
