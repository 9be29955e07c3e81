"""A frame's facts, read from its header once: everything downstream works with these, never with headers."""

from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from astropy.io import fits

from services.errors import DataError
from services.frame_bounds import FrameBounds
from services.header_reading import Reading
from services.ingest import cards
from services.ingest.coordinates import Pointing, latitude_and_elevation, places, pointing, pointing_notes
from services.ingest.dialect import Dialect, Kind
from services.ingest.dialect_files import Dialects, shipped
from services.ingest.exposures import exposure_time
from services.ingest.file_names import quoted
from services.ingest.frame_file import OpenedFrame, open_frame
from services.ingest.frame_kinds import filter_of, has_target, kind_of, kind_told, target_of
from services.ingest.frame_times import RivalClock, Times, frame_times
from services.ingest.gains import amplifier_gain, gain_of_header, read_noise_of_header
from services.ingest.pixel_scale import pixel_scale
from services.ingest.place_evidence import PlaceEvidence, place_evidence
from services.ingest.readouts import ReadFrame, read_frame_of
from services.ingest.reduced_frames import notes_on, taken_off
from services.ingest.told_elsewhere import NOTHING, Told

SATURATION_RANGE_ADU = (100.0, 1e9)
TEMPERATURE_RANGE_C = (-200.0, 60.0)
KELVIN = 273.15
KELVIN_ABOVE = 150.0  # no camera is this warm in Celsius

MM_PER_M = 1000.0
LARGEST_DIAMETER_M = 15.0  # larger numbers are millimetres
DIAMETER_RANGE_M = (0.01, LARGEST_DIAMETER_M)
READ_MODE_LENGTH = 24
PRODUCT_KEY = "TIANYUPI"  # in every image that Tianyu makes
UNKNOWN_INSTRUMENT = "unknown"
DEGREES = ("deg", "degree", "degrees")


@dataclass(frozen=True)
class FrameFacts:
    """What is known of one frame; None where the header does not say or cannot be believed."""

    path: Path
    kind: Kind
    target: str | None
    filter: str | None
    instrument: str
    telescope: str | None
    exposure: float  # s
    binning: str  # '1x1', x first
    shape: tuple[int, int]  # (ny, nx), pixels
    start_utc: float | None  # JD(UTC)
    jd_utc: float | None  # JD(UTC) of mid-exposure
    day: date | None  # the header's calendar day, where it has no time of day
    time_source: str | None  # keyword
    gain: float | None  # e-/ADU
    gain_source: str | None  # keyword
    read_noise: float | None  # e-
    saturation: float | None  # ADU
    ra_deg: float | None
    dec_deg: float | None
    site_latitude: float | None  # degrees
    site_longitude: float | None  # degrees, east positive; as written until `east_or_west` has judged all frames
    site_elevation: float | None  # m
    temperature: float | None  # degrees Celsius, of the detector
    header: str  # cards, one a line
    size: int  # bytes of the file
    mtime: float  # s since 1970
    notes: tuple[str, ...] = ()  # what was doubtful, and how it was decided
    read_noise_source: str | None = None  # keyword
    diameter_m: float | None = None  # of the telescope
    linearity: float | None = None  # ADU
    pixel_scale_arcsec: float | None = None
    has_object: bool = True  # its header names the target, and not its file alone
    setting: str = ""  # of the detector, which frames that are combined or calibrated share: gain, offset, read mode
    is_float: bool = False  # its pixels are no whole numbers
    reduced: str = ""  # letters of what another program took off: B, D, F
    place: PlaceEvidence | None = None  # what tells whether its longitude is east or west
    read: ReadFrame | None = None  # how it is read out of its file; its shape is what that gives
    plane: str = ""  # of a colour camera's frame that is taken apart
    is_twice: bool = False  # its local time came twice that night: it is that of before clocks were set back
    rival: RivalClock | None = None  # another reading of its times, until `rival_clocks` has judged all frames
    places: tuple[Pointing, ...] = ()  # all that are told of where it points, the likeliest first
    position_angle_deg: float | None = None  # of +y, from north through east, as told
    mirrored: bool | None = None  # east is clockwise of north, as told
    known: str = ""  # the operator's tables of instruments and stations by which facts were told


def read_frame(
    path: Path,
    bounds: FrameBounds | None = None,
    dialects: Dialects | None = None,
    reading: Reading | None = None,
    told: Told = NOTHING,
    *,
    is_product: bool = False,
) -> FrameFacts:
    """Read the facts of one frame; its pixels are not read, but their absence is found.

    What is ``told`` of it elsewhere goes before its header. ``is_product``: it may be an image
    that Tianyu made.

    Raises:
        DataError: the file is no whole 2-D FITS image, was made by Tianyu, or is a dark or light frame whose date or
            exposure time is there and cannot be read.
        TransientError: the machine cannot read now.
    """
    opened = open_frame(path, bounds)
    header = opened.header
    if cards.raw(header, PRODUCT_KEY) is not None and not is_product:
        raise DataError(f"file {quoted(path)} was made by Tianyu and is no frame: keep raw frames in a folder apart")
    words, own = (dialects or shipped()).spoken(header)
    keys = words.keywords
    instrument, telescope = cards.text(header, keys.camera) or UNKNOWN_INSTRUMENT, cards.text(header, keys.telescope)
    reading = (reading or Reading()).of(instrument, telescope or "")
    if reading.clock_offset_h is not None and reading.clock_offset_h != words.clock_offset_h:  # of its station
        words = words.model_copy(update={"clock_offset_h": reading.clock_offset_h, "time_zone": None})
        own = (*own, f"clock_offset_h {reading.clock_offset_h:g}")
    if reading.time_zone is not None:
        words = words.model_copy(update={"clock_offset_h": None, "time_zone": reading.time_zone})
        own = (*own, f"time_zone {reading.time_zone}")
    kind, kind_notes = _kind(header, path, words, told)
    exposure, times, time_notes = _exposure_and_times(opened, path, kind, words, told)
    gain, gain_source, gain_notes = gain_of_header(header, words)
    pointings = (*told.places(), *places(header, words))
    ra, dec = next(((one.ra, one.dec) for one in pointings), (None, None))
    binning, binning_notes = _binning(header, words)
    scale, scale_notes = pixel_scale(header, binning, words)
    read_noise, read_noise_source, read_noise_notes = read_noise_of_header(header, words, gain)
    latitude, elevation = latitude_and_elevation(header, words)
    place = place_evidence(header, times.start, exposure or 0.0, times.utc_offset_s, words)
    reduced = taken_off(header)
    gain_of = partial(amplifier_gain, words=words)
    read = read_frame_of(opened, binning, reading, reduced, gain_of, keys.colour)
    return FrameFacts(
        path=path,
        kind=kind,
        target=(told.target or target_of(header, path, kind, words)) if kind == "light" else None,
        has_object=told.target is not None or has_target(header, words),
        filter=(told.filter if kind in ("light", "flat") else None) or filter_of(header, path, kind, words),
        instrument=instrument,
        telescope=telescope,
        exposure=exposure or 0.0,
        binning=binning,
        shape=read.shape,
        read=read,
        start_utc=times.start,
        jd_utc=times.middle,
        day=times.day,
        time_source=times.source,
        gain=read.gain(gain),
        gain_source=None if read.gain(gain) is None else gain_source,
        read_noise=read_noise,
        read_noise_source=read_noise_source,
        saturation=_lowest(opened, keys.saturation),
        ra_deg=ra,
        dec_deg=dec,
        is_twice=times.is_twice,
        rival=times.rival,
        places=pointings,
        pixel_scale_arcsec=scale,
        position_angle_deg=cards.number(header, keys.orientation, -360.0, 360.0, DEGREES)[0],
        place=place,
        setting=_setting(header, gain, words),
        is_float=(cards.as_number(cards.raw(header, "ZBITPIX" if "ZBITPIX" in header else "BITPIX")) or 0) < 0,
        reduced=reduced,
        site_latitude=latitude,
        site_longitude=None if place is None else place.told_east,
        site_elevation=elevation,
        diameter_m=_diameter(header, words),
        linearity=_lowest(opened, keys.linearity),
        temperature=_temperature(header, words),
        header="\n".join((opened.header_text, *own, *told.lines())),
        size=opened.size,
        mtime=opened.mtime,
        notes=(
            *opened.notes,
            *kind_notes,
            *time_notes,
            *gain_notes,
            *read_noise_notes,
            *binning_notes,
            *_sky_notes(header, kind, scale_notes, words, told),
            *notes_on(reduced),
            *read.notes,
            *told.notes,
            *_told_otherwise(header, kind, words, told),
        ),
    )


def _kind(header: fits.Header, path: Path, words: Dialect, told: Told) -> tuple[Kind, tuple[str, ...]]:
    if told.kind is not None:
        written = kind_told(header, words)
        return told.kind, told.against("kind", told.kind, written)
    try:
        return kind_of(header, path, words)
    except ValueError as error:
        raise DataError(f"file {quoted(path)}: {error}; correct the header if it is one") from error


def _told_otherwise(header: fits.Header, kind: Kind, words: Dialect, told: Told) -> tuple[str, ...]:
    """Names that the header has otherwise."""
    nameless = Path()
    target = target_of(header, nameless, kind, words)
    filter_name = filter_of(header, nameless, kind, words)
    return (*told.against("target", told.target, target), *told.against("filter", told.filter, filter_name))


def _exposure_and_times(
    opened: OpenedFrame, path: Path, kind: Kind, words: Dialect, told: Told
) -> tuple[float | None, Times, tuple[str, ...]]:
    """Bias frames and flats are used without a time: what cannot be read there is a note."""
    header, exposure, times = opened.header, told.exposure, Times()
    notes: list[str] = []
    try:
        if exposure is None:
            exposure, exposure_notes = exposure_time(header, words, opened.primary)
            notes += exposure_notes
        else:
            notes += told.exposure_notes(_exposure_written(opened, words))
        times = frame_times(header, exposure, words)
        notes += times.notes
    except ValueError as error:
        if kind in ("dark", "light"):
            raise DataError(f"file {quoted(path)}: {error}; correct the header, or remove the file") from error
        notes.append(str(error))
    if kind in ("dark", "light") and exposure is None:
        notes.append("no exposure time in the header: taken as 0 s")
    if kind == "light" and times.start is None:
        notes.append("no time in the header")
    return exposure, times, tuple(notes)


def _exposure_written(opened: OpenedFrame, words: Dialect) -> float | None:
    try:
        return exposure_time(opened.header, words, opened.primary)[0]
    except ValueError:
        return None


def _sky_notes(
    header: fits.Header, kind: Kind, scale_notes: tuple[str, ...], words: Dialect, told: Told
) -> tuple[str, ...]:
    """Where a telescope points and how it images matters in frames of the sky alone."""
    if kind != "light":
        return ()
    if told.ra_deg is None:
        return (*pointing_notes(header, words), *scale_notes)
    return (*told.pointing_notes(pointing(header, words)), *scale_notes)


def _setting(header: fits.Header, gain: float | None, words: Dialect) -> str:
    """What is set at the detector, such as ``gain 1.5, offset 50``; what the header does not tell is left out."""
    told = {
        "gain": gain if gain is not None else _first_number(header, words.keywords.gain_or_setting),
        "offset": _first_number(header, words.keywords.offset),
    }
    parts = [f"{name} {value:.3g}" for name, value in told.items() if value is not None]
    if (mode := cards.text(header, words.keywords.read_mode, READ_MODE_LENGTH)) is not None:
        parts.append(f"mode {mode.replace(',', ' ')}")
    return ", ".join(parts)


def _first_number(header: fits.Header, keys: tuple[str, ...]) -> float | None:
    return next((value for key in keys if (value := cards.as_number(cards.raw(header, key))) is not None), None)


def _lowest(opened: OpenedFrame, keys: tuple[str, ...]) -> float | None:
    """The lowest level (ADU) that the headers of a frame's amplifiers tell."""
    headers = (opened.header, *(image.header for image in opened.further))
    told = (cards.number(header, keys, *SATURATION_RANGE_ADU)[0] for header in headers)
    return min((level for level in told if level is not None), default=None)


def _diameter(header: fits.Header, words: Dialect) -> float | None:
    """Diameter of the telescope in m; headers write it in mm, in m, or say nothing by a zero.

    A small number in APERTURE is a lens's focal ratio, unless its comment speaks of a telescope or a diameter.
    """
    for key in words.keywords.diameter:
        value = cards.as_number(cards.raw(header, key), ("m", "mm"))
        is_told = key != "APERTURE" or any(word in cards.comment(header, key) for word in ("telescope", "diameter"))
        if value is None or (value <= LARGEST_DIAMETER_M and not is_told):
            continue
        metres = value / MM_PER_M if value > LARGEST_DIAMETER_M else value
        if DIAMETER_RANGE_M[0] <= metres <= DIAMETER_RANGE_M[1]:
            return metres
    return None


def _binning(header: fits.Header, words: Dialect) -> tuple[str, tuple[str, ...]]:
    """``2x1``, x first; what one card of two says holds for the other. And what cannot be read."""
    notes: list[str] = []
    for keys in words.keywords.binning:
        factors = [cards.number(header, (key,), 1, 64)[0] for key in keys]
        known = [factor for factor in factors if factor is not None]
        if known:
            if len(known) < len(keys):
                notes.append(f"of {' and '.join(keys)} one cannot be read: it is taken for the other")
            return "x".join(f"{factor or known[0]:.0f}" for factor in factors), tuple(notes)
        notes += [f"binning {key} cannot be read" for key in keys if cards.text(header, (key,))]
    for key in words.keywords.binning_text:
        if (written := cards.text(header, (key,))) is None:
            continue
        parts = written.lower().replace("x", " ").replace(",", " ").split()
        if len(parts) <= 2 and all(part.isascii() and part.isdigit() and 1 <= int(part) <= 64 for part in parts):
            return f"{int(parts[0])}x{int(parts[-1])}", tuple(notes)
        notes.append(f"binning {key} cannot be read")
    return "1x1", tuple(f"{note}: taken for 1x1" for note in notes)


def _temperature(header: fits.Header, words: Dialect) -> float | None:
    for key in words.keywords.temperature:
        value = cards.as_number(cards.raw(header, key))
        if value is None or (value == -1 and "-1 if no" in cards.comment(header, key)):
            continue
        celsius = value - KELVIN if value > KELVIN_ABOVE or "kelvin" in cards.comment(header, key) else value
        if TEMPERATURE_RANGE_C[0] <= celsius <= TEMPERATURE_RANGE_C[1]:
            return celsius
    return None
