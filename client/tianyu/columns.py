"""From rows of views to astropy tables: units, times with their scales, NULL as masked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from numpy.typing import NDArray

UNITS = {
    "flux_forced": "adu", "flux_forced_error": "adu", "flux_limit": "adu", "mag_limit": "mag",
    "nearest_arcsec": "arcsec",
    "flux_raw": "adu", "flux_raw_error": "adu", "mag": "mag", "mag_error": "mag", "exposure_s": "s",
    "altitude_deg": "deg", "azimuth_deg": "deg", "rotation_deg": "deg", "fwhm": "pix", "sky": "adu", "sky_rms": "adu",
    "dx": "pix", "dy": "pix", "alignment_rms": "pix", "gain": "electron/adu", "ra": "deg", "dec": "deg", "x": "pix",
    "y": "pix", "template_x": "pix", "template_y": "pix", "temperature_c": "deg_C", "saturation": "adu",
    "background": "adu", "background_rms": "adu", "read_noise": "electron",
}  # fmt: skip
TIMES = {"jd_utc": "utc", "start_jd_utc": "utc", "bjd_tdb": "tdb", "bjd_tdb_source": "tdb", "hjd_utc": "utc"}
WHOLE_BUT_UNKNOWN = {"reference_group"}
TRUTHS = {"is_reference", "image_good", "aperture_best", "usable", "good", "is_source"}
DESCRIPTIONS = {
    "flag": "1 crowded, 2 blended, 4 saturated, 8 edge, 16 bad pixel, 32 no sky, 64 cosmic ray, 128 trail, "
    "256 not linear, 512 bad frame, 1024 missing, 2048 forced; 0: nothing is known against the measurement",
    "usable": "measured on a good frame, with no flag that speaks against a single point",
    "jd_utc": "mid-exposure, UTC",
    "bjd_tdb": "mid-exposure, barycentric, TDB, of the field's centre",
    "bjd_tdb_source": "mid-exposure, barycentric, TDB, of the star itself",
    "flux_raw": "aperture flux, sky subtracted",
    "flux_relative": "flux relative to the reference stars, median 1 in each observation",
    "flux_detrended": "flux_relative without the trends of the night",
    "flux_forced": "flux_raw on the night's median good frame, by the reference stars; no detection",
    "flux_limit": "3 standard deviations above flux_forced, or above 0; where flux_raw is below 3 errors",
    "mag": "Gaia's G by the zero point of the frame",
    "aperture": "index of the aperture",
}  # fmt: skip


def table_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table of rows; columns of times are `astropy.time.Time`, in their scale, as Julian dates."""
    result = Table()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    for name, values in zip(names, columns, strict=True):
        result[name] = _column(name, values)
    return result


def table_of_points(columns: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Table:
    """The same of columns that are arrays; NaN is what is not known."""
    result = Table()
    for name in names:
        values = columns[name]
        if name in TIMES:
            result[name] = _times(values, TIMES[name], DESCRIPTIONS.get(name))
            continue
        unknown = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)
        values = np.where(unknown, 0, values)
        if name in WHOLE_BUT_UNKNOWN:
            values = values.astype(np.int64)
        mask = unknown if unknown.any() else False
        result[name] = MaskedColumn(values, mask=mask, unit=UNITS.get(name), description=DESCRIPTIONS.get(name))
    return result


def _column(name: str, values: Sequence[Any]) -> Any:
    if name in TIMES:
        return _times(values, TIMES[name], DESCRIPTIONS.get(name))
    mask = [value is None for value in values]
    if name in TRUTHS:
        data = np.array([bool(value) for value in values])
        return MaskedColumn(data, mask=mask if any(mask) else False, description=DESCRIPTIONS.get(name))
    known = [value for value in values if value is not None]
    filler: Any = "" if known and isinstance(known[0], str) else 0
    data = np.array([filler if value is None else value for value in values], dtype=None if known else np.float64)
    if data.dtype.kind == "O":  # dates, decimals of a server
        data = data.astype(np.float64 if _are_numbers(known) else np.str_)
    return MaskedColumn(
        data, mask=mask if any(mask) else False, unit=UNITS.get(name), description=DESCRIPTIONS.get(name)
    )


def _are_numbers(values: Sequence[Any]) -> bool:
    try:
        float(values[0])
    except (TypeError, ValueError):
        return False
    return True


def _times(values: Sequence[Any] | NDArray[Any], scale: str, description: str | None) -> Time:
    """As whole days and fractions, so that nothing is lost in arithmetic; unknown ones are masked."""
    jd = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    unknown = ~np.isfinite(jd)
    day = np.floor(np.where(unknown, 0.0, jd))
    times = Time(day, np.where(unknown, 0.0, jd - day), format="jd", scale=scale)
    if unknown.any():
        times[unknown] = np.ma.masked
    times.info.description = description
    return times
