"""The WCS that a night's own frames bring along in their headers: a claim about the template, to be verified."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.errors import UnusableDataError
from pipeline.registration.alignment import Alignment
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from schema.image import Image, ImageParent
from schema.observing import LIGHT
from schema.queries import frames
from schema.queries.images import site_id_of
from schema.travels import WcsClaim
from services.errors import DataError, LostFrameError
from services.frame_geometry import readout_of
from services.log import get_logger
from services.sky.solving.hints import Claim
from services.steps.shared.step import Context

log = get_logger("solve")


@dataclass(frozen=True)
class Reference:
    """The frame that the others of a graph are aligned to: its pixels are the template's.

    ``told``: the WCS of its header as its own site told it (`pack`), where the frame is not here.
    """

    frame: Image
    is_here: bool = True
    told: str | None = None


def reference_frame(session: Session, context: Context) -> Reference | None:
    """The reference of a process's graph."""
    calibrated = frames.reference_of(session, context.graph_pid)
    if calibrated is None:
        return None
    frame = session.scalar(
        select(Image)
        .join(ImageParent, ImageParent.parent_id == Image.image_id)
        .where(ImageParent.image_id == calibrated.image_id, Image.kind == LIGHT)
        .limit(1)
    )
    if frame is None or frame.site_id == site_id_of(session, context.deployment.site):
        return None if frame is None else Reference(frame)
    told = select(WcsClaim.wcs).where(WcsClaim.image_id == frame.image_id).order_by(WcsClaim.pid.desc()).limit(1)
    row = session.execute(told).one_or_none()
    if row is None:
        log.warning("the header's WCS is not used: its site has not told it", frame=frame.path)
    return Reference(frame, False, None if row is None else row.wcs)


def claim_of(context: Context, reference: Reference | None, shape: tuple[int, int]) -> Claim | None:
    """What the reference's header claims of its pixels; None without a WCS of a kind that is known here.

    A header speaks of the file's pixels, which are not the frame's where that was trimmed or has one colour of many.
    """
    if reference is None:
        return None
    path, readout = reference.frame.path, readout_of(reference.frame.geometry)
    name = path.rsplit("/", 1)[-1]
    if not reference.is_here:
        return None if reference.told is None else Claim(SkyWcs.from_text(reference.told), shape, name)
    origin = (0, 0) if readout is None else readout.origin
    if origin is None:  # of several amplifiers each has a WCS of its own
        return None
    try:
        cards = context.images.read_cards(path)
        if "CTYPE1" not in cards or "CRVAL1" not in cards:
            return None
        wcs = SkyWcs.from_cards(cards)
        if readout is not None:
            wcs = wcs.through(_from_file(origin, readout.step))
        if all(0.0 < number < float("inf") for number in (wcs.pixel_scale(shape), wcs.radius(shape))):
            return Claim(wcs, shape, name)
    except LostFrameError as error:
        if not context.last_attempt:
            raise
        log.warning("the header's WCS is not used: its frame cannot be read", frame=path, reason=str(error))
    except (DataError, UnusableDataError) as error:
        log.info("the header's WCS is not used", frame=path, reason=str(error))
    return None


def _from_file(origin: tuple[int, int], step: int) -> Alignment:
    """From pixels of a file to those of a frame whose pixel (0, 0) is at ``origin`` in it, every ``step`` pixels."""
    return Alignment(-origin[0] / step, -origin[1] / step, 0.0, 1.0 / step, 0.0, 0.0, 0.0, 0)
