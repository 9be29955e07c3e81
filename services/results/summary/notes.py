"""What a reader of an observation's light curves should know about them, in sentences."""

from collections import defaultdict

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from pipeline.relative import Relaxation
from pipeline.relative.grouped import POSITION_BINS
from schema.frame import SKY, Frame
from schema.image import CALIBRATED, Image, ImageParent
from schema.observing import Observation
from schema.photometry import RelativeCalibration
from schema.processes import FAILED, Process
from schema.queries.frames import REJECTED
from services.alike import gather
from services.engine.publisher.replaced import replaced
from services.frame_notes import frame_notes
from services.masters import Master, masters_used
from services.shown import processes

RELAXED = {  # what was let in for lack of better reference stars
    Relaxation.RARE_FLAGS: "stars with rare flags",
    Relaxation.NEIGHBOURS: "stars with near neighbours",
    Relaxation.RARE_GAPS: "stars missing from some frames",
    Relaxation.ALL: "all stars measured in half of the frames",
}
FEWEST_GROUPS = POSITION_BINS**2  # of the grouped method, in a field of enough stars


def notes_on(session: Session, observation: Observation, unjudged: int) -> list[str]:
    """What a reader of the light curves should know; ``unjudged`` frames are neither used nor rejected."""
    calibrated = (Image.graph_pid == observation.graph_pid, Image.kind == CALIBRATED)
    notes = []
    parent = aliased(Image)
    parents = session.execute(
        select(parent.kind, parent.observation_id)
        .distinct()
        .join(ImageParent, ImageParent.parent_id == parent.image_id)
        .join(Image, Image.image_id == ImageParent.image_id)
        .where(*calibrated)
    ).all()
    images = session.scalar(select(func.count()).where(*calibrated)) or 0
    if images == 1:
        notes.append("it has one frame: a light curve needs several")
    missing = [one for one in masters_used(session, observation.graph_pid) if one.lacking]
    if missing:
        alike = gather(missing, lambda one: (one.why, one.lacking))
        named = (f"{', '.join(one.kind for one in group)} ({_why(group[0], images)})" for group in alike)
        notes.append(f"calibrated without {'; '.join(named)}")
    rejected = session.execute(
        select(Image.kind, func.count())
        .where(
            Image.observation_id.in_({id_ for _, id_ in parents} - {observation.observation_id}),
            Image.pid.is_(None),
            REJECTED,
        )
        .group_by(Image.kind)
        .order_by(Image.kind)
    )
    notes += [f"{count} {kind} frames were rejected: view frame has the reasons" for kind, count in rejected]
    for column, note in (
        (Frame.gain, "of unknown gain: relative errors are scaled to what like stars scatter; set gain in tianyu.toml"),
        (Frame.jd_utc, "without a time: their headers tell no date of exposure"),
        (Frame.bjd_tdb, "without barycentric time: their headers tell no pointing"),
    ):
        of_graph = Frame.graph_pid == observation.graph_pid
        lacking = session.scalar(select(func.count()).where(of_graph, column.is_(None))) or 0
        if lacking:
            notes.append(f"{lacking} of {images} calibrated frames {note}")
    notes += frame_notes(session, {observation.observation_id: observation.graph_pid})[observation.observation_id]
    notes += _gain_notes(session, observation)
    notes += _calibration_notes(session, observation)
    failures = (Process.graph_pid == observation.graph_pid, Process.status == FAILED)
    failed = session.scalar(select(func.count()).where(*failures)) or 0
    if failed:
        failed -= sum(one.status == FAILED for one in replaced(session, [observation.graph_pid or 0]))
    if unjudged > 0:
        notes.append(f"{unjudged} frames are neither used nor rejected: their processes did not get that far")
    if failed:
        notes.append(f"{processes(failed)} failed: `tianyu status {observation.observation_id}` has the reasons")
    return notes


def _why(master: Master, images: int) -> str:
    return master.why if master.lacking == images else f"{master.why}, {master.lacking} of {images} frames"


def _gain_notes(session: Session, observation: Observation) -> list[str]:
    """A gain that was measured in the night's sky."""
    of_sky = select(Frame.gain, Frame.gain_error).where(
        Frame.graph_pid == observation.graph_pid, Frame.gain_source == SKY
    )
    return [
        f"no header tells the gain: by the night's sky it is {gain:.3g} ± {error or 0.0:.2g} e-/ADU; "
        "relative errors are scaled to what like stars scatter; set gain in tianyu.toml"
        for gain, error in session.execute(of_sky.limit(1))
    ]


def _calibration_notes(session: Session, observation: Observation) -> list[str]:
    """Where a field was too poor for the rules of reference stars, by method; the worst aperture speaks."""
    rows = session.scalars(
        select(RelativeCalibration)
        .join(Process, Process.pid == RelativeCalibration.pid)
        .where(Process.graph_pid == observation.graph_pid)
        .order_by(RelativeCalibration.pid, RelativeCalibration.aperture)
    )
    by_method: dict[str, list[RelativeCalibration]] = defaultdict(list)
    for row in rows:
        by_method[row.method].append(row)
    notes = []
    for method, found in by_method.items():
        relaxation = max(Relaxation[row.relaxation.upper()] for row in found)
        if relaxation is not Relaxation.NONE:
            notes.append(f"few good reference stars: method {method} let in {RELAXED[relaxation]}")
        groups = min(row.reference_groups for row in found)
        if method == "paper" and groups < FEWEST_GROUPS:
            made = f"made {groups} group{'' if groups == 1 else 's'} instead of at least {FEWEST_GROUPS}"
            notes.append(f"few reference stars: method {method} {made}")
    return notes
