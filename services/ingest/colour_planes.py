"""Frames of colour cameras taken apart: one frame for each colour, of half the pixels a side."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from pipeline.detector.readout import Amplifier, Readout, Window
from services.frame_geometry import geometry_words
from services.frame_reading import FrameReading
from services.ingest.bayer import Colours
from services.ingest.frame_kinds import OPEN_FILTERS
from services.ingest.headers import FrameFacts

ONE_BAND = (
    "colour camera: its pixels of three colours are measured as one band, and fluxes depend on where on the pattern a "
    "star lies; setting colour_planes takes them apart"
)
UNTOLD = "the header names no colour pattern: that of the camera's other frames of this size is taken"


def in_planes(frames: Sequence[FrameFacts], reading: FrameReading) -> list[FrameFacts]:
    """The frames, those of colour cameras once for each plane that is wanted; where none is, as they are, with a note.

    A plane is the filter of its light frames and flats, behind the name of one that the camera looked through. Bias and
    dark frames whose headers name no pattern are taken apart as the camera's others.
    """
    found: list[FrameFacts] = []
    patterns = _patterns(frames)
    for frame in frames:
        colours = frame.read.colours if frame.read else None
        if colours is None and frame.kind != "light" and frame.read:
            of_camera = patterns.get(_camera(frame), set())
            if len(of_camera) == 1:
                [colours] = of_camera
                frame = replace(frame, notes=(*frame.notes, UNTOLD))
        if colours is None:
            found.append(frame)
        elif not reading.colour_planes:
            found.append(replace(frame, notes=(*frame.notes, ONE_BAND)))
        else:
            found += [_plane(frame, colours, plane) for plane in reading.colour_planes]
    return found


def _patterns(frames: Sequence[FrameFacts]) -> dict[Hashable, set[Colours]]:
    found: dict[Hashable, set[Colours]] = defaultdict(set)
    for frame in frames:
        if frame.read and frame.read.colours is not None:
            found[_camera(frame)].add(frame.read.colours)
    return found


def _camera(frame: FrameFacts) -> Hashable:
    return frame.instrument, frame.telescope, frame.read and frame.read.file_shape, frame.binning


def _plane(frame: FrameFacts, colours: Colours, plane: str) -> FrameFacts:
    ny, nx = frame.shape
    assert frame.read is not None
    readout = frame.read.readout or Readout((frame.shape,), (Amplifier(Window(0, nx, 0, ny)),))
    x0, y0 = readout.origin or (0, 0)
    place = colours.index(plane)
    readout = replace(readout, phase=((place % 2 - x0) % 2, (place // 2 - y0) % 2))
    scale = frame.pixel_scale_arcsec
    return replace(
        frame,
        plane=plane,
        read=replace(frame.read, readout=readout, words=geometry_words(readout, plane, frame.read.origin)),
        shape=readout.shape,
        filter=_filter(frame.filter, plane) if frame.kind in ("light", "flat") else None,
        pixel_scale_arcsec=None if scale is None else scale * readout.step,
    )


def _filter(name: str | None, plane: str) -> str:
    return plane if name is None or name.lower() in OPEN_FILTERS else f"{name} {plane}"
