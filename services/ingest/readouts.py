"""A frame's read-out by all that its file says: of one amplifier or several, its colours, the border that is cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from astropy.io import fits

from pipeline.detector.readout import Amplifier, Readout, Window
from services.errors import DataError
from services.frame_geometry import geometry_words
from services.frame_reading import FrameReading
from services.ingest.amplifiers import FurtherImage, gains_note, in_extensions, in_one_image, with_factors
from services.ingest.bayer import Colours, colours_of
from services.ingest.file_names import quoted
from services.ingest.frame_file import OpenedFrame
from services.ingest.frame_readout import FrameReadout, one_amplifier, with_border_cut

GainOf = Callable[[fits.Header, str], float | None]  # e-/ADU by the cards whose names end so


@dataclass(frozen=True)
class ReadFrame:
    """How a frame is read out of its file.

    Attributes:
        shape: (ny, nx) of the frame.
        file_shape: of the first image of its file.
        readout: None of a frame that is that image as it is.
        words: what frames share that are combined or calibrated with each other.
        origin: (x, y), from 1, of the frame's first pixel on the detector, where it is not the detector's first.
        is_told: whether the header has sections at all.
        colours: of the file's first pixels, of a colour camera.
        gains: of several amplifiers, e-/ADU; None where one is not told.
        notes: what did not fit.
    """

    shape: tuple[int, int]
    file_shape: tuple[int, int]
    readout: Readout | None = None
    words: str = ""
    origin: tuple[int, int] | None = None
    is_told: bool = False
    colours: Colours | None = None
    gains: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()

    def gain(self, told: float | None) -> float | None:
        """That of the frame's counts, by what its header tells: of several amplifiers the first one's, or none."""
        if not self.gains:
            return told
        return None if None in self.gains else self.gains[0]


def read_frame_of(
    opened: OpenedFrame, binning: str, reading: FrameReading, reduced: str, gain_of: GainOf, colour: Sequence[str]
) -> ReadFrame:
    """The read-out of an opened frame; ``reduced``: letters of what was taken off before, ``colour``: keywords of
    a pattern of colours.

    Raises:
        DataError: its images cannot be joined, or the border leaves nothing.
    """
    path = opened.path
    try:
        found, gains = _amplifiers(opened, binning, reading, reduced, gain_of)
        readout = with_border_cut(found.readout, opened.shape, reading.border_cut)
    except ValueError as error:
        raise DataError(f"file {quoted(path)}: {error}") from error
    if opened.bad_pixels is not None and (readout is None or len(readout.amplifiers) == 1):
        whole = Window(0, opened.shape[1], 0, opened.shape[0])
        readout = replace(readout or Readout((opened.shape,), (Amplifier(whole),)), bad_pixels=opened.bad_pixels)
    is_single = readout is None or readout.origin is not None
    return ReadFrame(
        shape=opened.shape if readout is None else readout.shape,
        file_shape=opened.shape,
        readout=readout,
        words=geometry_words(readout, origin=found.origin),
        origin=found.origin,
        is_told=found.is_told,
        colours=colours_of(opened.header, opened.shape[0], colour) if is_single else None,
        gains=tuple(gains),
        notes=found.notes,
    )


def _amplifiers(
    opened: OpenedFrame, binning: str, reading: FrameReading, reduced: str, gain_of: GainOf
) -> tuple[FrameReadout, Sequence[float | None]]:
    """And the gains of several amplifiers."""
    if opened.further:
        images = (FurtherImage(opened.number, opened.header, opened.shape), *opened.further)
        gains = [gain_of(image.header, "") for image in images]
        joined = in_extensions(images, binning, reading, gains)
        if joined is not None:
            return FrameReadout(joined, notes=gains_note(gains), is_told=True), gains
    notes: tuple[str, ...] = ()
    try:
        several = in_one_image(opened.header, opened.shape, binning, reading)
    except ValueError as error:
        several, notes = None, (f"sections of several amplifiers are left out: {error}",)
    if several is None or reduced:
        one = one_amplifier(opened.header, opened.shape, binning, reading, reduced)
        return replace(one, notes=(*notes, *one.notes)), ()
    readout, names = several
    gains = [gain_of(opened.header, name) for name in names]
    return FrameReadout(with_factors(readout, gains), notes=gains_note(gains), is_told=True), gains
