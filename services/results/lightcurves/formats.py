"""Light curves as the archives and tools of others take them: AAVSO, ExoClock, ETD, lightkurve.

Each takes the usable points alone (column ``usable``), and of these the ones with a time, a positive relative flux and
an error. The `lightkurve` file keeps all points and marks those that are not usable.
"""

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from pipeline.flags import SPOILING
from pipeline.units import MAG_PER_LN
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.reading import barycentric_times

AAVSO_COLUMNS = "NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,AMASS,GROUP,CHART,NOTES"
AAVSO_NAME_LENGTH = 30
# AAVSO's codes for the names that cameras write; what is on neither side is O, another filter.
AAVSO_FILTERS = {
    **{code: code for code in ("U", "B", "V", "R", "I", "J", "H", "K", "RJ", "IJ", "SU", "SG", "SR", "SI", "SZ")},
    **{code: code for code in ("CV", "CR", "TB", "TG", "TR")},
    **{name: code for code, names in {"SU": ("u", "up", "u'"), "SG": ("g", "gp", "g'")}.items() for name in names},
    **{name: code for code, names in {"SR": ("r", "rp", "r'"), "SI": ("i", "ip", "i'")}.items() for name in names},
    **dict.fromkeys(("z", "zp", "z'", "zs"), "SZ"),
    **dict.fromkeys(("Clear", "clear", "C", "L", "Lum", "Luminance", "none", "None", ""), "CV"),
}
OTHER_FILTER = "O"  # to be described in the notes
DIFFERENTIAL, STANDARD = "DIF", "STD"  # against an ensemble of unknown magnitudes; on the scale of a catalogue
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


def write_aavso(table: Table, stream: TextIO) -> None:
    """AAVSO Extended File Format 1.2: magnitudes against an ensemble, Julian dates (UTC).

    With zero points they are magnitudes on the scale of Gaia's G (``STD``), for which AAVSO has no code: the filter is
    ``O``, the notes say what it is, and frames without a zero point are left out. Else they are differential (``DIF``),
    in the filter of the camera.

    The observer's code stays empty: it must be filled in before the file is sent.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    points = _usable(table)
    star, band = _star_name(table), str(table.meta.get("filter", ""))
    notes = f"aperture {_plain(table.meta.get('aperture_radius_px', ''))} px; filter {_plain(band) or 'unknown'}"
    calibrated = points & np.isfinite(_column(table, "mag")) & np.isfinite(_column(table, "mag_error"))
    if calibrated.any():
        points, code, kind = calibrated, OTHER_FILTER, STANDARD
        magnitude, error = (_column(table, name)[points] for name in ("mag", "mag_error"))
        notes = f"MAG is G of Gaia DR3; {notes}"
    else:
        code, kind = AAVSO_FILTERS.get(band.strip(), OTHER_FILTER), DIFFERENTIAL
        magnitude, error = _magnitudes(table, points)
    stream.write("#TYPE=EXTENDED\n#OBSCODE=\n")
    stream.write(f"#SOFTWARE=Tianyu {importlib.metadata.version('tianyu')}\n#DELIM=,\n#DATE=JD\n#OBSTYPE=CCD\n")
    stream.write(f"#{AAVSO_COLUMNS}\n")
    for date, mag, err in zip(_column(table, "jd_utc")[points], magnitude, error, strict=True):
        values = (
            star,
            f"{date:.6f}",
            f"{mag:.4f}",
            f"{min(err, 9.9999):.4f}",
            code,
            "NO",
            kind,
            "ENSEMBLE",
            *["na"] * 6,
        )
        stream.write(f"{','.join(values)},{notes}\n")


def write_exoclock(table: Table, stream: TextIO) -> None:
    """ExoClock: BJD (TDB) of the star, relative flux and its error, three columns without a head.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    points = _usable(table)
    columns = [_column(table, name)[points] for name in ("flux_relative", "flux_relative_error")]
    for date, flux, error in zip(barycentric_times(table)[points], *columns, strict=True):
        stream.write(f"{date:.8f} {flux:.6f} {error:.6f}\n")


def write_etd(table: Table, stream: TextIO) -> None:
    """Exoplanet Transit Database (TRESCA): geocentric JD (UTC), differential magnitude and its error, no head.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    points = _usable(table)
    for date, mag, error in zip(_column(table, "jd_utc")[points], *_magnitudes(table, points), strict=True):
        stream.write(f"{date:.6f} {mag:.5f} {error:.5f}\n")


def write_lightkurve(table: Table, path: Path) -> None:
    """FITS that `lightkurve.read` takes: TIME (BJD - 2457000, TDB), FLUX, FLUX_ERR, QUALITY; 0 is good.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    _usable(table)
    # What holds for a star all night is no point's quality: lightkurve drops every point whose quality is not 0.
    spoilt = np.asarray(table["flag"], dtype=np.int32) & np.int32(SPOILING)
    quality = spoilt | np.where(np.asarray(table["usable"], dtype=bool), 0, NOT_USABLE).astype(np.int32)
    columns = [
        fits.Column("TIME", "D", unit="d", array=barycentric_times(table) - BTJD_ZERO),
        fits.Column("FLUX", "D", array=_column(table, "flux_relative")),
        fits.Column("FLUX_ERR", "D", array=_column(table, "flux_relative_error")),
        fits.Column("QUALITY", "J", array=quality),
        fits.Column("CADENCENO", "J", array=np.arange(len(table))),
    ]
    curve = fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")
    curve.header.update(BJDREFI=BTJD_ZERO, BJDREFF=0.0, TIMEUNIT="d", TIMESYS="TDB", TIMEREF="SOLARSYSTEM")
    primary = fits.PrimaryHDU()
    # No CREATOR: lightkurve 2.6 takes a file with one for a mission's, and refuses a mission that it does not know.
    primary.header.update(OBJECT=_star_name(table), ORIGIN="Tianyu")
    if "ra_deg" in table.meta and "dec_deg" in table.meta:
        primary.header.update(RA_OBJ=table.meta["ra_deg"], DEC_OBJ=table.meta["dec_deg"])
    fits.HDUList([primary, curve]).writeto(path)


def _usable(table: Table) -> NDArray[np.bool_]:
    """Points to report, bool[n]."""
    apertures = np.unique(np.asarray(table["aperture"]))
    if apertures.size > 1:
        raise ConfigurationError(
            f"the light curve has points of {apertures.size} apertures: this format takes one (--aperture best)"
        )
    flux, error = (_column(table, name) for name in ("flux_relative", "flux_relative_error"))
    good = np.asarray(table["usable"], dtype=bool)
    with np.errstate(invalid="ignore"):
        good &= (flux > 0) & (error > 0) & np.isfinite(barycentric_times(table)) & np.isfinite(_column(table, "jd_utc"))
    if not good.any():
        raise DataError(f"none of the {len(table)} points is usable: rejected images, flags, or no relative flux")
    return np.asarray(good)


def _magnitudes(table: Table, points: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    flux, error = (_column(table, name)[points] for name in ("flux_relative", "flux_relative_error"))
    return -2.5 * np.log10(flux), MAG_PER_LN * error / flux


def _column(table: Table, name: str) -> NDArray[np.float64]:
    return np.asarray(np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan))


def _star_name(table: Table) -> str:
    """The star, not the field's target: its position, or its number where the sky has no coordinates."""
    meta = table.meta
    if "ra_deg" in meta and "dec_deg" in meta:
        from astropy.coordinates import SkyCoord

        place: Any = SkyCoord(meta["ra_deg"], meta["dec_deg"], unit="deg")
        right_ascension = place.ra.to_string(unit="hour", sep="", precision=2, pad=True)
        return f"J{right_ascension}{place.dec.to_string(sep='', precision=1, pad=True, alwayssign=True)}"
    number = f" source {meta.get('source', '')}"
    return f"{_plain(meta.get('target', ''))[: AAVSO_NAME_LENGTH - len(number)]}{number}".strip()


def _plain(value: Any) -> str:
    """Printable ASCII without what separates fields or starts a comment."""
    return "".join(c for c in str(value) if " " <= c <= "~" and c not in ",#|").strip()


TEXT: dict[str, Callable[[Table, TextIO], None]] = {"aavso": write_aavso, "exoclock": write_exoclock, "etd": write_etd}
