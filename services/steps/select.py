"""`select`: which images are good; the others keep their reason and get weight 0 in the stack."""

from typing import Any

import numpy as np
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline import selection
from pipeline.transparency import relative_to_clearest
from schema.images import CALIBRATED, Image
from schema.queries import images
from schema.queries.measurements import none_for_nan
from services.steps.align import ALIGN
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.calibrate import CALIBRATE
from services.steps.columns import column
from services.steps.frames import failures, rejection

NOT_ALIGNED = "could not be aligned: `tianyu status` has the reason"  # no fault of the frame


class SelectParameters(Parameters):
    """Nothing: it looks at all calibrated images of its graph."""


def run(context: Context, _: SelectParameters) -> Outputs:
    """Judge the images, and carry the reasons of frames that could not even be calibrated to their rows."""
    with context.reading() as session:
        rows = images.of_graph(session, context.graph_pid, CALIBRATED)
        unusable = failures(session, context.graph_pid, CALIBRATE)
        not_aligned = {align.calibrated: error for align, error in failures(session, context.graph_pid, ALIGN)}
    aligned = np.isfinite(column(rows, "dx"))
    # A frame that could not be aligned is judged as missing, whatever else it shows.
    star_count = np.where(aligned, column(rows, "star_count"), np.nan)
    transparency = relative_to_clearest(np.where(aligned, column(rows, "transparency"), np.nan))
    judged = selection.select(
        star_count,
        column(rows, "background_rms"),
        fwhm=column(rows, "fwhm"),
        ellipticity=column(rows, "ellipticity"),
        alignment_rms=column(rows, "alignment_rms"),
        transparency=transparency,
    )
    updates: list[dict[str, Any]] = [
        {
            "image_id": row.image_id,
            "good": bool(good),
            "reject_reason": (reason or None) if was_aligned else not_aligned.get(row.pid, NOT_ALIGNED),
            "weight": float(good),
            "select_pid": context.pid,
            "transparency": clear,
        }
        for row, good, reason, was_aligned, clear in zip(
            rows, judged.good, judged.reason, aligned, none_for_nan(transparency), strict=True
        )
    ]
    updates += [rejection(calibrate.frame, error, context.pid) for calibrate, error in unusable]

    def write(session: Session) -> None:
        if updates:
            session.execute(update(Image), updates)

    return write


SELECT = Step("select", SelectParameters, run)
