"""Frames whose headers lack what the camera's others tell of overscan and trim: they are read out in the same way."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from services.ingest.headers import FrameFacts
from services.ingest.readouts import ReadFrame

NOTE = "the header has no BIASSEC and TRIMSEC: those of the camera's other frames of this size are taken"


def read_alike(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """The frames, those without sections as all others of their camera and size, with a note; in the same order.

    What another program has reduced is left alone; so are all where the others differ.
    """
    told: dict[Hashable, set[ReadFrame]] = defaultdict(set)
    for frame in frames:
        if frame.read is not None and frame.read.is_told and not frame.reduced and not _has_mask(frame):
            told[_camera(frame)].add(replace(frame.read, notes=(), origin=None, colours=None))
    return [_alike(frame, told.get(_camera(frame), set())) for frame in frames]


def _has_mask(frame: FrameFacts) -> bool:
    """Whether its file says which of its pixels are bad, and no other's."""
    readout = None if frame.read is None else frame.read.readout
    return readout is not None and readout.bad_pixels is not None


def _camera(frame: FrameFacts) -> Hashable:
    return frame.instrument, frame.telescope, frame.binning, frame.read and frame.read.file_shape


def _alike(frame: FrameFacts, others: set[ReadFrame]) -> FrameFacts:
    own = frame.read
    if own is None or own.is_told or frame.reduced or len(others) != 1 or _has_mask(frame):
        return frame
    [other] = others
    if other.readout is None or len(other.readout.amplifiers) != 1:
        return frame
    read = replace(own, readout=other.readout, words=other.words, shape=other.shape)
    return replace(frame, read=read, shape=read.shape, notes=(*frame.notes, NOTE))
