"""`detect`: the sources of the template; known ones of the sky are recognised, the rest are registered as new."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.aperture.kron import Ellipses, kron_radii
from pipeline.frame.background import subtract_background
from pipeline.stack.stacking import Stack
from schema.image import TEMPLATE
from schema.photometry import Aperture
from schema.queries.measurements import insert_rows, none_for_nan
from schema.skies import Sky, SkyImage, Source, SourcePosition
from services.steps.shared.apertures import APERTURE_CHOICES, choose_apertures, write_apertures
from services.steps.shared.header_claim import claim_of, reference_frame
from services.steps.shared.needs import OWN, optional, required
from services.steps.shared.sky_registration import Found, register_sources, solution_of, wcs_of
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.shared.template_detection import detect_on, read_stack, template_of

COLUMNS = (
    "pid",
    "source_id",
    "x",
    "y",
    "flux",
    "flux_error",
    "fwhm",
    "ellipticity",
    "semi_major",
    "semi_minor",
    "theta_deg",
    "kron_radius",
    "flag",
)


class DetectParameters(Parameters):
    """PIDs of the `stack` that made the template and of the `solve` that may have found its WCS."""

    template: int
    solved: int | None = None


def run(context: Context, parameters: DetectParameters) -> Outputs:
    """Detect on the template, recognise what is known, and write down the graph's apertures, for `extract`."""
    with context.reading() as session:
        template = template_of(session, context, parameters.template)
        solution = solution_of(session, parameters.solved)
        reference = None if solution is not None else reference_frame(session, context)
        session.expunge_all()  # it outlives this session
    claim = claim_of(context, reference, template.shape)
    on_stack = detect_on(context, template)
    found = on_stack.sources
    apertures = choose_apertures(context.choices, template.frames)
    ellipses, kron_radius = _extents(read_stack(context, template), found)
    on_template = Found(
        template_id=template.image.image_id,
        xy=on_stack.xy,
        flux=found["flux"].astype(np.float64),
        shape=template.shape,
        wcs=wcs_of(solution),
        solution=solution,
        claim=None if claim is None else claim.wcs,
    )

    def write(session: Session) -> None:
        source_ids = register_sources(session, context, on_template)
        columns = on_stack.xy.T.tolist()
        columns += [none_for_nan(found[name]) for name in ("flux", "flux_error", "fwhm", "ellipticity")]
        columns += [
            none_for_nan(values) for values in (ellipses.a, ellipses.b, np.degrees(ellipses.theta), kron_radius)
        ]
        insert_rows(
            session,
            SourcePosition.__table__,
            COLUMNS,
            zip([context.pid] * found.size, source_ids, *columns, found["flag"].tolist(), strict=True),
        )
        write_apertures(session, context.graph_pid, context.observation_id, apertures)

    return write


def _extents(stack: Stack, found: NDArray[Any]) -> tuple[Ellipses, NDArray[np.float64]]:
    """The ellipses of the sources and their Kron radii, on the template without its sky."""
    blank = ~(stack.weight > 0)
    image, _ = subtract_background(np.where(blank, np.float32(np.nan), stack.image))
    del stack, blank
    mask = ~np.isfinite(image)
    image[mask] = 0.0  # sep multiplies masked pixels by zero
    shape = Ellipses(*(found[name].astype(np.float64) for name in ("a", "b", "theta")))
    return shape, kron_radii(image, np.column_stack([found["x"], found["y"]]), shape, mask)


DETECT = Step(
    "detect",
    DetectParameters,
    run,
    version=2,
    gives="sources; known stars recognised, wherever they were seen before; apertures",
    template=OWN,
    needs=(required("stack", "template"), optional("solve", into="solved")),
    reads=("detection_threshold",),
    passes_on=APERTURE_CHOICES,
    opens=(TEMPLATE,),
    anywhere=True,
    tables=(Sky, SkyImage, Source, SourcePosition, Aperture),
)
