"""Known variables of a table, such as VSX: which of an observation's stars they are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import nearest_on_sky
from schema.photometry import Variability
from schema.skies import Source
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.selection import sky_tolerance
from services.sky.catalogue.own_table import numbers_of, read_columns

SETTING = "--known"
# Columns by Tianyu's names: as VSX is called at VizieR (B/vsx), and in plain words. The first that a table has counts.
NAMES = {
    "name": ("name", "Name"),
    "ra": ("ra", "RAJ2000", "RA_ICRS"),
    "dec": ("dec", "DEJ2000", "DE_ICRS"),
    "type": ("type", "Type"),
    "period": ("period", "Period"),
}
REQUIRED = ("name", "ra", "dec")
NAMES_SHOWN = 12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KnownVariable:
    """What the table says of a star, and how far from the source its place is."""

    name: str
    type: str
    period_d: float | None
    separation_arcsec: float

    @property
    def words(self) -> str:
        """In a line of a table."""
        period = "" if self.period_d is None else f"{self.period_d:.6g} d"
        more = ", ".join(part for part in (self.type, period) if part)
        return f"{self.name} ({more})" if more else self.name


@dataclass(frozen=True)
class KnownStars:
    """Known variables of the stars of an observation, by source; ``unknown`` candidates are in none."""

    file: str
    by_source: Mapping[int, KnownVariable]
    candidates: int  # of the known ones
    unknown: int

    def to_json(self) -> dict[str, Any]:
        """Numbers and texts only."""
        return {
            "file": self.file,
            "stars": len(self.by_source),
            "candidates": self.candidates,
            "unknown_candidates": self.unknown,
        }


@dataclass(frozen=True)
class KnownTable:
    """All rows of a table, ``[n]``: period is NaN where it tells none."""

    path: Path
    radec: Floats  # [n, 2], degrees
    name: Sequence[str]
    type: Sequence[str]
    period: Floats

    @cached_property
    def placed(self) -> NDArray[np.intp]:
        """Rows with a place."""
        return np.flatnonzero(np.isfinite(self.radec).all(axis=1))

    def nearest(self, radec: Floats, reach_arcsec: float) -> list[KnownVariable | None]:
        """The nearest known variable to each place float64[m, 2] within the reach."""
        if not self.placed.size or not len(radec):
            return [None] * len(radec)
        distance, row = (values[:, 0] for values in nearest_on_sky(radec, self.radec[self.placed], 1))
        return [
            self._row(int(self.placed[at]), float(apart)) if apart <= reach_arcsec else None
            for apart, at in zip(distance.tolist(), row.tolist(), strict=True)
        ]

    def _row(self, row: int, apart: float) -> KnownVariable:
        period = float(self.period[row])
        return KnownVariable(
            str(self.name[row]).strip(),
            str(self.type[row]).strip(),
            period if np.isfinite(period) and period > 0 else None,
            apart,
        )


def read_known(path: Path, declared: Sequence[str] = ()) -> KnownTable:
    """A table of known variables: CSV, ECSV, FITS, VOTable or Parquet.

    Args:
        path: of the table.
        declared: ``NAME=COLUMN``, where its columns are called otherwise than in NAMES.

    Raises:
        ConfigurationError: it cannot be read, lacks a column, or its places are no degrees.
    """
    columns = read_columns(path, SETTING)
    where = f"{SETTING} {str(path)!r}"
    names = _names(columns, declared, where)
    radec = np.column_stack([numbers_of(columns, names[one], where) for one in ("ra", "dec")])
    with np.errstate(invalid="ignore"):
        nowhere = (radec[:, 0] < 0) | (radec[:, 0] > 360) | (np.abs(radec[:, 1]) > 90)
    if nowhere.any():
        raise ConfigurationError(
            f"{where}: {int(nowhere.sum())} places are nowhere on the sky, the first {radec[nowhere][0].tolist()}: "
            "expected degrees"
        )
    rows = len(radec)
    kinds = np.ma.filled(np.ma.asarray(columns[names["type"]]), "") if "type" in names else [""] * rows
    period = numbers_of(columns, names["period"], where) if "period" in names else np.full(rows, np.nan)
    return KnownTable(path, radec, list(columns[names["name"]]), [_text(one) for one in kinds], period)


def match_known(
    session: Session, observation: ObservationFacts, table: KnownTable, reach_arcsec: float | None = None
) -> KnownStars:
    """Known variables among the analysed stars of an observation.

    Args:
        session: reads only.
        observation: analysed.
        table: the known variables.
        reach_arcsec: between a star and its place in the table; None: 5 arcsec, or a pixel if that is more.

    Raises:
        DataError: the stars have no coordinates.
    """
    rows = session.execute(
        select(Variability.source_id, Variability.candidate, Source.ra_deg, Source.dec_deg)
        .join(Source, Source.source_id == Variability.source_id)
        .where(Variability.pid == observation.analysis_pid, Source.ra_deg.is_not(None), Source.dec_deg.is_not(None))
        .order_by(Variability.source_id)
    ).all()
    if not rows:
        raise DataError(
            f"observation {observation.observation_id} ({observation.title}) is not solved: without "
            "coordinates none of its stars can be looked up"
        )
    reach = sky_tolerance(session, observation) if reach_arcsec is None else reach_arcsec
    radec = np.array([(row.ra_deg, row.dec_deg) for row in rows], dtype=np.float64)
    found = table.nearest(radec, reach)
    by_source = {row.source_id: known for row, known in zip(rows, found, strict=True) if known is not None}
    candidates = [row.source_id for row in rows if row.candidate]
    known_candidates = sum(source_id in by_source for source_id in candidates)
    return KnownStars(str(table.path), by_source, known_candidates, len(candidates) - known_candidates)


def known_json(known: KnownVariable | None) -> dict[str, Any] | None:
    """Numbers and texts only."""
    return None if known is None else asdict(known)


def _names(columns: Mapping[str, Any], declared: Sequence[str], where: str) -> dict[str, str]:
    names = {
        name: next(one for one in known if one in columns) for name, known in NAMES.items() if set(known) & {*columns}
    }
    shown = ", ".join(list(columns)[:NAMES_SHOWN])
    for one in declared:
        name, sign, column = (part.strip() for part in one.partition("="))
        if name not in NAMES or not sign:
            raise ConfigurationError(f"--known-column {one!r}: expected NAME=COLUMN, NAME one of {', '.join(NAMES)}")
        if column not in columns:
            raise ConfigurationError(f"{where} has no column {column!r}; found: {shown}")
        names[name] = column
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise ConfigurationError(
            f"{where} has no column for {', '.join(missing)}: tell which it is (--known-column {missing[0]}=COLUMN); "
            f"found: {shown}"
        )
    return names


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
