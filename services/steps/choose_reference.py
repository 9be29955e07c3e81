"""`choose_reference`: the frame that the others are aligned to; its pixels are the template's pixels."""

from sqlalchemy import insert
from sqlalchemy.orm import Session

from pipeline.registration.reference import choose_reference
from schema.base import table_of
from schema.found import ReferenceFrame
from schema.image import CALIBRATED
from schema.queries import images
from services.steps.shared.image_columns import column
from services.steps.shared.needs import OWN, some_of
from services.steps.shared.step import Context, Outputs, Parameters, Step


class ChooseReferenceParameters(Parameters):
    """Nothing: it looks at all images of its graph that were calibrated before."""


def run(context: Context, _: ChooseReferenceParameters) -> Outputs:
    """Choose by star count, FWHM and background among the images that there are."""
    with context.reading() as session:
        everything = images.of_graph(session, context.graph_pid, CALIBRATED)
        rows = [row for row in everything if (row.pid or 0) < context.pid]  # without frames that came later
    index = choose_reference(
        column(rows, "star_count"), column(rows, "fwhm"), column(rows, "background_rms"), column(rows, "ellipticity")
    )
    chosen = rows[index].image_id

    def write(session: Session) -> None:
        session.execute(insert(table_of(ReferenceFrame)), {"pid": context.pid, "image_id": chosen})

    return write


CHOOSE_REFERENCE = Step(
    "choose_reference",
    ChooseReferenceParameters,
    run,
    gives="the frame that the others are aligned to",
    template=OWN,
    needs=(some_of("calibrate"),),
    tables=(ReferenceFrame,),
)
