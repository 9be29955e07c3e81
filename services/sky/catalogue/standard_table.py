"""Standard stars of a table: magnitudes in standard bands, by number in Gaia DR3 or by place.

Such a table is Gaia's own synthetic photometry (`synthetic_photometry_gspc`), or APASS, ATLAS-REFCAT2, one's own
standards: the operator declares what its columns are called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry.sphere import nearest_on_sky
from pipeline.zero_points import BANDS
from services.errors import ConfigurationError
from services.sky.catalogue.own_table import numbers_of, read_columns

ID, RA, DEC = "source_id", "ra", "dec"
# Of Gaia's Synthetic Photometry Catalogue (Montegriffo et al. 2023, A&A 674, A33), in Gaia DR3's documentation 20.14.
SYNTHETIC = {
    **{band: f"{name}_jkc" for band, name in (("B", "b"), ("V", "v"), ("Rc", "r"), ("Ic", "i"))},
    **{band: f"{band}_sdss" for band in ("g", "r", "i", "z")},
}
SYSTEM = "system"  # declared as a column is: the photometric system of the table's g, r, i and z
SDSS, PAN_STARRS = "SDSS", "Pan-STARRS"
REFCAT2 = frozenset({"rp1", "r1", "r10"})  # columns of ATLAS-REFCAT2 alone (Tonry et al. 2018, ApJ 867, 105)
CATALOGUE = "catalog_file"  # a setting: its columns are Gaia's, and any other may be called V
NONE = "none"  # declared of what is no band
MATCH_ARCSEC = 2.0  # between a star and itself in a table without Gaia's numbers
MAGNITUDES = (-5.0, 40.0)
NAMES_SHOWN = 12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StandardStars:
    """Stars of one band, ``[n]``: numbers in Gaia or places (None: it has none), magnitudes; NaN is left out before."""

    source_id: NDArray[np.int64] | None
    radec: Floats | None  # [n, 2], degrees
    magnitude: Floats
    origin: str  # synthetic, table, table-ps1 (in the Pan-STARRS system)

    def of(self, gaia_id: NDArray[np.int64], radec: Floats) -> Floats:
        """Magnitudes of sources: float64[m]; NaN of those that are not in the table.

        Args:
            gaia_id: int64[m], 0 for none.
            radec: float64[m, 2], degrees; NaN where unknown.
        """
        found = np.full(gaia_id.size, np.nan)
        if not self.magnitude.size:
            return found
        if self.source_id is not None:
            order = np.argsort(self.source_id)
            at = np.clip(np.searchsorted(self.source_id[order], gaia_id), 0, order.size - 1)
            same = (self.source_id[order][at] == gaia_id) & (gaia_id != 0)
            return np.where(same, self.magnitude[order][at], np.nan)
        assert self.radec is not None
        distance, star = (values[:, 0] for values in nearest_on_sky(radec, self.radec, 1))
        with np.errstate(invalid="ignore"):
            near = distance <= MATCH_ARCSEC
        found[near] = self.magnitude[star[near]]
        return found


def read_standards(path: Path, declared: Sequence[str], band: str, setting: str) -> StandardStars | None:
    """The stars of a table that have a magnitude in a band; None where the table has no column for it.

    Args:
        path: FITS, VOTable, Parquet, ECSV or CSV.
        declared: ``NAME=COLUMN``, by which the table calls a band, ``source_id``, ``ra`` or ``dec``.
        band: one of BANDS.
        setting: that names the table, for messages.

    Raises:
        ConfigurationError: the table cannot be read, lacks a column that is declared, has neither numbers nor places,
            or what is declared to be a magnitude is none, or a column of `catalog_file` has a band's name and nobody
            declared whether it is that.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigurationError(
            f"{setting} {str(path)!r} cannot be read: {error.strerror}; correct {setting}"
        ) from error
    columns = _table(path, status.st_mtime_ns, status.st_size, setting)
    names = _names(columns, declared, f"{setting} {str(path)!r}")
    if setting == CATALOGUE and names.get(band) == band and band not in dict(_pairs(declared)):
        raise ConfigurationError(
            f"{setting} {str(path)!r} has a column {band!r}, and nobody said whether it is magnitudes of that band: "
            f'declare it in standard_columns, "{band}={band}" if they are and "{band}={NONE}" if not'
        )
    synthetic = f"{SYNTHETIC[band]}_mag"
    name = names.get(band) or (synthetic if synthetic in columns else None)
    if name is None:
        return None
    where = f"{setting} {str(path)!r}"
    magnitude = numbers_of(columns, name, where)
    wrong = np.isfinite(magnitude) & ((magnitude < MAGNITUDES[0]) | (magnitude > MAGNITUDES[1]))
    if wrong.any():
        raise ConfigurationError(
            f"{where}: column {name} is {magnitude[wrong][0]:g} in {int(wrong.sum())} places, which is no magnitude: "
            "empty places must be empty, and magnitudes in units of a magnitude"
        )
    flag = f"{SYNTHETIC[band]}_flag"
    if name == synthetic and flag in columns:  # 1: within the magnitudes and colours that were validated
        magnitude = np.where(numbers_of(columns, flag, where) == 1, magnitude, np.nan)
    known = np.isfinite(magnitude)
    origin = "synthetic" if name == synthetic else _origin(columns, declared, band)
    if ID in names:
        ids = np.ma.asarray(columns[names[ID]])
        if ids.dtype.kind not in "iu":
            raise ConfigurationError(f"{where}: column {names[ID]} is of type {ids.dtype}: expected whole numbers")
        known &= ~np.ma.getmaskarray(ids)
        return StandardStars(np.asarray(ids.data, dtype=np.int64)[known], None, magnitude[known], origin)
    if RA not in names or DEC not in names:
        raise ConfigurationError(
            f"{where} has neither Gaia's source_id nor places: declare its columns in standard_columns, such as "
            f'"ra=RAJ2000", "dec=DEJ2000"; columns found: {", ".join(list(columns)[:NAMES_SHOWN])}'
        )
    radec = np.column_stack([numbers_of(columns, names[one], where) for one in (RA, DEC)])
    known &= (radec[:, 0] >= 0.0) & (radec[:, 0] <= 360.0) & (np.abs(radec[:, 1]) <= 90.0)
    return StandardStars(None, radec[known], magnitude[known], origin)


def _origin(columns: Mapping[str, Any], declared: Sequence[str], band: str) -> str:
    """Whose magnitudes a table has: as it is declared, else Pan-STARRS' where it is ATLAS-REFCAT2."""
    told = next((what for name, what in _pairs(declared) if name == SYSTEM), "")
    if told not in ("", SDSS, PAN_STARRS):
        raise ConfigurationError(f"standard_columns has system={told!r}: expected {SDSS} or {PAN_STARRS}")
    is_pan_starrs = told == PAN_STARRS or (not told and set(columns) >= REFCAT2)
    return "table-ps1" if is_pan_starrs and band in ("g", "r", "i", "z") else "table"


def _pairs(declared: Sequence[str]) -> list[tuple[str, str]]:
    """Names and what is declared of them."""
    return [(name.strip(), what.strip()) for name, _, what in (one.partition("=") for one in declared)]


@lru_cache(maxsize=2)
def _table(path: Path, _mtime_ns: int, _size: int, setting: str) -> Mapping[str, Any]:
    return read_columns(path, setting)


def _names(columns: Mapping[str, Any], declared: Sequence[str], where: str) -> dict[str, str]:
    """The table's columns by Tianyu's names: those declared, and of the rest those that are called so."""
    names = {name: name for name in (*BANDS, ID, RA, DEC) if name in columns}
    own = set()
    for one, (name, column) in zip(declared, _pairs(declared), strict=True):
        if name == SYSTEM:
            continue
        if name not in (*BANDS, ID, RA, DEC):
            raise ConfigurationError(
                f"standard_columns has {one!r}: expected one of {', '.join((*BANDS, ID, RA, DEC))} before the sign"
            )
        if column == NONE and column not in columns:
            names.pop(name, None)
            continue
        if column not in columns:
            shown = ", ".join(list(columns)[:NAMES_SHOWN])
            raise ConfigurationError(f"{where} has no column {column!r}, which standard_columns names; found: {shown}")
        names[name] = column
        own.add(name)
    if {RA, DEC} <= own and ID not in own:  # `source_id` of a table whose places are declared may be anybody's number
        names.pop(ID, None)
    return names
