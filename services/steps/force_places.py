"""`force_places`: where the places lie on the template at which flux is wanted, whatever is there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.frame.one_star import AGREE_FWHM
from pipeline.nearest import nearest_of
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.sky.proper_motion import moved
from schema.forced import ForcedPlace
from schema.observing import Observation
from schema.skies import Source, SourcePosition
from services.choices import Choices
from services.errors import DataError
from services.log import get_logger
from services.star_names import ForcedName, NamedPlace
from services.steps.shared.needs import optional, required
from services.steps.shared.sky_registration import wcs_of
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.shared.template_shape import across, template_shape
from services.steps.shared.template_sources import TemplateSources, template_sources
from services.steps.solve_later import SOLVERS, solution_among

log = get_logger("force_places")
JD_OF_DAY_0 = 1721424.5  # of date.toordinal(), at midnight
MIDNIGHT = 1.0  # days: the middle of a night is near the end of its date

Floats = NDArray[np.float64]


class ForcePlacesParameters(Parameters):
    """The places, PID of the `detect` that knows the sources, and those of what tried to solve the template."""

    places: tuple[ForcedName, ...]
    detected: int
    solvers: tuple[int, ...]


def run(context: Context, parameters: ForcePlacesParameters) -> Outputs:
    """Carry each place to the night by its proper motion, and to the template; name the source that is next to it."""
    places = [NamedPlace.of(text) for text in parameters.places]
    with context.reading() as session:
        wcs = wcs_of(solution_among(session, parameters.solvers))
        if wcs is None:
            raise DataError(
                f"process {context.pid}: the field has no sky coordinates, so that no place on the sky is known in it: "
                f"`tianyu status {context.observation_id}` says why it was not solved"
            )
        shape = template_shape(session, context.graph_pid)
        sources = template_sources(context, session, parameters.detected)
        night = session.get_one(Observation, context.observation_id).night
        of_night = select(SourcePosition.source_id).where(SourcePosition.pid == parameters.detected)
        query = select(Source.source_id, Source.ra_deg, Source.dec_deg).where(Source.source_id.in_(of_night))
        known = {
            source_id: (ra, dec) for source_id, ra, dec in session.execute(query) if ra is not None and dec is not None
        }
    rows = rows_of(places, wcs, shape, sources, night.toordinal() + JD_OF_DAY_0 + MIDNIGHT, known)
    log.info("places", asked=len(rows), inside=sum(row.inside for row in rows))
    for row in rows:
        row.pid, row.graph_pid, row.observation_id = context.pid, context.graph_pid, context.observation_id or 0
    return lambda session: session.add_all(rows)


def rows_of(
    places: Sequence[NamedPlace],
    wcs: SkyWcs,
    shape: tuple[int, int],
    sources: TemplateSources,
    jd: float,
    known: dict[int, tuple[float, float]],
) -> list[ForcedPlace]:
    """A row for each place, without the process and what it is of.

    Args:
        places: in the order of the list.
        wcs: of the template, of ``shape`` (ny, nx).
        sources: of the template.
        jd: of the night.
        known: (ra, dec), degrees, of sources that have coordinates.
    """
    pm_ra, pm_dec = np.array([place.motion for place in places]).T
    radec = moved(np.array([place.radec for place in places]), pm_ra, pm_dec, np.full(len(places), 2000.0), jd)
    xy = wcs.to_pixels(radec)
    ny, nx = shape
    # Comparisons with NaN, of a place on the other side of the sky, are False.
    inside = np.asarray((xy > -0.5).all(axis=1) & (xy[:, 0] < nx - 0.5) & (xy[:, 1] < ny - 0.5))
    found = np.asarray(np.isfinite(xy).all(axis=1))
    distance, nearest = np.full(len(places), np.inf), np.full(len(places), -1)
    if found.any():
        distance[found], nearest[found] = nearest_of(sources.xy, xy[found])
    agree = AGREE_FWHM * (sources.apertures[0].fwhm or 0.0)
    u, v = across(shape, xy)
    rows = []
    for number, place in enumerate(places):
        source_id = int(sources.source_ids[nearest[number]]) if inside[number] else None
        at = None if source_id is None else known.get(source_id)
        away = None if at is None else separation_arcsec(radec[[number]], np.array([at])).item()
        row = ForcedPlace(
            place=number,
            name=place.name,
            ra_deg=float(radec[number, 0]),
            dec_deg=float(radec[number, 1]),
            inside=bool(inside[number]),
            nearest_source_id=source_id,
            nearest_arcsec=away,
            is_source=bool(inside[number] and distance[number] <= agree),
        )
        if found[number]:
            row.x, row.y, row.u, row.v = (float(value[number]) for value in (*xy.T, u, v))
        rows.append(row)
    return rows


def places_in_field(session: Session, placed: int) -> list[ForcedPlace]:
    """Those that process ``placed`` found in the field, in the order of the list."""
    query = select(ForcedPlace).where(ForcedPlace.pid == placed, ForcedPlace.inside.is_(True))
    found = list(session.scalars(query.order_by(ForcedPlace.place)))
    if not found:
        log.info("no place lies in the field")
    return found


def wants_places(choices: Choices) -> bool:
    """Whether flux at places was asked for."""
    return bool(choices.forced_places)


NOT_ASKED = "no places were asked for (forced_places, or `tianyu publish {observation} --forced LIST`)"
FORCE_PLACES = Step(
    "force_places",
    ForcePlacesParameters,
    run,
    gives="places at which flux is wanted though nothing was found, on the template",
    needs=(required("detect", "detected"), optional(*SOLVERS, all_into="solvers")),
    chosen=lambda choices, _: {"places": choices.forced_places},
    anywhere=True,
    tables=(ForcedPlace,),
    joins=True,
    wanted=wants_places,
    unwanted="forced_places is empty; set it in tianyu.toml",
    missing=NOT_ASKED,
)
