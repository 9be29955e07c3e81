"""Frames whose headers lack what the camera's others tell of overscan and trim: they are read out in the same way."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from services.frame_geometry import geometry_words
from services.ingest.headers import FrameFacts
from services.ingest.readouts import ReadFrame

MOST_WINDOWS = 3  # of one size, on the detector in a night; more follow a target
MOVING = (
    "the window on the detector moves from frame to frame: bias, dark and flat frames are of other pixels than those "
    "they are applied to"
)
NOTE = "the header has no BIASSEC and TRIMSEC: those of the camera's other frames of this size are taken"


def read_alike(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """The frames, those without sections as all others of their camera and size, with a note; in the same order.

    What another program has reduced is left alone; so are all where the others differ.
    """
    frames = _of_one_window(frames)
    told: dict[Hashable, set[ReadFrame]] = defaultdict(set)
    for frame in frames:
        if frame.read is not None and frame.read.is_told and not frame.reduced and not _has_mask(frame):
            told[_camera(frame)].add(replace(frame.read, notes=(), origin=None, colours=None))
    return [_alike(frame, told.get(_camera(frame), set())) for frame in frames]


def _of_one_window(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """The frames, those of a camera whose window follows its target as if it stood still, with a note."""
    places: dict[Hashable, set[tuple[int, int] | None]] = defaultdict(set)
    for frame in frames:
        if frame.read is not None and frame.kind == "light":
            places[_camera(frame)].add(frame.read.origin)
    moving = {camera for camera, found in places.items() if len(found) > MOST_WINDOWS}
    return [_standing(frame) if frame.read and _camera(frame) in moving else frame for frame in frames]


def _standing(frame: FrameFacts) -> FrameFacts:
    assert frame.read is not None
    read = replace(frame.read, origin=None, words=geometry_words(frame.read.readout, frame.plane))
    return replace(frame, read=read, notes=(*frame.notes, MOVING) if frame.kind == "light" else frame.notes)


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
