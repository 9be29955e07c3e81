"""The sources of a template as `extract` needs them, read once by each worker; 20,000 take 3 MB."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.aperture.crowding import CROWDED_SHARE, contamination, seeing_response
from pipeline.aperture.kron import Ellipses, kron_ellipses
from pipeline.flags import Flag
from schema.photometry import Aperture
from schema.skies import SourcePosition
from services.errors import DataError
from services.steps.shared.apertures import CIRCLE, KRON
from services.steps.shared.step import Context

ISOLATED_SHARE = 0.005  # of a star's light that neighbours may bring into its curve of growth
COLUMNS = ("source_id", "x", "y", "flux", "fwhm", "semi_major", "semi_minor", "theta_deg", "kron_radius", "flag")


@dataclass(frozen=True)
class TemplateSources:
    """Sources in order of their ids, and the apertures of the graph; arrays of n sources are read-only.

    Attributes:
        source_ids: int64[n].
        xy: float64[n, 2], template pixels.
        light: float64[n], flux on the template, ADU; NaN where it was not measured.
        flag: int32[n, k], BLENDED and CROWDED.
        seeing_response: float64[n, k], change of the neighbours' light with ln FWHM, parts of the source's own flux.
        isolated: bool[n], fit for a curve of growth.
        ellipses: of the Kron aperture, on the template; None without one.
        apertures: k rows of table aperture, in their order.
    """

    source_ids: NDArray[np.int64]
    xy: NDArray[np.float64]
    light: NDArray[np.float64]
    flag: NDArray[np.int32]
    seeing_response: NDArray[np.float64]
    isolated: NDArray[np.bool_]
    ellipses: Ellipses | None
    apertures: Sequence[Aperture]


def template_sources(context: Context, session: Session, detected: int) -> TemplateSources:
    """The sources that process ``detected`` found, with the graph's apertures; what was committed never changes.

    Raises:
        DataError: there are none.
    """
    key = detected, context.graph_pid
    return context.once("template sources", key, lambda: _read(session, *key))


def _read(session: Session, detected: int, graph_pid: int) -> TemplateSources:
    columns = [getattr(SourcePosition, name) for name in COLUMNS]
    query = select(*columns).where(SourcePosition.pid == detected).order_by(SourcePosition.source_id)
    rows = [tuple(row) for row in session.execute(query)]
    apertures = session.scalars(
        select(Aperture).where(Aperture.graph_pid == graph_pid).order_by(Aperture.aperture)
    ).all()
    if not rows or not apertures:
        raise DataError(f"the sources of process {detected} or the apertures of graph {graph_pid} are gone")
    for aperture in apertures:
        session.expunge(aperture)  # they outlive this session
    table = dict(zip(COLUMNS, np.array(rows, dtype=np.float64).T, strict=True))
    xy, flux = np.column_stack([table["x"], table["y"]]), table["flux"]
    fwhm = _fwhm(table["fwhm"], flux)
    bits = table["flag"].astype(np.int32) & int(Flag.BLENDED)
    radii = [aperture.radius for aperture in apertures if aperture.kind == CIRCLE]
    crowding = [contamination(xy, flux, radius, fwhm) > CROWDED_SHARE for radius in radii]
    response = [seeing_response(xy, flux, radius, fwhm) for radius in radii]
    ellipses = None
    if any(aperture.kind == KRON for aperture in apertures):
        shape = Ellipses(table["semi_major"], table["semi_minor"], np.radians(table["theta_deg"]))
        ellipses = kron_ellipses(shape, table["kron_radius"])
        # A Kron ellipse is about as large as the largest circle.
        crowding.append(crowding[int(np.argmax(radii))])
        response.append(response[int(np.argmax(radii))])
    alone = contamination(xy, flux, apertures[0].annulus_inner, fwhm) < ISOLATED_SHARE
    return TemplateSources(
        source_ids=table["source_id"].astype(np.int64),
        xy=xy,
        light=flux,
        flag=bits[:, None] | np.where(np.column_stack(crowding), np.int32(Flag.CROWDED), np.int32(0)),
        seeing_response=np.column_stack(response),
        isolated=alone & (table["flag"] == 0),
        ellipses=ellipses,
        apertures=apertures,
    )


def _fwhm(fwhm: NDArray[np.float64], flux: NDArray[np.float64]) -> float:
    """Median of the brighter half of the sources: the fainter ones' shapes are noise."""
    known = np.isfinite(fwhm) & np.isfinite(flux)
    if not known.any():
        return 1.0
    found = float(np.median(fwhm[known & (flux >= np.median(flux[known]))]))
    return found if found > 0 else 1.0
