"""Frames from the camera: reading them, naming them in errors, and what their headers do not tell.

Errors name the frame's file, and a frame that is at fault is rejected with that reason in table rejection.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.detector.calibration import guess_saturation
from pipeline.detector.flat_tops import flat_topped_level
from pipeline.detector.readout import RawPixels, Readout, read_bad, read_out
from pipeline.detector.wrapped import unwrapped
from pipeline.errors import UnusableDataError
from pipeline.rows import Rows
from schema.frame import Frame
from schema.image import Image, ImageParent
from schema.observing import LIGHT
from schema.processes import FAILED, Process
from schema.queries import images
from services.choices import Choices
from services.errors import ConfigurationError, DataError, LostFrameError
from services.frame_geometry import readout_of
from services.image_store import ImageStore
from services.log import get_logger
from services.steps.shared.image_files import path_of
from services.steps.shared.step import AnyStep, Context

log = get_logger("raw_frames")
MASTERS_KEPT = 8  # rows of the masters of two graphs, and some


@contextmanager
def errors_name(path: str) -> Iterator[None]:
    """What the pipeline finds wrong within is the fault of the file at ``path``, and its error says so."""
    try:
        yield
    except UnusableDataError as error:
        raise DataError(f"frame {path!r}: {error}") from error


def read_frame(context: Context, frame: Image) -> RawPixels:
    """The frame's pixels, in the file's own type, as its row says that they are read out.

    Raises:
        SurroundingsError: its disk or folder is away.
        LostFrameError: in all attempts but the last, it alone is gone or gives errors.
        DataError: the file is no FITS file, is not the one that was registered, or was lost in each attempt.
    """
    try:
        return pixels_of(context.images, frame.path, readout_of(frame.geometry), (frame.ny, frame.nx))
    except LostFrameError as error:
        if not context.last_attempt:
            raise
        raise DataError(f"{error}; so it was in each attempt") from error


def pixels_of(store: ImageStore, path: str, readout: Readout | None, shape: tuple[int | None, int | None]) -> RawPixels:
    """Pixels of the file at ``path`` as they are read out; ``shape`` is that of its image where nothing says how.

    Raises:
        SurroundingsError, LostFrameError: its disk or folder is away, or it alone.
        DataError: the file is no FITS file, or has other images than were expected.
    """
    images = store.read_images(path, readout.images) if readout is not None and readout.images else [store.read(path)]
    mask = None
    if readout is not None and readout.bad_pixels is not None:
        [mask] = store.read_images(path, [readout.bad_pixels])
    restored = [unwrapped(image) for image in images]
    is_unwrapped = any(image is not None for image in restored)
    images = [image if better is None else better for image, better in zip(images, restored, strict=True)]
    if readout is not None:
        with errors_name(path):
            bad = None if mask is None else read_bad(mask, readout)
            return replace(read_out(images, readout), is_unwrapped=is_unwrapped, bad=bad)
    [raw] = images
    if raw.shape != shape:
        size = " x ".join(str(length) for length in reversed(raw.shape))
        raise DataError(
            f"frame {path!r} is {size} pixels, it was {shape[1]} x {shape[0]} when it was registered: "
            "put the first file back, or give this one a name of its own and ingest it"
        )
    return RawPixels(raw, is_unwrapped=is_unwrapped)


def read_header(context: Context, frame: Image) -> str:
    """The frame's header, cards of 80 characters; empty where it cannot be read, though its pixels were."""
    try:
        return context.images.read_header(frame.path)
    except DataError:
        return ""


def read_out_notes(frame: Image, raw: RawPixels) -> list[str]:
    """What was done with a frame's pixels while they were read out of its file."""
    notes = []
    if frame.file_step is not None:
        x, y = ((corner or 0.0) + 1 for corner in (frame.file_x, frame.file_y))
        notes.append(f"pixel 1, 1 is {x:g}, {y:g} of the camera's file, of which each {frame.file_step:g} is taken")
    elif frame.geometry is not None:
        notes.append("amplifiers of the camera's file joined")
    if raw.is_unwrapped:
        notes.append("counts above 32767 that were stored as negative ones restored")
    if raw.bad is not None:
        notes.append("pixels masked that the camera's file calls bad")
    if raw.pedestal is not None:
        notes.append("level of the overscan subtracted")
    return notes


def masters_of(context: Context, session: Session, **pids: int | None) -> dict[str, Image | None]:
    """The masters that these processes made, by name; what a process made is looked up once by each worker."""

    def found(pid: int) -> Image | None:
        return context.once("master", pid, lambda: images.by_pid(session, pid), MASTERS_KEPT)

    return {name: None if pid is None else found(pid) for name, pid in pids.items()}


def master_rows(context: Context, master: Image) -> Rows:
    """The pixels of a master, for who looks at a few rows at a time; small ones are kept in memory.

    Raises:
        ConfigurationError: its file is damaged, or was deleted. No frame is to blame: all frames would be calibrated
            unlike the others.
    """
    try:
        return context.images.master_rows(path_of(master))
    except DataError as error:
        raise ConfigurationError(
            f"{master.kind} of process {master.pid} is lost: {error} "
            f"`tianyu publish --again {master.observation_id}` makes it anew, then publish this observation again"
        ) from error


def dark_seconds(frame: Image, dark: Image | None) -> float:
    """By how many seconds a master dark (ADU a second) is multiplied to be taken off a frame.

    Those of the frame; of a dark that still holds the bias, which no second adds to, its own.
    """
    if dark is not None and holds_bias(dark) and dark.exposure_s:
        return dark.exposure_s
    return frame.exposure_s or 0.0


def holds_bias(dark: Image | None) -> bool:
    """Whether a master dark still holds the bias, which then is not taken off besides; without it it has a level."""
    return dark is not None and dark.background is None


def failures(session: Session, graph_pid: int, step: AnyStep) -> list[tuple[Any, str]]:
    """Parameters and error of the processes of one command that failed by their data's fault."""
    query = select(Process.parameters, Process.error).where(
        Process.graph_pid == graph_pid,
        Process.command == step.command,
        Process.status == FAILED,
        Process.error_class == DataError.error_class,
    )
    return [
        (step.parameters.model_validate_json(raw), error or f"{step.command} failed")
        for raw, error in session.execute(query)
    ]


def saturation_of(frame: Image, raw: RawPixels, choices: Choices) -> float | None:
    """Level (ADU) from which a raw pixel is saturated: the header's, the settings', else where pixels pile up.

    Of floats no two are the same: there it is told by stars with flat tops.
    """
    told = frame.saturation or choices.saturation or guess_saturation(raw.counts)
    if told is None and frame.kind == LIGHT and np.issubdtype(raw.counts.dtype, np.floating):
        told = flat_topped_level(raw.counts)
        if told is not None:
            log.info("saturation level by stars with flat tops", frame=frame.path, saturation=round(told, 1))
    return told


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
