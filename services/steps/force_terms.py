"""`force_terms`: by what fluxes at places are divided on each image, as the light curves that the views show are."""

import numpy as np
from sqlalchemy.orm import Session

from pipeline.light_curves import LightCurves
from pipeline.relative import faint_error_factor, frame_terms
from schema.forced import ForcedTerm
from schema.queries.measurements import flux_matrices, insert_rows
from services.steps.force_places import NOT_ASKED, places_in_field, wants_places
from services.steps.shared.fixed_calibration import fixed_of
from services.steps.shared.graph_fluxes import graph_axes
from services.steps.shared.needs import Each, required
from services.steps.shared.step import Context, Outputs, Parameters, Step

COLUMNS = ("placed_pid", "place", "image_id", "aperture", "pid", "term", "term_error", "error_factor")


class ForceTermsParameters(Parameters):
    """PIDs of the `calibrate_relative` whose reference stars are gone by, and of the `force_places`."""

    calibration: int
    placed: int


def run(context: Context, parameters: ForceTermsParameters) -> Outputs | None:
    """Divide a constant star at each place by the reference stars of the calibration, each aperture by itself."""
    with context.reading() as session:
        places = places_in_field(session, parameters.placed)
        if not places:
            return None
        axes = graph_axes(session, context.graph_pid, context.pid)
        fixed = fixed_of(session, context.pid, axes, parameters.calibration)
        rows: list[tuple[object, ...]] = []
        xy = np.array([(row.x, row.y) for row in places])
        for aperture, told in fixed.items():
            used = np.flatnonzero(told.is_reference)
            [(_, raw)] = flux_matrices(session, [aperture], axes.source_ids[used], axes.image_ids)
            stars = LightCurves(*raw, axes.good, axes.xy[used], axes.time)
            term, error = frame_terms(stars, told.stars(used), xy, axes.light_reach[aperture])
            factor = faint_error_factor(told, axes.brightness)
            for place, image in zip(*np.nonzero(np.isfinite(term) & np.isfinite(error)), strict=True):
                key = (parameters.placed, places[place].place, int(axes.image_ids[image]), aperture, context.pid)
                rows.append((*key, float(term[place, image]), float(error[place, image]), factor))

    def write(session: Session) -> None:
        insert_rows(session, ForcedTerm.__table__, COLUMNS, rows)

    return write


FORCE_TERMS = Step(
    "force_terms",
    ForceTermsParameters,
    run,
    gives="what divides fluxes at places by the light of the reference stars",
    each=Each.SHOWN,
    needs=(required("calibrate_relative", "calibration"), required("force_places", "placed")),
    anywhere=True,
    tables=(ForcedTerm,),
    joins=True,
    wanted=wants_places,
    missing=NOT_ASKED,
)
