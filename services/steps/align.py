"""`align`: where the reference's pixels lie on one frame, and how much of their stars' light it has."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from pipeline.alignment import Alignment, align
from pipeline.stars import star_list
from pipeline.transparency import common_light
from schema.base import table_of
from schema.found import FoundAlignment, ReferenceFrame
from schema.frames import Frame
from schema.images import CALIBRATED, Image, ImageParent
from schema.queries import frames, images
from schema.queries.reading import choice
from schema.skies import SourcePosition
from services.errors import DataError
from services.log import get_logger
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.files import STARS, path_of
from services.steps.frames import errors_name
from services.steps.needs import KNOWN, OWN, Each, required

log = get_logger("align")
# The `calibrate` whose image was chosen.
_REFERENCE = choice(
    select(Image.pid)
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


def alignment_of(frame: Frame) -> Alignment:
    """The alignment that was found of a frame.

    Raises:
        DataError: none was.
    """
    if frame.dx is None or frame.dy is None:
        raise DataError(f"image {frame.image_id} ({frame.path}) is not aligned")
    centre = Alignment.identity((frame.ny or 0, frame.nx or 0))
    return Alignment(
        dx=frame.dx,
        dy=frame.dy,
        rotation=frame.rotation_deg or 0.0,
        scale=frame.scale or 1.0,
        center_x=centre.center_x,
        center_y=centre.center_y,
        rms=frame.alignment_rms or 0.0,
        matches=frame.alignment_matches or 0,
    )


def frame_path(session: Session, image: Image | Frame | None) -> str:
    """Path of the frame that was calibrated to the image: what the operator knows it by."""
    if image is None:
        return ""
    query = (
        select(Image.path)
        .join(ImageParent, ImageParent.parent_id == Image.image_id)
        .where(ImageParent.image_id == image.image_id, Image.pid.is_(None))
    )
    return session.scalar(query) or image.path


def _template_stars(session: Session, detected: int) -> NDArray[Any]:
    """The sources that `detect` measured on its template, as a star list."""
    query = select(SourcePosition.x, SourcePosition.y, SourcePosition.flux).where(
        SourcePosition.pid == detected, SourcePosition.flux.is_not(None)
    )
    table = np.array([tuple(row) for row in session.execute(query)], dtype=np.float64).reshape(-1, 3)
    return star_list(table[:, :2], table[:, 2])


def run(context: Context, parameters: AlignParameters) -> Outputs:
    """Match the star lists; the reference itself is where it is.

    A frame that cannot be told alone is left to `select`, which knows its neighbours; among the sources of a known
    template it is measured at once, and fails.
    """
    with context.reading() as session:
        image = images.by_pid(session, parameters.calibrated)
        known = None
        if parameters.detected is not None:
            known = _template_stars(session, parameters.detected)
            reference = frames.reference_of(session, context.graph_pid)  # None: the template is another night's
        else:
            chosen = select(ReferenceFrame.image_id).where(ReferenceFrame.pid == parameters.reference)
            reference = session.scalar(select(Image).where(Image.image_id == chosen.scalar_subquery()))
        path = frame_path(session, image)
    if image is None or (reference is None and known is None):
        raise DataError(f"process {context.pid}: its image or its reference is gone; publish the observation again")
    shape = (image.ny or 0, image.nx or 0)
    found: Alignment | None
    if reference is not None and image.image_id == reference.image_id:
        found, light = Alignment.identity(shape), 1.0
    else:
        of_reference = known if reference is None else context.images.read_extra(path_of(reference), STARS)
        assert of_reference is not None
        stars = context.images.read_extra(path_of(image), STARS)
        try:
            with errors_name(path):
                found = align(of_reference if known is None else known, stars, shape)
        except DataError as error:
            if known is not None:
                raise
            log.warning("left to its neighbours", reason=str(error))
            found = None
        # All frames of a graph are compared with the same stars: those of the template are measured otherwise.
        light = np.nan if found is None else common_light(of_reference, stars, found)
    row = alignment_row(image.image_id, context.pid, found, light)

    def write(session: Session) -> None:
        session.execute(insert(table_of(FoundAlignment)), row)

    return write


def alignment_row(image_id: int, pid: int, found: Alignment | None, light: float) -> dict[str, Any]:
    """What process ``pid`` found of an image, None for nothing; ``light`` of common stars, over the reference's."""
    names = ("dx", "dy", "rotation", "scale", "rms", "matches")
    columns = ("dx", "dy", "rotation_deg", "scale", "rms", "matches")
    values = (None if found is None else getattr(found, name) for name in names)
    known = light if np.isfinite(light) else None
    return {"image_id": image_id, "pid": pid, **dict(zip(columns, values, strict=True)), "light": known}


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
