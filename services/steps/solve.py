"""`solve`: where the template is on the sky, by what answers within seconds, or why that is not known yet.

It succeeds either way: `detect` waits for it, and goes on without coordinates. `solve_index` and `solve_archive` seek
longer what it did not find, while the frames are measured.
"""

from collections.abc import Callable

import numpy as np
from sqlalchemy.orm import Session

from schema.image import TEMPLATE
from schema.skies import PlateSolution
from services.errors import DataError
from services.log import get_logger
from services.sky.catalogue import faintest_mag
from services.sky.solving.hints import Hints, hints_of, with_claim
from services.sky.solving.solution import Field, Solution, Unsolved
from services.sky.solving.solver import solve_at_once
from services.sky.solving.solvers import Solvers, open_solvers
from services.steps.shared.header_claim import claim_of, reference_frame
from services.steps.shared.header_rows import sky_cards
from services.steps.shared.image_columns import column
from services.steps.shared.image_files import path_of
from services.steps.shared.needs import OWN, required
from services.steps.shared.sky_registration import give_coordinates
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.shared.template_detection import Template, detect_on, template_of

log = get_logger("solve")
ARCHIVE_S = 4.0  # that measuring waits for the archive's answers; a slow one is asked again by `solve_archive`

Way = Callable[[Field, Hints, Solvers], Solution | Unsolved]


class SolveParameters(Parameters):
    """PID of the `stack` that made the template."""

    template: int


def run(context: Context, parameters: SolveParameters) -> Outputs:
    """Solve, and write the WCS into the template's header; its row says what was found, or what was tried."""
    mag_limit = faintest_mag(context.choices)

    def at_once(field: Field, hints: Hints, solvers: Solvers) -> Solution | Unsolved:
        return solve_at_once(field, hints, solvers, mag_limit)

    return solve_by(context, parameters, open_solvers(context.deployment, context.choices, ARCHIVE_S), at_once)


def solve_by(context: Context, parameters: SolveParameters, solvers: Solvers, way: Way) -> Outputs:
    """Solve a template in one way; the sources that it has already, if any, get their coordinates."""
    with context.reading() as session:
        template = template_of(session, context, parameters.template)
        hints = hints_of(session, context.observation_id, context.choices)
        reference = reference_frame(session, context)
    hints = with_claim(hints, claim_of(context, reference, template.shape))
    # Without any way to solve the template is not even read: milliseconds.
    found = (
        _solve(context, template, hints, solvers, way) if solvers.can_try(hints) else Unsolved(solvers.reason(hints))
    )
    if isinstance(found, Unsolved):
        log.warning("template is not solved", reason=found.reason)
    else:
        wcs = found.fit.wcs
        context.images.add_cards(path_of(template.image), wcs.cards() | sky_cards(wcs.centre(template.shape), None))
    image_id = template.image.image_id
    facts = _facts(found, template.shape)

    def write(session: Session) -> None:
        solution = PlateSolution(pid=context.pid, image_id=image_id, observation_id=context.observation_id, **facts)
        session.add(solution)
        session.flush()
        if solution.solved:
            give_coordinates(session, context, solution)

    return write


def _solve(context: Context, template: Template, hints: Hints, solvers: Solvers, way: Way) -> Solution | Unsolved:
    """Detect the stars as `detect` does, and find them on the sky."""
    try:
        found = detect_on(context, template)
    except DataError as error:
        return Unsolved(str(error))
    times = column(template.frames, "jd_utc")
    jd = float(np.nanmedian(times)) if np.isfinite(times).any() else None
    return way(Field(found.xy, found.sources["flux"].astype(np.float64), template.shape, jd), hints, solvers)


def _facts(found: Solution | Unsolved, shape: tuple[int, int]) -> dict[str, object]:
    """Columns of plate_solution."""
    if isinstance(found, Unsolved):
        return {"solved": False, "reason": found.reason}
    fit, wcs = found.fit, found.fit.wcs
    ra, dec = wcs.centre(shape)
    return {
        "solved": True,
        "solver": found.solver,
        "ra_deg": ra,
        "dec_deg": dec,
        "radius_deg": wcs.radius(shape),
        "pixel_scale_arcsec": wcs.pixel_scale(shape),
        "position_angle_deg": wcs.position_angle(shape),
        "mirrored": wcs.mirrored,
        "sip_degree": fit.degree,
        "matches": fit.matches,
        "rms_arcsec": fit.rms_arcsec,
        "wcs": wcs.text(),
    }


READS = (
    *("catalog", "catalog_file", "catalog_mag_limit", "detection_threshold"),
    *("pixel_scale_arcsec", "solve_radec", "solve_radius_deg"),
)
SOLVE = Step(
    "solve",
    SolveParameters,
    run,
    version=2,
    gives="WCS by what answers within seconds, or the reason why there is none",
    template=OWN,
    needs=(required("stack", "template"),),
    reads=READS,
    opens=(TEMPLATE,),
    anywhere=True,
    tables=(PlateSolution,),
    missing="not tried: the graph is older than plate solving; `tianyu rerun --from solve {observation}` tries it",
)
