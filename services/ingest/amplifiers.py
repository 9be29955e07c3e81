"""Frames that several amplifiers read: each in an extension of its own (NOAO's mosaics), or all in one image."""

from collections.abc import Sequence
from dataclasses import dataclass

from astropy.io import fits

from pipeline.detector.readout import Amplifier, Readout, Window
from services.frame_reading import FrameReading
from services.ingest import cards
from services.ingest.sections import Section, section, section_within

MOST_AMPLIFIERS = 64
DETECTOR_KEYS = ("DETSEC", "CCDSEC")  # where an extension's data lie on the detector
CCD_KEYS = ("CCDNAME", "CCDID", "CHIPID")  # of which there is one where amplifiers can be joined


@dataclass(frozen=True)
class FurtherImage:
    """One of several images of a file: the number of its HDU, its header with the primary one's cards, (ny, nx)."""

    number: int
    header: fits.Header
    shape: tuple[int, int]


@dataclass(frozen=True)
class Naming:
    """How the cards of amplifiers are named that share an image."""

    ends: tuple[str, ...]
    data: tuple[str, ...]
    overscan: str
    gain: str


# IRAF's names with a number, and those of CTIO's Arcon with row and column.
NAMINGS = (
    Naming(tuple(map(str, range(1, MOST_AMPLIFIERS + 1))), ("TRIMSEC", "DATASEC"), "BIASSEC", "GAIN"),
    Naming(("11", "12", "21", "22"), ("TSEC", "DSEC"), "BSEC", "GTGAIN"),
)


def is_part(header: fits.Header) -> bool:
    """Whether an image is what one of several amplifiers read: it says where it lies on the detector."""
    return any(cards.raw(header, key) is not None for key in DETECTOR_KEYS)


def in_extensions(
    images: Sequence[FurtherImage], binning: str, reading: FrameReading, gains: Sequence[float | None]
) -> Readout | None:
    """Amplifiers of one detector in an image each, joined; None where all images are of the same part of it.

    gains: e-/ADU of each, None where its header does not tell.

    Raises:
        ValueError: a section does not fit, or the parts are no whole detector.
    """
    places = [_place(image) for image in images]
    if all(place.window == places[0].window for place in places):
        return None  # masks and errors of one image say where that lies
    names = {name for image in images if (name := cards.text(image.header, CCD_KEYS)) is not None}
    if 1 < len(names) <= len(images):
        raise ValueError(f"it has images of {len(names)} detectors: split them into a file for each detector")
    amplifiers = []
    x0, y0 = min(place.window.x0 for place in places), min(place.window.y0 for place in places)
    for number, (image, place, factor) in enumerate(zip(images, places, _factors(gains), strict=True)):
        written = section_within(image.header, "DATASEC", image.shape, binning)
        data = written or Section(Window(0, image.shape[1], 0, image.shape[0]))
        steps = [_step(on, of) for on, of in zip(place.window.shape, data.window.shape, strict=True)]
        at = (place.window.x0 - x0) // steps[1], (place.window.y0 - y0) // steps[0]
        flip = data.flip[0] != place.flip[0], data.flip[1] != place.flip[1]
        overscan = _overscan(image.header, "BIASSEC", image.shape, binning, data.window, reading)
        amplifiers.append(Amplifier(data.window, overscan, at, flip, factor, number))
    readout = Readout(
        tuple(image.shape for image in images), tuple(amplifiers), tuple(image.number for image in images)
    )
    _require_whole(readout)
    return readout


def in_one_image(
    header: fits.Header, shape: tuple[int, int], binning: str, reading: FrameReading
) -> tuple[Readout, list[str]] | None:
    """Amplifiers that share an image (ny, nx), pushed together without their overscan; None where there are no several.

    Also gives the names of their gains' cards.

    Raises:
        ValueError: a section does not fit, or the data have gaps that are no overscan.
    """
    for naming in NAMINGS:
        windows: list[Window] = []
        overscans: list[Window | None] = []
        gains: list[str] = []
        for end in naming.ends:
            key = next((key + end for key in naming.data if cards.raw(header, key + end) is not None), None)
            found = None if key is None else section_within(header, key, shape, binning)
            if found is None:
                continue
            windows.append(found.window)
            overscans.append(_overscan(header, naming.overscan + end, shape, binning, found.window, reading))
            gains.append(naming.gain + end)
        if len(windows) > 1:
            return _pushed_together(windows, overscans, shape), gains
    return None


def with_factors(readout: Readout, gains: Sequence[float | None]) -> Readout:
    """The read-out with counts of all amplifiers brought to the gain of the first."""
    amplifiers = tuple(
        Amplifier(a.data, a.overscan, a.at, a.flip, factor, a.image)
        for a, factor in zip(readout.amplifiers, _factors(gains), strict=True)
    )
    return Readout(readout.shapes, amplifiers, readout.images, readout.cut, readout.phase)


def gains_note(gains: Sequence[float | None]) -> tuple[str, ...]:
    """What is said of amplifiers whose gains are not all told."""
    missing = sum(gain is None for gain in gains)
    if not missing:
        return ()
    return (
        f"the gains of {missing} of {len(gains)} amplifiers are not told: their counts are joined as they are, and "
        "steps between them are left to the flat",
    )


def _factors(gains: Sequence[float | None]) -> list[float]:
    known = [gain for gain in gains if gain is not None]
    if len(known) < len(gains):
        return [1.0] * len(gains)
    return [gain / known[0] for gain in known]


def _place(image: FurtherImage) -> Section:
    for key in DETECTOR_KEYS:
        if (found := section(image.header, key)) is not None:
            return found
    raise ValueError(f"extension {image.number} does not say where it lies on the detector (DETSEC, CCDSEC)")


def _step(on_detector: int, of_data: int) -> int:
    """Pixels of the detector in one of the image."""
    step = max(1, round(on_detector / of_data))
    if on_detector // step != of_data:
        raise ValueError(f"DATASEC has {of_data} pixels where DETSEC has {on_detector}: correct the headers")
    return step


def _overscan(
    header: fits.Header, key: str, shape: tuple[int, int], binning: str, data: Window, reading: FrameReading
) -> Window | None:
    if reading.overscan != "header":
        return None
    found = section_within(header, key, shape, binning)
    if found is None:
        return None
    if found.window.meets(data):
        raise ValueError(f"{key} {found.window} lies within the data {data}: correct the headers")
    return found.window


def _pushed_together(windows: Sequence[Window], overscans: Sequence[Window | None], shape: tuple[int, int]) -> Readout:
    columns = _starts([(w.x0, w.x1) for w in windows])
    rows = _starts([(w.y0, w.y1) for w in windows])
    amplifiers = tuple(
        Amplifier(window, overscan, (columns[window.x0], rows[window.y0]))
        for window, overscan in zip(windows, overscans, strict=True)
    )
    readout = Readout((shape,), amplifiers)
    _require_whole(readout)
    return readout


def _starts(spans: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Where each span begins when those that differ are pushed together."""
    starts: dict[int, int] = {}
    end = 0
    for first, last in sorted(set(spans)):
        if first in starts:
            continue
        starts[first] = end
        end += last - first
    return starts


def _require_whole(readout: Readout) -> None:
    """Make sure that the amplifiers' data cover their frame, each pixel once."""
    placed = []
    for amplifier in readout.amplifiers:
        (ny, nx), (x, y) = amplifier.data.shape, amplifier.at
        placed.append(Window(x, x + nx, y, y + ny))
    if any(one.meets(other) for number, one in enumerate(placed) for other in placed[:number]):
        raise ValueError("its amplifiers' sections overlap: correct the headers")
    ny, nx = readout.joined.shape
    if sum(one.shape[0] * one.shape[1] for one in placed) != ny * nx:
        raise ValueError(
            "its images leave gaps between them, as those of several detectors do: split them into a file for each one"
        )
