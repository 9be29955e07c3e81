"""`choose_reference`: the frame that the others are aligned to; its pixels are the template's pixels."""

from collections.abc import Sequence
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer
from sqlalchemy import insert
from sqlalchemy.orm import Session

from pipeline.registration.reference import MINIMUM_STARS, choose_reference
from schema.base import table_of
from schema.found import ReferenceFrame
from schema.image import CALIBRATED, Image
from schema.queries import images
from services.errors import DataError
from services.steps.shared.image_columns import column
from services.steps.shared.needs import OWN, some_of
from services.steps.shared.step import Context, Outputs, Parameters, Step


class ChooseReferenceParameters(Parameters):
    """Image id of the frame that the operator gave; without it, it looks at all that its graph calibrated before."""

    frames: tuple[int, ...] = ()

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a frame it is told nothing, and has the key that it had before frames could be given."""
        values: dict[str, Any] = handler(self)
        return values if self.frames else {}


def run(context: Context, parameters: ChooseReferenceParameters) -> Outputs:
    """Take the given frame, else choose by star count, FWHM and background among the images that there are."""
    with context.reading() as session:
        everything = images.of_graph(session, context.graph_pid, CALIBRATED)
        rows = [row for row in everything if (row.pid or 0) < context.pid]  # without frames that came later
        given = _given(session, parameters.frames[0], rows) if parameters.frames else None
    if given is None:
        measures = (column(rows, name) for name in ("star_count", "fwhm", "background_rms", "ellipticity"))
        given = rows[choose_reference(*measures)]
    chosen = given.image_id

    def write(session: Session) -> None:
        session.execute(insert(table_of(ReferenceFrame)), {"pid": context.pid, "image_id": chosen})

    return write


def _given(session: Session, frame: int, rows: Sequence[Image]) -> Image:
    """The calibrated image of the given frame."""
    made_of = images.frames_of(session, [row.image_id for row in rows])
    image = next((row for row in rows if row.image_id in made_of and made_of[row.image_id].image_id == frame), None)
    name = f"frame {images.by_id(session, frame).path!r}, which was given as the reference (reference_frame)"
    if image is None:
        raise DataError(
            f"{name}, could not be calibrated, or came after the template of this graph was made: `tianyu status` has "
            "the reason; give another frame and publish again"
        )
    if (image.star_count or 0) < MINIMUM_STARS:
        raise DataError(
            f"{name}, shows {image.star_count or 0} stars, expected at least {MINIMUM_STARS}: give another frame and "
            "publish again"
        )
    return image


CHOOSE_REFERENCE = Step(
    "choose_reference",
    ChooseReferenceParameters,
    run,
    gives="the frame that the others are aligned to",
    template=OWN,
    needs=(some_of("calibrate"),),
    tables=(ReferenceFrame,),
)
