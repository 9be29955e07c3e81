"""The light curve of one source, from view ``light_curve`` to a table with units and facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray
from sqlalchemy import column, select, table
from sqlalchemy.orm import Session

from pipeline.statistics import robust_scatter
from schema.photometry import Aperture, LightCurveStatistics
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.provenance import provenance, published_by
from services.results.lightcurves.selection import SourceFacts
from services.results.view_columns import LIGHT_CURVE

VIEW = table("light_curve", *(column(c.name) for c in LIGHT_CURVE))
NEVER_NULL = {"observation_id": 0, "source_id": 0, "image_id": 0, "aperture": 0, "flag": 0, "method": ""}

ApertureChoice = int | Literal["best", "all"]


@dataclass(frozen=True)
class LightCurve:
    """A light curve, ordered by time; ``table`` has the view's columns, NULL masked, and the facts as its ``meta``."""

    observation: ObservationFacts
    source: SourceFacts
    radii: dict[int, float]  # pixels, of the apertures in the table
    table: Table
    aperture_names: dict[int, str]  # as plots call them

    def values(self, name: str) -> NDArray[Any]:
        """A column as a plain array ``[n]``; NULL is NaN, and 0 in columns of integers."""
        values = np.ma.asarray(self.table[name])
        return np.asarray(np.ma.filled(values, np.nan) if values.dtype.kind == "f" else values.data)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Points that may be used by the rule of `pipeline.flags.usable`, bool[n]."""
        return np.asarray(self.table["usable"], dtype=np.bool_)

    @property
    def bjd(self) -> NDArray[np.float64]:
        """BJD(TDB) of the points, float64[n]: see `barycentric_times`."""
        return barycentric_times(self.table)


def barycentric_times(table: Table) -> NDArray[np.float64]:
    """BJD(TDB) of the star itself, else of the field's centre, float64[n], NaN where unknown.

    Never some of each: they may be seconds apart.
    """
    own, centre = (
        np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan) for name in ("bjd_tdb_source", "bjd_tdb")
    )
    return np.asarray(own if (np.isfinite(own) | ~np.isfinite(centre)).all() else centre)


def read_light_curve(
    session: Session, observation: ObservationFacts, source: SourceFacts, aperture: ApertureChoice = "best"
) -> LightCurve:
    """Read one source's light curve in its best aperture, in a given one, or in all.

    The best aperture is the one that `analyze` named; before it has run, the one that scatters least.

    Raises:
        ConfigurationError: there is no such aperture.
        DataError: the observation has no light curves yet, or this source was not measured.
    """
    name = f"observation {observation.observation_id} ({observation.title})"
    if observation.calibration_pid is None:
        raise DataError(
            f"{name} has no light curves yet: `tianyu status {observation.observation_id}` shows how far it is"
        )
    apertures = read_apertures(session, observation)
    radii = {number: aperture.radius for number, aperture in apertures.items()}
    chosen = analysed_best(session, observation, source) if aperture == "best" else aperture
    if isinstance(chosen, int) and chosen not in radii:
        known = ", ".join(f"{number} ({radius:g} px)" for number, radius in radii.items())
        raise ConfigurationError(f"{name} has no aperture {chosen}: it has {known or 'none'}")
    rows = _rows(session, observation, source, chosen if isinstance(chosen, int) else None)
    if not rows:
        raise DataError(
            f"source {source.source_id} at ({source.x:.1f}, {source.y:.1f}) on the first frame of {name} was "
            "measured on no image: does it leave the frames?"
        )
    result = _table(rows)
    if chosen is None:
        result = _least_scatter(result)
    used = {int(number) for number in np.unique(np.asarray(result["aperture"]))}
    radii = {number: radius for number, radius in radii.items() if number in used}
    result.meta = _meta(observation, source, radii, result) | provenance(session, observation)
    result.meta |= published_by(session, observation.calibration_pid)
    return LightCurve(
        observation, source, radii, result, {number: aperture_name(apertures[number]) for number in radii}
    )


def read_apertures(session: Session, observation: ObservationFacts) -> dict[int, Aperture]:
    """Apertures of the graph whose images count, by their index."""
    query = select(Aperture).where(Aperture.graph_pid == observation.graph_pid).order_by(Aperture.aperture)
    return {aperture.aperture: aperture for aperture in session.scalars(query)}


def aperture_name(aperture: Aperture) -> str:
    """What it is called where it is shown."""
    if aperture.kind == "kron":
        name = f"Kron, {aperture.radius:g} radii"
    elif aperture.factor is not None:
        name = f"{aperture.factor:g} FWHM ({aperture.radius:g} px)"
    else:
        name = f"{aperture.radius:g} px"
    return f"{name}, sky of the frame" if aperture.sky == "global" else name


def analysed_best(session: Session, observation: ObservationFacts, source: SourceFacts) -> int | None:
    """The aperture that `analyze` found best for this source in the calibration that the views show."""
    return session.scalar(
        select(LightCurveStatistics.aperture).where(
            LightCurveStatistics.pid == observation.analysis_pid,
            LightCurveStatistics.source_id == source.source_id,
            LightCurveStatistics.calibration_pid == observation.calibration_pid,
            LightCurveStatistics.best_aperture.is_(True),
        )
    )


def _rows(
    session: Session, observation: ObservationFacts, source: SourceFacts, aperture: int | None
) -> Sequence[Sequence[Any]]:
    query = select(VIEW).where(
        VIEW.c.source_id == source.source_id, VIEW.c.observation_id == observation.observation_id
    )
    if aperture is not None:
        query = query.where(VIEW.c.aperture == aperture)
    return session.execute(query.order_by(VIEW.c.jd_utc, VIEW.c.image_id, VIEW.c.aperture)).all()


def _table(rows: Sequence[Sequence[Any]]) -> Table:
    result = Table()
    for description, values in zip(LIGHT_CURVE, zip(*rows, strict=True), strict=True):
        if description.dtype == "bool":
            # An image that nobody judged is not good; a source without a part in the calibration is no reference.
            data = np.array([bool(value) for value in values])
        else:
            filler = NEVER_NULL.get(description.name, 0)
            data = np.array([filler if value is None else value for value in values], dtype=description.dtype)
        mask = np.array([value is None for value in values])
        nullable = description.dtype != "bool" and description.name not in NEVER_NULL
        result[description.name] = MaskedColumn(
            data, mask=mask if nullable else False, unit=description.unit, description=description.description
        )
    return result


def _least_scatter(rows: Table) -> Table:
    aperture = np.asarray(rows["aperture"])
    flux = np.where(np.asarray(rows["usable"]), np.ma.filled(rows["flux_relative"], np.nan), np.nan)
    scatter = {number: robust_scatter(flux[None, aperture == number])[0] for number in np.unique(aperture)}
    best: Table = rows[aperture == min(scatter, key=lambda number: np.nan_to_num(scatter[number], nan=np.inf))]
    return best


def _meta(
    observation: ObservationFacts, source: SourceFacts, radii: dict[int, float], rows: Table
) -> dict[str, int | float | str]:
    methods = sorted({str(method) for method in rows["method"] if method})
    meta: dict[str, int | float | str] = {
        "observation": observation.observation_id,
        "target": observation.target,
        "filter": observation.filter,
        "instrument": observation.instrument,
        "night": observation.night.isoformat(),
        "source": source.source_id,
        "x": source.x,
        "y": source.y,
    }
    if source.ra_deg is not None and source.dec_deg is not None:
        meta |= {"ra_deg": source.ra_deg, "dec_deg": source.dec_deg}
    return meta | {
        "aperture_radius_px": " ".join(f"{radius:g}" for radius in radii.values()),
        "calibration_method": " ".join(methods),
    }
