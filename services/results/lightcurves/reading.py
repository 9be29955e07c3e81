"""The light curve of one source, from view ``light_curve`` to a table with units and facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.statistics import robust_scatter
from schema.light_curve_rows import WHOLE, ApertureChoice, Points, points, together
from schema.photometry import Aperture, LightCurveStatistics, ReferenceStar
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.provenance import provenance, published_by
from services.results.lightcurves.selection import SourceFacts
from services.results.view_columns import LIGHT_CURVE


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
    rows = _rows(session, observation, source, chosen if isinstance(chosen, int) else "all")
    if not rows["flag"].size:
        raise DataError(
            f"source {source.source_id} at ({source.x:.1f}, {source.y:.1f}) on the first frame of {name} was "
            "measured on no image: does it leave the frames?"
        )
    result = table_of(least_scatter(rows) if chosen is None else rows, methods(session, [observation]))
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


def _rows(session: Session, observation: ObservationFacts, source: SourceFacts, aperture: ApertureChoice) -> Points:
    found = points(session.connection(), [source.source_id], [observation.observation_id], aperture=aperture)
    rows = together([part for _, part in found])
    order = np.lexsort((rows["aperture"], rows["image_id"], np.nan_to_num(rows["jd_utc"], nan=-np.inf)))
    return {name: values[order] for name, values in rows.items()}


def methods(session: Session, observations: Sequence[ObservationFacts]) -> dict[int, str]:
    """The method of each observation's relative calibration, by its id."""
    found: dict[int, str | None] = {}
    for pid in {one.calibration_pid for one in observations if one.calibration_pid is not None}:
        found[pid] = session.scalar(select(ReferenceStar.method).where(ReferenceStar.pid == pid).limit(1))
    known = ((one.observation_id, found.get(one.calibration_pid or 0)) for one in observations)
    return {number: method for number, method in known if method is not None}


def table_of(rows: Points, methods: Mapping[int, str]) -> Table:
    """The view's columns with units and descriptions, NULL masked; ``methods`` by observation."""
    observations, kinds = np.unique(rows["observation_id"], return_inverse=True)
    names = np.array([methods.get(one, "") for one in observations.tolist()] or [""], dtype=np.str_)
    # A source without a part in the calibration has no group in it, and no method.
    method = np.where(np.isnan(rows["reference_group"]), "", names[kinds] if observations.size else "")
    result = Table()
    for description in LIGHT_CURVE:
        name = description.name
        data = method if name == "method" else rows[name]
        unknown: Any = False
        if description.dtype != "bool" and name not in (*WHOLE, "method"):
            unknown = np.isnan(data)
            data = np.where(unknown, 0, data)
        data = data if name == "method" else data.astype(description.dtype)
        result[name] = MaskedColumn(data, mask=unknown, unit=description.unit, description=description.description)
    return result


def least_scatter(rows: Points) -> Points:
    """Of each source on each night the points of the aperture that scatters least."""
    flux = np.where(rows["usable"], rows["flux_relative"], np.nan)
    of = np.stack([rows["observation_id"], rows["source_id"], rows["aperture"]])
    order = np.lexsort(of[::-1])
    starts = np.flatnonzero((np.diff(of[:, order], axis=1) != 0).any(axis=0)) + 1
    best: dict[tuple[int, int], tuple[float, NDArray[np.intp]]] = {}
    for part in np.split(order, starts) if order.size else ():
        scatter = float(np.nan_to_num(robust_scatter(flux[None, part])[0], nan=np.inf))
        observation, source, _ = of[:, part[0]].tolist()
        pair = observation, source
        if pair not in best or scatter < best[pair][0]:
            best[pair] = scatter, part
    kept = np.sort(np.concatenate([part for _, part in best.values()])) if best else order
    return {name: values[kept] for name, values in rows.items()}


def _meta(
    observation: ObservationFacts, source: SourceFacts, radii: dict[int, float], rows: Table
) -> dict[str, int | float | str]:
    methods = sorted({str(method) for method in rows["method"].tolist() if method})
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
