"""`extract`: aperture fluxes of the template's sources on one calibrated image, at sub-pixel positions."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.photometry import Apertures, measure
from schema.photometry import Aperture
from schema.queries import images
from schema.queries.measurements import insert_fluxes
from schema.skies import SourcePosition
from services.errors import DataError
from services.steps.align import alignment_of
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.calibrate import saturated_mask
from services.steps.files import PIXELS, path_of


class ExtractParameters(Parameters):
    """PIDs of the `calibrate` whose image is measured and of the `detect` that knows the sources."""

    calibrated: int
    detected: int


def run(context: Context, parameters: ExtractParameters) -> Outputs:
    """Carry the sources to the frame by its alignment, and measure; the image is never resampled."""
    with context.reading() as session:
        image = images.by_pid(session, parameters.calibrated)
        sources = session.execute(
            select(SourcePosition.source_id, SourcePosition.x, SourcePosition.y)
            .where(SourcePosition.pid == parameters.detected)
            .order_by(SourcePosition.source_id)
        ).all()
        apertures = session.scalars(
            select(Aperture).where(Aperture.graph_pid == context.graph_pid).order_by(Aperture.aperture)
        ).all()
    if image is None or not sources or not apertures:
        raise DataError(f"process {context.pid}: its image or its sources are gone; publish the observation again")
    table = np.array([tuple(row) for row in sources], dtype=np.float64)
    stored = context.images.read_all(path_of(image), (PIXELS,))
    first = apertures[0]
    measured = measure(
        stored.image,
        alignment_of(image).to_frame(table[:, 1:]),
        Apertures(tuple(a.radius for a in apertures), (first.annulus_inner, first.annulus_outer)),
        gain=image.gain,
        background_rms=image.background_rms or 0.0,
        background_level=image.background or 0.0,
        read_noise=image.read_noise,
        saturated=saturated_mask(stored.extras[PIXELS], (image.ny or 0, image.nx or 0)),
    )
    source_ids = table[:, 0].astype(np.int64)
    image_id = image.image_id

    def write(session: Session) -> None:
        insert_fluxes(session, image_id, source_ids, measured.flux, measured.error, measured.flag)

    return write


EXTRACT = Step("extract", ExtractParameters, run)
