"""What headers say of a frame's overscan, its trim and its place on the detector, as far as that fits the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from astropy.io import fits

from pipeline.detector.readout import Amplifier, Readout, Window
from services.frame_reading import FrameReading
from services.ingest import cards
from services.ingest.reduced_frames import is_done
from services.ingest.sections import section, section_within

TRIM_KEYS = ("TRIMSEC", "DATASEC")  # the first is the narrower one: what to keep, and where light falls
OVERSCAN_KEY = "BIASSEC"
DETECTOR_KEYS = ("CCDSEC", "DETSEC")  # where the frame lies on the detector
SUBFRAME_KEYS = ("XORGSUBF", "YORGSUBF")  # MaxIm DL: from 0
TRIM_DONE_KEYS = ("TRIM", "TRIMMED", "L1STATTR")  # IRAF, BANZAI
OVERSCAN_DONE_KEYS = ("OVERSCAN", "L1STATOV")
LEAST_SHARE = 0.25  # of a frame's pixels; a section that leaves fewer is of another frame

Notes = tuple[str, ...]


@dataclass(frozen=True)
class FrameReadout:
    """A frame's read-out and what is to be said of it.

    Attributes:
        readout: None of a frame that is the first image of its file as it is.
        origin: (x, y), from 1, of the frame's first pixel on the detector, where it is not the detector's first.
        is_told: whether the header has sections at all.
    """

    readout: Readout | None = None
    origin: tuple[int, int] | None = None
    notes: Notes = ()
    is_told: bool = False


def one_amplifier(
    header: fits.Header, shape: tuple[int, int], binning: str, reading: FrameReading, reduced: str
) -> FrameReadout:
    """The read-out of an image (ny, nx) that one amplifier read; ``reduced``: letters of what was taken off before.

    Sections that do not fit the image are left out, with a note.
    """
    notes: list[str] = []
    whole = Window(0, shape[1], 0, shape[0])

    def told(key: str) -> Window | None:
        try:
            found = section_within(header, key, shape, binning)
        except ValueError as error:
            notes.append(f"{error}: left out")
            return None
        return None if found is None else found.window

    is_trimmed = any(is_done(header, key) for key in TRIM_DONE_KEYS)
    data = None if is_trimmed else _data(told, shape, notes)
    overscan = None if reduced or is_trimmed or _is_taken_off(header) else told(OVERSCAN_KEY)
    if overscan is not None:
        if data is None:
            data = _beside(overscan, whole)
            notes.append(f"no TRIMSEC: trimmed to {data}, beside the overscan {overscan}")
        if overscan.meets(data):
            notes.append(f"BIASSEC {overscan} lies within the data {data}: left out, no overscan is taken off")
            overscan = None
    amplifier = Amplifier(
        data if data is not None and reading.trim == "header" else whole,
        overscan if reading.overscan == "header" else None,
    )
    is_told = any(cards.raw(header, key) is not None for key in (*TRIM_KEYS, OVERSCAN_KEY))
    readout = Readout((shape,), (amplifier,))
    return FrameReadout(_unless_plain(readout), _origin(header), tuple(notes), is_told)


def _data(told: Callable[[str], Window | None], shape: tuple[int, int], notes: list[str]) -> Window | None:
    for key in TRIM_KEYS:
        found = told(key)
        if found is None:
            continue
        share = found.shape[0] * found.shape[1] / (shape[0] * shape[1])
        if share >= LEAST_SHARE:
            return found
        notes.append(f"{key} {found} would leave {share:.0%} of the frame: left out")
    return None


def _is_taken_off(header: fits.Header) -> bool:
    return any(is_done(header, key) for key in OVERSCAN_DONE_KEYS)


def _beside(overscan: Window, whole: Window) -> Window:
    """The largest part of the image that has none of the overscan's columns, or none of its rows."""
    parts = (
        replace(whole, x1=overscan.x0),
        replace(whole, x0=overscan.x1),
        replace(whole, y1=overscan.y0),
        replace(whole, y0=overscan.y1),
    )
    return max(parts, key=lambda part: part.shape[0] * part.shape[1])


def _origin(header: fits.Header) -> tuple[int, int] | None:
    for key in DETECTOR_KEYS:
        try:
            found = section(header, key)
        except ValueError:
            continue
        if found is not None:
            return _unless_first(found.window.x0 + 1, found.window.y0 + 1)
    corner = [cards.as_number(cards.raw(header, key)) for key in SUBFRAME_KEYS]
    if corner[0] is None or corner[1] is None or min(corner[0], corner[1]) < 0:
        return None
    return _unless_first(int(corner[0]) + 1, int(corner[1]) + 1)


def _unless_first(x: int, y: int) -> tuple[int, int] | None:
    return None if (x, y) == (1, 1) else (x, y)


def _unless_plain(readout: Readout) -> Readout | None:
    return None if readout == Readout(readout.shapes, (Amplifier(Window(0, *_ends(readout))),)) else readout


def _ends(readout: Readout) -> tuple[int, int, int]:
    ny, nx = readout.shapes[0]
    return nx, 0, ny


def with_border_cut(readout: Readout | None, shape: tuple[int, int], border: Sequence[int]) -> Readout | None:
    """The read-out without a border of pixels: left, right, bottom, top of what is left by it so far.

    shape: (ny, nx) of the frame. Raises ValueError where the border leaves nothing.
    """
    if not any(border):
        return readout
    whole = readout or Readout((shape,), (Amplifier(Window(0, shape[1], 0, shape[0])),))
    left, right, bottom, top = border
    was = whole.left
    cut = Window(was.x0 + left, was.x1 - right, was.y0 + bottom, was.y1 - top)
    if min(cut.shape) < 1:
        raise ValueError(
            f"border_cut of {', '.join(map(str, border))} pixels leaves nothing of {was.shape[1]} x {was.shape[0]}"
        )
    return replace(whole, cut=cut)
