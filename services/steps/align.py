"""`align`: where the reference's pixels lie on one frame, and how much of their stars' light it has."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pipeline.errors import UnusableDataError
from pipeline.frame.stars import star_list
from pipeline.registration.alignment import Alignment, align
from pipeline.registration.transparency import common_light
from schema.found import FoundAlignment, ReferenceFrame
from schema.image import CALIBRATED, Image
from schema.prepared import run as run_together
from schema.queries import frames, images
from schema.queries.finding import Finding
from schema.queries.reading import choice
from schema.skies import SourcePosition
from services.errors import DataError
from services.log import get_logger
from services.steps.shared.frame_alignment import alignment_row
from services.steps.shared.image_files import STARS, path_of
from services.steps.shared.needs import KNOWN, OWN, Each, required
from services.steps.shared.raw_frames import frame_path
from services.steps.shared.step import Context, Outputs, Parameters, Step

log = get_logger("align")
_FOUND = Finding(FoundAlignment)
# The `calibrate` whose image was chosen.
_REFERENCE = choice(
    select(Image.pid)
    .join(ReferenceFrame, ReferenceFrame.image_id == Image.image_id)
    .where(ReferenceFrame.pid == bindparam("told"))
)
_CHOSEN = (
    select(Image)
    .join(ReferenceFrame, ReferenceFrame.image_id == Image.image_id)
    .where(ReferenceFrame.pid == bindparam("told"))
)


class AlignParameters(Parameters):
    """PIDs of the `calibrate` whose image is aligned, and of what it is aligned with.

    That is the image of a `choose_reference`, or the sources that a `detect` knows on a template.
    """

    calibrated: int
    reference: int | None = None
    detected: int | None = None


def _template_stars(context: Context, session: Session, detected: int) -> NDArray[Any]:
    """The sources that `detect` measured on its template, as a star list; what was committed never changes."""
    return context.once("template stars", detected, lambda: _stars_of(session, detected))


def _reference_stars(context: Context, path: str) -> NDArray[Any]:
    """The star list of the reference, read once; its file never changes."""
    stars = context.once("reference stars", path, lambda: context.images.read_extra(path, STARS))
    stars.flags.writeable = False
    return stars


def _stars_of(session: Session, detected: int) -> NDArray[Any]:
    query = select(SourcePosition.x, SourcePosition.y, SourcePosition.flux).where(
        SourcePosition.pid == detected, SourcePosition.flux.is_not(None)
    )
    table = np.array([tuple(row) for row in session.execute(query)], dtype=np.float64).reshape(-1, 3)
    stars = star_list(table[:, :2], table[:, 2])
    stars.flags.writeable = False
    return stars


def run(context: Context, parameters: AlignParameters) -> Outputs:
    """Match the star lists; the reference itself is where it is.

    A frame that cannot be told alone is left to `select`, which knows its neighbours; among the sources of a known
    template it is measured at once, and fails.
    """
    with context.reading() as session:
        image = images.by_pid(session, parameters.calibrated)
        known = None
        if parameters.detected is not None:
            known = _template_stars(context, session, parameters.detected)
            reference = frames.reference_of(session, context.graph_pid)  # None: the template is another night's
        else:
            reference = context.once(
                "reference", parameters.reference, lambda: session.scalar(_CHOSEN, {"told": parameters.reference})
            )
    if image is None or (reference is None and known is None):
        raise DataError(f"process {context.pid}: its image or its reference is gone; publish the observation again")
    shape = (image.ny or 0, image.nx or 0)
    found: Alignment | None
    if reference is not None and image.image_id == reference.image_id:
        found, light = Alignment.identity(shape), 1.0
    else:
        of_reference = known if reference is None else _reference_stars(context, path_of(reference))
        assert of_reference is not None
        stars = context.images.read_extra(path_of(image), STARS)
        try:
            found = align(of_reference if known is None else known, stars, shape)
        except UnusableDataError as error:
            with context.reading() as session:
                reason = f"frame {frame_path(session, image)!r}: {error}"
            if known is not None:
                raise DataError(reason) from error
            log.warning("left to its neighbours", reason=reason)
            found = None
        # All frames of a graph are compared with the same stars: those of the template are measured otherwise.
        light = np.nan if found is None else common_light(of_reference, stars, found)
    row = alignment_row(image.image_id, context.pid, found, light)

    def write(session: Session) -> None:
        run_together(session, *_FOUND(**row))

    return write


ALIGN = Step(
    "align",
    AlignParameters,
    run,
    gives="shift, rotation, scale",
    each=Each.FRAME,
    needs=(
        required("calibrate", "calibrated"),
        required("choose_reference", "reference", template=OWN),
        required("detect", "detected", template=KNOWN),
    ),
    read_of={"reference": _REFERENCE},  # the frame, not the vote: that changes with each frame that joins
    opens=(CALIBRATED,),
    tables=(FoundAlignment,),
)
