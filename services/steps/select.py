"""`select`: which images are good; the others keep their reason and get weight 0 in the stack.

It is the first that sees the whole night, so that alignments are judged here, and found again by their neighbours'.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.detector.sky_gain import MOST_CORRELATION, gain_of_sky, neighbour_correlation
from pipeline.registration.alignment import Alignment
from pipeline.registration.night_alignment import align_night, contradicting, contradiction
from pipeline.registration.transparency import common_light, relative_to_clearest
from pipeline.stack import frame_selection
from schema.base import table_of
from schema.found import FoundAlignment, Rejection, Verdict
from schema.frame import Frame
from schema.image import CALIBRATED, Image
from schema.queries import frames
from schema.queries.finding import insert_found
from schema.queries.measurements import none_for_nan
from services.log import get_logger
from services.steps.align import ALIGN
from services.steps.calibrate import CALIBRATE
from services.steps.shared.frame_alignment import alignment_of, alignment_row
from services.steps.shared.image_columns import column
from services.steps.shared.image_files import STARS, path_of
from services.steps.shared.needs import KNOWN, named, some_of
from services.steps.shared.noise_facts import gain_is_told
from services.steps.shared.raw_frames import failures, frame_path
from services.steps.shared.step import Context, Outputs, Parameters, Step

log = get_logger("select")
NOISE_FRAMES = 3  # whose pixels are looked at
# Of frames: by what they are judged, and what tells the gain.
ALIGNED = ("dx", "dy", "rotation_deg", "scale", "alignment_rms", "alignment_matches", "light")
JUDGED = ("image_id", "pid", "path", "deleted_at", "nx", "ny", "jd_utc", "star_count", "fwhm", "ellipticity", *ALIGNED)
NOISE = ("background", "background_rms")
GAIN = ("gain", "gain_source")
NOT_ALIGNED = "could not be aligned: `tianyu status` has the reason"  # no fault of the frame


class SelectParameters(Parameters):
    """It looks at all calibrated images of its graph; PID of the `detect` on whose template some were measured."""

    detected: int | None = None


@dataclass(frozen=True)
class _Aligned:
    """The images of a night with their alignments judged together: ``[n]`` each."""

    alignments: list[Alignment | None]
    reasons: list[str]  # why one is not believed, else empty
    light: NDArray[np.float64]  # of the common stars, over the reference's
    renewed: list[dict[str, Any]]  # rows of those that were found again


def run(context: Context, parameters: SelectParameters) -> Outputs:
    """Judge the images, and carry the reasons of frames that could not even be calibrated to their rows."""
    with context.reading() as session:
        reference = frames.reference_of(session, context.graph_pid) if parameters.detected is None else None
        columns = (*JUDGED, *NOISE) if reference is None else (*JUDGED, *NOISE, *GAIN)
        rows = frames.of_graph(session, context.graph_pid, context.pid, columns)
        stacked = _stacked(session, context, parameters)
        unusable = failures(session, context.graph_pid, CALIBRATE)
        not_aligned = {align.calibrated: error for align, error in failures(session, context.graph_pid, ALIGN)}
        frame_paths = {row.image_id: frame_path(session, row) for row in rows if row.dx is None}
    night = _aligned(context, rows, reference, frame_paths)
    aligned = np.array([one is not None for one in night.alignments], np.bool_)
    # A frame that could not be aligned is judged as missing, whatever else it shows.
    star_count = np.where(aligned, column(rows, "star_count"), np.nan)
    transparency = relative_to_clearest(np.where(aligned, night.light, np.nan))
    judged = frame_selection.select(
        star_count,
        column(rows, "background_rms"),
        fwhm=column(rows, "fwhm"),
        ellipticity=column(rows, "ellipticity"),
        alignment_rms=[np.nan if one is None else one.rms for one in night.alignments],
        transparency=transparency,
    )
    gain, gain_error = _gain_of(stacked) if reference is None else _gain(context, rows, judged.good)
    verdicts: list[dict[str, Any]] = []
    for number, (row, clear) in enumerate(zip(rows, none_for_nan(transparency), strict=True)):
        reason = "; ".join(filter(None, (night.reasons[number], judged.reason[number])))
        if not aligned[number]:
            reason = not_aligned.get(row.pid) or night.reasons[number] or NOT_ALIGNED
        verdicts.append(
            {
                "image_id": row.image_id,
                "pid": context.pid,
                "good": not reason,
                "reason": reason or None,
                "weight": float(not reason),
                "transparency": clear,
                "gain": gain,
                "gain_error": gain_error,
            }
        )

    def write(session: Session) -> None:
        insert_found(session, table_of(Verdict), verdicts)
        insert_found(session, table_of(FoundAlignment), night.renewed)
        frames.reject(session, {calibrate.frame: error for calibrate, error in unusable}, context.pid)

    return write


def _stacked(session: Session, context: Context, parameters: SelectParameters) -> list[Frame]:
    """Frames of this graph that made the template on which others were measured, as `detect` saw them."""
    if parameters.detected is None:
        return []
    return [row for row in frames.of_graph(session, context.graph_pid, parameters.detected) if row.weight]


def _gain_of(stacked: list[Frame]) -> tuple[float | None, float | None]:
    """The gain that all frames were measured by, which no later frame changes."""
    return next(((row.gain, row.gain_error) for row in stacked if not gain_is_told(row)), (None, None))


def _gain(context: Context, rows: list[Frame], good: NDArray[np.bool_]) -> tuple[float, float] | tuple[None, None]:
    """Gain and its error of a night whose gain nobody told, before `extract` takes it into its errors."""
    if any(gain_is_told(row) for row in rows):
        return None, None
    level, rms = column(rows, "background"), column(rows, "background_rms")
    found = gain_of_sky(level[good], rms[good])
    looked_at = [row for row, use in zip(rows, good, strict=True) if use][:: max(1, int(good.sum()) // NOISE_FRAMES)]
    if found is not None:
        correlation = float(
            np.median(
                [
                    neighbour_correlation(context.images.read(path_of(row)), row.background_rms or 0.0)
                    for row in looked_at
                ]
            )
        )
        if correlation > MOST_CORRELATION:
            log.warning("no gain measured: the noise of neighbouring pixels is alike", correlation=correlation)
            found = None
    return (None, None) if found is None else (found.value, found.error)


def _aligned(context: Context, rows: list[Frame], reference: Image | None, frame_paths: Mapping[int, str]) -> _Aligned:
    """The alignments, judged by each other where the frames have a reference among them.

    Frames on a template that was there were measured at once: nothing is found again there.
    """
    alone = [None if row.dx is None else alignment_of(row) for row in rows]
    light = column(rows, "light")
    found = _Aligned(alone, [""] * len(rows), light, [])
    order = sorted(range(len(rows)), key=lambda number: (rows[number].jd_utc or 0.0, rows[number].pid or 0))
    in_order = [alone[number] for number in order]
    star_counts = [rows[number].star_count or 0 for number in order]
    if reference is None:
        shape = (rows[0].ny or 0, rows[0].nx or 0) if rows else (0, 0)
        for number, contradicts in zip(order, contradicting(in_order, star_counts, shape), strict=True):
            one = alone[number]
            if contradicts and one is not None:
                found.reasons[number] = contradiction(one)
        return found
    stars = context.images.read_extra(path_of(reference), STARS)
    judged = align_night(
        in_order,
        star_counts,
        stars,
        lambda place: context.images.read_extra(path_of(rows[order[place]]), STARS),
        (reference.ny or 0, reference.nx or 0),
    )
    for number, verdict in zip(order, judged, strict=True):
        row, alignment = rows[number], verdict.alignment
        found.reasons[number] = verdict.reason
        if alignment is None:
            found.reasons[number] = (
                f"frame {frame_paths[row.image_id]!r}: no alignment of {row.star_count or 0} stars with the "
                f"reference's {len(stars)} is better than chance: {verdict.reason}"
            )
        elif verdict.renewed:
            found.alignments[number] = alignment
            own = context.images.read_extra(path_of(row), STARS)
            light[number] = common_light(stars, own, alignment)
            found.renewed.append(alignment_row(row.image_id, context.pid, alignment, light[number]))
    return found


SELECT = Step(
    "select",
    SelectParameters,
    run,
    gives="good or not, with the reason; alignments that the neighbours tell; the gain where nobody tells it",
    needs=(some_of("align", or_no_good=True), named("detect", "detected", template=KNOWN)),
    opens=(CALIBRATED,),
    tables=(Verdict, FoundAlignment, Rejection),
)
