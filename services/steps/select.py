"""`select`: which images are good; the others keep their reason and get weight 0 in the stack."""

import numpy as np
from sqlalchemy import select as sql_select
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline import selection
from schema.images import CALIBRATED, Image
from schema.processes import FAILED, Process
from schema.queries import images
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.columns import column


class SelectParameters(Parameters):
    """Nothing: it looks at all calibrated images of its graph."""


def run(context: Context, _: SelectParameters) -> Outputs:
    """Judge the images, and carry the reasons of frames that could not even be calibrated to their rows."""
    with context.reading() as session:
        rows = images.of_graph(session, context.graph_pid, CALIBRATED)
        failed = session.execute(
            sql_select(Process.parameters, Process.error).where(
                Process.graph_pid == context.graph_pid,
                Process.command == CALIBRATE.command,
                Process.status == FAILED,
            )
        ).all()
    aligned = np.isfinite(column(rows, "dx"))
    # A frame that could not be aligned is judged as missing, whatever else it shows.
    star_count = np.where(aligned, column(rows, "star_count"), np.nan)
    judged = selection.select(
        star_count,
        column(rows, "background_rms"),
        fwhm=column(rows, "fwhm"),
        ellipticity=column(rows, "ellipticity"),
        alignment_rms=column(rows, "alignment_rms"),
    )
    updates = [
        {
            "image_id": row.image_id,
            "good": bool(good),
            "reject_reason": (reason or None) if was_aligned else "could not be aligned",
            "weight": float(good),
            "select_pid": context.pid,
        }
        for row, good, reason, was_aligned in zip(rows, judged.good, judged.reason, aligned, strict=True)
    ]
    unreadable = [
        {
            "image_id": CalibrateParameters.model_validate_json(raw).frame,
            "good": False,
            "reject_reason": error or "calibration failed",
        }
        for raw, error in failed
    ]

    def write(session: Session) -> None:
        session.execute(update(Image), updates + [row | {"select_pid": context.pid} for row in unreadable])

    return write


SELECT = Step("select", SelectParameters, run)
