"""Light curves as the archives and tools of others take them: ExoClock, ETD, lightkurve (and JSON).

Archives get the usable points alone (column ``usable``), and of these the ones with a time, a positive relative flux
and an error, which is scaled to the scatter that was achieved. The `lightkurve` file keeps all points and masks those
that are not usable.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from astropy.io import fits
from astropy.table import Table

from pipeline.flags import SPOILING
from services.results.lightcurves.points import (
    achieved_over_quoted,
    column_of,
    differential,
    plain_text,
    usable_points,
)
from services.results.lightcurves.portable import ORIGIN, ascii_text, creator
from services.results.lightcurves.reading import barycentric_times

NAME_LENGTH = 30
BTJD_ZERO = 2457000  # BJD, lightkurve's "BTJD"
NOT_USABLE = 1 << 30  # quality bit of a point that is not usable; lower bits are those of column flag that say why


def to_json(table: Table) -> dict[str, Any]:
    """One light curve: its facts, the units of columns that have one, and an object a point; what is masked is None."""
    units = {name: str(table[name].unit) for name in table.colnames if table[name].unit is not None}
    columns = [table[name].tolist() for name in table.colnames]
    points = [dict(zip(table.colnames, values, strict=True)) for values in zip(*columns, strict=True)]
    facts = dict(table.meta)
    if "choices" in facts:
        facts["choices"] = json.loads(facts["choices"])
    return {"facts": facts, "units": units, "points": points}


def write_exoclock(table: Table, stream: TextIO) -> None:
    """ExoClock: BJD (TDB) of the star, relative flux and its error, three columns without a head.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    points, factor = usable_points(table), achieved_over_quoted(table)
    flux, error = (column_of(table, name)[points] for name in ("flux_relative", "flux_relative_error"))
    for date, value, wrong in zip(barycentric_times(table)[points], flux, factor * error, strict=True):
        stream.write(f"{date:.8f} {value:.6f} {wrong:.6f}\n")


def write_etd(table: Table, stream: TextIO) -> None:
    """Exoplanet Transit Database (TRESCA): geocentric JD (UTC), differential magnitude and its error, no head.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    points, factor = usable_points(table), achieved_over_quoted(table)
    magnitude, error = differential(table, points)
    for date, value, wrong in zip(column_of(table, "jd_utc")[points], magnitude, factor * error, strict=True):
        stream.write(f"{date:.6f} {value:.5f} {wrong:.5f}\n")


def write_lightkurve(table: Table, path: Path) -> None:
    """FITS that `lightkurve.read` takes: TIME (BJD - 2457000, TDB), FLUX, FLUX_ERR, QUALITY; 0 is good.

    lightkurve looks at the quality of its missions' files alone and masks what is NaN: FLUX and FLUX_ERR are NaN where
    QUALITY is not 0. What was measured there is in FLUX_ALL and FLUX_ALL_ERR.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    usable_points(table)
    # What holds for a star all night is no point's quality: lightkurve drops every point whose quality is not 0.
    spoilt = np.asarray(table["flag"], dtype=np.int32) & np.int32(SPOILING)
    quality = spoilt | np.where(np.asarray(table["usable"], dtype=bool), 0, NOT_USABLE).astype(np.int32)
    flux, error = (column_of(table, name) for name in ("flux_relative", "flux_relative_error"))
    columns = [
        fits.Column("TIME", "D", unit="d", array=barycentric_times(table) - BTJD_ZERO),
        fits.Column("FLUX", "D", array=np.where(quality == 0, flux, np.nan)),
        fits.Column("FLUX_ERR", "D", array=np.where(quality == 0, error, np.nan)),
        fits.Column("FLUX_ALL", "D", array=flux),
        fits.Column("FLUX_ALL_ERR", "D", array=error),
        fits.Column("QUALITY", "J", array=quality),
        fits.Column("CADENCENO", "J", array=np.arange(len(table))),
    ]
    curve = fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")
    curve.header.update(BJDREFI=BTJD_ZERO, BJDREFF=0.0, TIMEUNIT="d", TIMESYS="TDB", TIMEREF="SOLARSYSTEM")
    for keyword, name in (("FILTER", "filter"), ("EXPTIME", "exposure_s"), ("INSTRUME", "instrument")):
        if name in table.meta:
            curve.header[keyword] = ascii_text(table.meta[name])
    primary = fits.PrimaryHDU()
    # No CREATOR: lightkurve 2.6 takes a file with one for a mission's, and refuses a mission that it does not know.
    primary.header.update(OBJECT=_star_name(table), ORIGIN=ORIGIN, PROGRAM=creator())
    if "ra_deg" in table.meta and "dec_deg" in table.meta:
        primary.header.update(RA_OBJ=table.meta["ra_deg"], DEC_OBJ=table.meta["dec_deg"])
    fits.HDUList([primary, curve]).writeto(path)


def _star_name(table: Table) -> str:
    """The star, not the field's target: its position, or its number where the sky has no coordinates."""
    meta = table.meta
    if "ra_deg" in meta and "dec_deg" in meta:
        from astropy.coordinates import SkyCoord

        place: Any = SkyCoord(meta["ra_deg"], meta["dec_deg"], unit="deg")
        right_ascension = place.ra.to_string(unit="hour", sep="", precision=2, pad=True)
        return f"J{right_ascension}{place.dec.to_string(sep='', precision=1, pad=True, alwayssign=True)}"
    number = f" source {meta.get('source', '')}"
    return f"{plain_text(meta.get('target', ''))[: NAME_LENGTH - len(number)]}{number}".strip()


TEXT: dict[str, Callable[[Table, TextIO], None]] = {"exoclock": write_exoclock, "etd": write_etd}
