"""A frame's facts, read from its header once: everything downstream works with these, never with headers."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from astropy.io import fits

from services.errors import DataError
from services.frame_bounds import FrameBounds
from services.ingest import cards
from services.ingest.coordinates import latitude_and_elevation, pointing, pointing_notes
from services.ingest.file_names import quoted
from services.ingest.frame_file import open_frame
from services.ingest.frame_kinds import OBJECT_KEYS, Kind, filter_of, kind_of, target_of
from services.ingest.frame_times import Times, exposure_time, frame_times
from services.ingest.pixel_scale import pixel_scale
from services.ingest.place_evidence import PlaceEvidence, place_evidence
from services.ingest.reduced_frames import notes_on, taken_off

GAIN_RANGE = (0.01, 99.9)  # e-/ADU
LARGEST_INTEGER_GAIN = 9  # a larger whole number in GAIN is a CMOS camera's gain setting unless it says e-/ADU
CMOS_NAMES = re.compile(r"\b(?:ZWO|QHY|ASI ?\d{3,4})", re.IGNORECASE)  # GAIN is the setting, also 0 to 9
GAIN_UNITS, READ_NOISE_UNITS = ("e-/adu", "e/adu", "e-/dn", "electrons/adu"), ("e-", "e", "electrons")
READ_NOISE_RANGE_E = (0.01, 1000.0)
SATURATION_RANGE_ADU = (100.0, 1e9)
TEMPERATURE_RANGE_C = (-200.0, 60.0)
KELVIN = 273.15
KELVIN_ABOVE = 150.0  # no camera is this warm in Celsius

INSTRUMENT_KEYS = ("INSTRUME", "CAMERA", "DETECTOR")
TELESCOPE_KEYS = ("TELESCOP", "TELNAME")
ELECTRON_GAIN_KEYS = ("EGAIN", "CCDGAIN")
READ_NOISE_KEYS = ("RDNOISE", "READNOIS", "READNOISE", "RON", "ENOISE")
SATURATION_KEYS = ("SATURATE", "SATLEVEL")  # DATAMAX is too often the frame's own maximum
DIAMETER_KEYS = ("APTDIA", "TELDIAM", "DIAMETER", "APERTURE")
MM_PER_M = 1000.0
LARGEST_DIAMETER_M = 15.0  # larger numbers are millimetres
DIAMETER_RANGE_M = (0.01, LARGEST_DIAMETER_M)
LINEARITY_KEYS = ("MAXLIN", "LINLIMIT")  # the level up to which counts are proportional to light
TEMPERATURE_KEYS = ("CCD-TEMP", "CCDTEMP", "CAMTEMP", "DET-TEMP", "CCDATEMP")
BINNING_KEYS = (("XBINNING", "YBINNING"), ("CCDXBIN", "CCDYBIN"), ("BINX", "BINY"))
COLOUR_KEYS = ("BAYERPAT", "COLORTYP", "CFAPAT")
BAYER_PATTERNS = frozenset({"RGGB", "BGGR", "GRBG", "GBRG"})
OFFSET_KEYS = ("OFFSET", "BLKLEVEL", "BLACKLVL")
READ_MODE_KEYS, READ_MODE_LENGTH = ("READOUTM", "READMODE"), 24
PRODUCT_KEY = "TIANYUPI"  # in every image that Tianyu makes
UNKNOWN_INSTRUMENT = "unknown"


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


def read_frame(path: Path, bounds: FrameBounds | None = None) -> FrameFacts:
    """Read the facts of one frame; its pixels are not read, but their absence is found.

    Raises:
        DataError: the file is no whole 2-D FITS image, was made by Tianyu, or is a dark or light frame whose date or
            exposure time is there and cannot be read.
        TransientError: the machine cannot read now.
    """
    opened = open_frame(path, bounds)
    header = opened.header
    if cards.raw(header, PRODUCT_KEY) is not None:
        raise DataError(f"file {quoted(path)} was made by Tianyu and is no frame: keep raw frames in a folder apart")
    kind, kind_notes = kind_of(header, path)
    exposure, times, time_notes = _exposure_and_times(header, path, kind)
    gain, gain_source = _gain(header)
    ra, dec = pointing(header)
    binning = _binning(header)
    scale, scale_notes = pixel_scale(header, binning)
    read_noise, read_noise_source = cards.number(header, READ_NOISE_KEYS, *READ_NOISE_RANGE_E, READ_NOISE_UNITS)
    latitude, elevation = latitude_and_elevation(header)
    place = place_evidence(header, times.start, exposure or 0.0, times.utc_offset_s)
    reduced = taken_off(header)
    return FrameFacts(
        path=path,
        kind=kind,
        target=target_of(header, path, kind),
        has_object=cards.text(header, OBJECT_KEYS) is not None,
        filter=filter_of(header, path, kind),
        instrument=cards.text(header, INSTRUMENT_KEYS) or UNKNOWN_INSTRUMENT,
        telescope=cards.text(header, TELESCOPE_KEYS),
        exposure=exposure or 0.0,
        binning=binning,
        shape=opened.shape,
        start_utc=times.start,
        jd_utc=times.middle,
        day=times.day,
        time_source=times.source,
        gain=gain,
        gain_source=gain_source,
        read_noise=read_noise,
        read_noise_source=read_noise_source,
        saturation=cards.number(header, SATURATION_KEYS, *SATURATION_RANGE_ADU)[0],
        ra_deg=ra,
        dec_deg=dec,
        pixel_scale_arcsec=scale,
        place=place,
        setting=_setting(header, gain),
        is_float=(cards.as_number(cards.raw(header, "ZBITPIX" if "ZBITPIX" in header else "BITPIX")) or 0) < 0,
        reduced=reduced,
        site_latitude=latitude,
        site_longitude=None if place is None else place.told_east,
        site_elevation=elevation,
        diameter_m=_diameter(header),
        linearity=cards.number(header, LINEARITY_KEYS, *SATURATION_RANGE_ADU)[0],
        temperature=_temperature(header),
        header=opened.header_text,
        size=opened.size,
        mtime=opened.mtime,
        notes=(
            *opened.notes,
            *kind_notes,
            *time_notes,
            *_sky_notes(header, kind, scale_notes),
            *notes_on(reduced),
            *_colour_notes(header),
        ),
    )


def _exposure_and_times(header: fits.Header, path: Path, kind: Kind) -> tuple[float | None, Times, tuple[str, ...]]:
    """Bias frames and flats are used without a time: what cannot be read there is a note."""
    exposure, times = None, Times()
    notes: list[str] = []
    try:
        exposure, exposure_notes = exposure_time(header)
        notes += exposure_notes
        times = frame_times(header, exposure)
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


def _sky_notes(header: fits.Header, kind: Kind, scale_notes: tuple[str, ...]) -> tuple[str, ...]:
    """Where a telescope points and how it images matters in frames of the sky alone."""
    return (*pointing_notes(header), *scale_notes) if kind == "light" else ()


def _setting(header: fits.Header, gain: float | None) -> str:
    """What is set at the detector, such as ``gain 1.5, offset 50``; what the header does not tell is left out."""
    told = {
        "gain": gain if gain is not None else cards.as_number(cards.raw(header, "GAIN")),
        "offset": next(
            (value for key in OFFSET_KEYS if (value := cards.as_number(cards.raw(header, key))) is not None), None
        ),
    }
    parts = [f"{name} {value:.3g}" for name, value in told.items() if value is not None]
    if (mode := cards.text(header, READ_MODE_KEYS, READ_MODE_LENGTH)) is not None:
        parts.append(f"mode {mode.replace(',', ' ')}")
    return ", ".join(parts)


def _colour_notes(header: fits.Header) -> tuple[str, ...]:
    pattern = cards.text(header, COLOUR_KEYS)
    if pattern is None or pattern.upper() not in BAYER_PATTERNS:
        return ()
    return (
        f"colour camera (pattern {pattern}): its pixels of three colours are measured as one band, and fluxes "
        "depend on where on the pattern a star lies; take its planes apart for photometry",
    )


def _gain(header: fits.Header) -> tuple[float | None, str | None]:
    """Electrons per ADU: EGAIN first, as GAIN is the gain setting in many CMOS cameras' headers."""
    gain, key = cards.number(header, ELECTRON_GAIN_KEYS, *GAIN_RANGE, GAIN_UNITS)
    if gain is not None:
        return gain, key
    gain, key = cards.number(header, ("GAIN",), *GAIN_RANGE, GAIN_UNITS)
    if gain is None or key is None:
        return None, None
    told = f"{cards.raw(header, key)} {cards.comment(header, key)}".lower()
    is_in_electrons = any(unit in told for unit in ("e-", "electron", "e/"))
    is_cmos = CMOS_NAMES.search(cards.text(header, INSTRUMENT_KEYS) or "") is not None
    is_setting = gain.is_integer() and (is_cmos or gain > LARGEST_INTEGER_GAIN) and not is_in_electrons
    return (None, None) if is_setting else (gain, key)


def _diameter(header: fits.Header) -> float | None:
    """Diameter of the telescope in m; headers write it in mm, in m, or say nothing by a zero.

    A small number in APERTURE is a lens's focal ratio, unless its comment speaks of a telescope or a diameter.
    """
    for key in DIAMETER_KEYS:
        value = cards.as_number(cards.raw(header, key), ("m", "mm"))
        is_told = key != "APERTURE" or any(word in cards.comment(header, key) for word in ("telescope", "diameter"))
        if value is None or (value <= LARGEST_DIAMETER_M and not is_told):
            continue
        metres = value / MM_PER_M if value > LARGEST_DIAMETER_M else value
        if DIAMETER_RANGE_M[0] <= metres <= DIAMETER_RANGE_M[1]:
            return metres
    return None


def _binning(header: fits.Header) -> str:
    for keys in BINNING_KEYS:
        factors = [cards.number(header, (key,), 1, 64)[0] for key in keys]
        if None not in factors:
            return "x".join(f"{factor:.0f}" for factor in factors)
    written = cards.text(header, ("CCDSUM", "BINNING", "CCDBIN")) or ""
    parts = written.lower().replace("x", " ").replace(",", " ").split()
    if parts and len(parts) <= 2 and all(part.isascii() and part.isdigit() and 1 <= int(part) <= 64 for part in parts):
        return f"{int(parts[0])}x{int(parts[-1])}"
    return "1x1"


def _temperature(header: fits.Header) -> float | None:
    for key in TEMPERATURE_KEYS:
        value = cards.as_number(cards.raw(header, key))
        if value is None or (value == -1 and "-1 if no" in cards.comment(header, key)):
            continue
        celsius = value - KELVIN if value > KELVIN_ABOVE or "kelvin" in cards.comment(header, key) else value
        if TEMPERATURE_RANGE_C[0] <= celsius <= TEMPERATURE_RANGE_C[1]:
            return celsius
    return None
