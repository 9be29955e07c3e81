"""`capture`: one exposure of the telescope, written as a raw frame and registered.

An exposure is an event: what is missed cannot be made up for, and what was taken is not taken again. A frame that an
earlier attempt has written whole is taken for this one; of an exposure that was cut off nothing is used.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema.image import CapturedFrame
from schema.observing import Observation
from schema.processes import CAPTURE
from schema.queries import capturing, frames, images
from services.deployment import TelescopeDeployment
from services.errors import ConfigurationError, DataError, SurroundingsError
from services.log import get_logger
from services.own_site import stored_path
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.telescope.exposure import TakenExposure, WantedExposure
from services.telescope.frame_header import cards_of, file_name, of_process, remove_unfinished, write_frame

log = get_logger("capture")


class CaptureParameters(Parameters):
    """One exposure; right ascension and declination in degrees (ICRS), ``end``: by when it must be over."""

    kind: Literal["light", "bias", "dark", "flat"]
    exposure_s: float
    end: AwareDatetime
    binning: int = 1
    target: str | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    filter: str | None = None
    gain: int | None = None
    plan: str = ""  # digest of the plan: what is published twice is known again

    def wanted(self) -> WantedExposure:
        """What the telescope is to do."""
        radec = None if self.ra_deg is None or self.dec_deg is None else (self.ra_deg, self.dec_deg)
        return WantedExposure(self.kind, self.exposure_s, self.binning, self.target, radec, self.filter, self.gain)


def run(context: Context, parameters: CaptureParameters) -> Outputs:
    """Take the exposure, write it, and register the frame as ingest reads it."""
    devices = _devices(context)
    with context.reading() as session:
        observation = session.get_one(Observation, context.observation_id)
        night = observation.night
    folder = context.deployment.root / devices.raw_dir / night.isoformat()
    notes: list[str] = []
    remove_unfinished(folder, context.pid)
    before = of_process(folder, context.pid)
    if before:
        attempt, path = max(before.items())
        notes.append(f"taken by attempt {attempt}, whose end was not written down")
        log.info("the frame of an earlier attempt is whole, and taken", frame=path.name, attempt=attempt)
    else:
        if context.attempt > 1:
            notes.append(f"taken by attempt {context.attempt}: no frame of an earlier one is used")
        taken = _take(context, parameters, devices)
        path = folder / file_name(parameters.wanted(), context.pid, context.attempt)
        write_frame(path, taken.pixels, cards_of(parameters.wanted(), taken, devices, context.pid))
        notes += taken.notes
        log.info("taken", frame=path.name, start=taken.start.isoformat(timespec="milliseconds"))
    columns, read_notes = _as_ingest_reads(path, context)

    def write(session: Session) -> None:
        site_id = images.site_id_of(session, context.deployment.site)
        stored = stored_path(path, context.deployment.root)
        image_id = capturing.image_at(session, site_id, stored)  # somebody has ingested the folder meanwhile
        if image_id is None:
            image_id = images.add_image(
                session, site_id=site_id, path=stored, observation_id=context.observation_id, **columns
            )
        session.add(CapturedFrame(image_id=image_id, pid=context.pid, header_digest=columns["header_digest"]))
        session.flush()
        for note in (*read_notes, *notes):
            frames.add_note(session, image_id, note)

    return write


def _devices(context: Context) -> TelescopeDeployment:
    if context.deployment.telescope is None:
        raise ConfigurationError(
            f"process {context.pid}: this consumer has no telescope: name its devices under [telescope] of its "
            f"settings, then `tianyu retry {context.pid}`"
        )
    return context.deployment.telescope


def _take(context: Context, parameters: CaptureParameters, devices: TelescopeDeployment) -> TakenExposure:
    _in_time(context, parameters)
    try:
        from services.telescope.observing import UnwantedExposureError, take
    except ImportError as error:
        raise ConfigurationError(
            f"process {context.pid}: the client of the telescope's devices is not installed ({error.name}): "
            "pip install 'tianyu[telescope]' on this machine"
        ) from error

    def still_wanted() -> None:
        if context.asked_to_end():
            raise SurroundingsError(
                f"process {context.pid}: the consumer left, and the exposure was broken off; it is taken anew"
            )
        try:
            with context.reading() as session:
                state = capturing.state_of(session, context.pid, context.attempt)
        except DBAPIError:  # an exposure does not need it
            return
        if state == capturing.ANOTHERS:
            raise UnwantedExposureError(f"process {context.pid}: another attempt holds it, this one ends")
        if state == capturing.ENDED:
            raise DataError(f"process {context.pid}: it was cancelled, and its exposure aborted")

    return take(devices, parameters.wanted(), still_wanted, lambda: _in_time(context, parameters))


def clock() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)


def _in_time(context: Context, parameters: CaptureParameters) -> None:
    """Whether the exposure would still be over by its end."""
    now = clock()
    if now + timedelta(seconds=parameters.exposure_s) > parameters.end:
        raise DataError(
            f"process {context.pid}: the exposure of {parameters.exposure_s:g} s was missed: it had to be over by "
            f"{parameters.end:%Y-%m-%d %H:%M:%S} UTC, and it was {now:%Y-%m-%d %H:%M:%S} before it could begin"
        )


def _as_ingest_reads(path: Path, context: Context) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Columns of table image, and notes, of a frame that was written: read back, as who ingests its folder would."""
    from services.ingest.frame_rows import as_seen_of, columns_of
    from services.ingest.raw_folder import FrameReader

    reader = FrameReader(context.deployment.frame_bounds)
    [facts] = reader.together([reader.read(path)], []).frames
    [seen] = as_seen_of([facts])
    return columns_of(facts, seen), facts.notes


CAPTURE_FRAME = Step(
    CAPTURE,
    CaptureParameters,
    run,
    gives="a frame of the camera, by the telescope that the plan asks",
    kind=None,
    tables=(CapturedFrame,),
)
