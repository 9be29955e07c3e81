"""The frames of a night: their names, their headers, and what renders them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from pipeline.trials.simulation.camera import Detector
from pipeline.trials.simulation.night_spec import EAST_DEGREES, NightSpec, Stream
from pipeline.trials.simulation.optics import header_pointing
from pipeline.trials.simulation.render import render_bias, render_dark, render_flat, render_light
from pipeline.trials.simulation.truth import Truth
from pipeline.units import SECONDS_PER_DAY

FLAT = "Flat Field"
CALIBRATION_PAUSE_S = 15.0  # between calibration frames, which end as the night starts

Header = dict[str, tuple[str | float | int, str]]  # value and comment of each card


@dataclass(frozen=True)
class Frame:
    """One file to be written."""

    name: str
    header: Header
    render: Callable[[], NDArray[np.uint16]]


def frames_of(truth: Truth, detector: Detector) -> Iterator[Frame]:
    """All frames in the order of a night: flats, darks, biases, lights."""
    spec = truth.spec
    kinds = (
        (f"flat_{spec.filter_name}", FLAT, spec.n_flat, spec.flat_exposure_s, Stream.FLAT, render_flat),
        ("dark", "Dark Frame", spec.n_dark, spec.exposure_s, Stream.DARK, render_dark),
        ("bias", "Bias Frame", spec.n_bias, 0.0, Stream.BIAS, render_bias),
    )
    seconds = sum(n * (exposure + CALIBRATION_PAUSE_S) for _, _, n, exposure, _, _ in kinds)
    for stem, image_type, n, exposure, stream, render in kinds:
        for i in range(n):
            header = _header(spec, image_type, spec.start_jd - seconds / SECONDS_PER_DAY, exposure)
            if image_type == FLAT:
                header["FILTER"] = (spec.filter_name, "filter")
            seconds -= exposure + CALIBRATION_PAUSE_S
            yield Frame(f"{stem}_{i + 1:03d}.fits", header, partial(render, spec, detector, spec.generator(stream, i)))
    for i in range(spec.n_frames):
        yield Frame(
            f"{spec.target}_{spec.filter_name}_{i + 1:04d}.fits",
            _light_header(truth, i),
            partial(render_light, truth, i, detector, spec.generator(Stream.LIGHT, i)),
        )


def _header(spec: NightSpec, image_type: str, start_jd: float, exposure_s: float) -> Header:
    return {
        "IMAGETYP": (image_type, "kind of frame"),
        "DATE-OBS": (Time(start_jd, format="jd", scale="utc", precision=3).isot, "start of exposure, UTC"),
        "TIMESYS": ("UTC", "time scale of DATE-OBS"),
        "EXPTIME": (exposure_s, "exposure time, s"),
        "INSTRUME": (spec.instrument, "simulated camera"),
        "TELESCOP": (spec.telescope, "simulated telescope"),
        **(_noise(spec) if spec.gain_in_headers else {}),
        "SATURATE": (spec.saturation, "pixels stop to count here, ADU"),
        "XBINNING": (1, "binning along x"),
        "YBINNING": (1, "binning along y"),
        "CCD-TEMP": (spec.ccd_temperature_c, "temperature of the sensor, C"),
        **_place(spec),
        "SITEELEV": (spec.elevation_m, "elevation, m"),
    }


def _noise(spec: NightSpec) -> Header:
    return {"GAIN": (spec.gain, "electrons per ADU"), "RDNOISE": (spec.read_noise, "read noise, electrons")}


def _place(spec: NightSpec) -> Header:
    if spec.longitude_in_headers == EAST_DEGREES:
        return {
            "SITELAT": (spec.latitude_deg, "latitude, degrees north"),
            "SITELONG": (spec.longitude_deg, "longitude, degrees east"),
        }
    # TheSkyX counts longitudes to the west, and says so nowhere.
    return {
        "SITELAT": (_sexagesimal(spec.latitude_deg), "Latitude of the imaging location"),
        "SITELONG": (_sexagesimal(-spec.longitude_deg), "Longitude of the imaging location"),
    }


def _sexagesimal(degrees: float) -> str:
    """Degrees, minutes and seconds as TheSkyX writes them: ``+71 29 06.00``."""
    hundredths = round(abs(degrees) * 3600 * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{'-' if degrees < 0 else '+'}{minutes // 60:02d} {minutes % 60:02d} {rest / 100:05.2f}"


def _light_header(truth: Truth, i: int) -> Header:
    spec = truth.spec
    start_jd = spec.start_jd + i * spec.cadence_s / SECONDS_PER_DAY
    ra, dec, scale = header_pointing(spec)
    return _header(spec, "Light Frame", start_jd, spec.exposure_s) | {
        "OBJECT": (spec.target, "simulated field"),
        "FILTER": (spec.filter_name, "filter"),
        "RA": (ra, "right ascension of the field, degrees, J2000"),
        "DEC": (dec, "declination of the field, degrees, J2000"),
        "AIRMASS": (round(float(truth.frames.airmass[i]), 4), "at mid-exposure"),
        "PIXSCALE": (scale, "arcsec per pixel"),
    }
