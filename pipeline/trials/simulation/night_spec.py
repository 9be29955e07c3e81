"""What a simulated night is: every number of the sky, the camera and the weather, with its unit; each in its range."""

import math
import re
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.psf import IN_FOCUS, PSFS, Psf
from pipeline.units import SECONDS_PER_DAY
from pipeline.zero_points import RELATIONS

ADC_MAX = 65535  # ADU, of a 16-bit converter
DENSITY_MAG = 15.0  # G; a sky's density counts the stars brighter than this
SMALLEST_SIDE = 32  # pixels: room for one star and its sky
SMALLEST_FWHM = 1.0  # pixels: a narrower star is not resolved by the rendering, nor by a camera
HIGHEST_BIAS = 60_000  # ADU: room for some light below the converter's 65,535
STRONGEST_DISTORTION = 0.05  # of the corner's radius: beyond it no polynomial of a WCS follows
EAST_DEGREES, WEST_SEXAGESIMAL = "degrees-east", "TheSkyX"  # 288.515, and '+71 29 06.00' for the same place
LONGITUDES = (EAST_DEGREES, WEST_SEXAGESIMAL)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,31}")  # target and filter become parts of file names

# What may be negative; every other number is at least zero.
_SIGNED = frozenset(
    {"dec_deg", "latitude_deg", "longitude_deg", "elevation_m", "mag_min", "mag_max", "mag_slope", "zero_point"}
    | {"sky_mag", "sky_gradient", "seeing_change", "drift", "rotation_deg", "ccd_temperature_c"}
    | {
        "sky_faintest_mag",
        "sky_brightest_mag",
        "colour_term",
        "position_angle_deg",
        "distortion",
        "pointing_error_deg",
        "scale_error",
    }
)
_POSITIVE = frozenset({"n_frames", "exposure_s", "gain", "full_well", "pixel_scale", "seeing", "flat_exposure_s"})
_FRACTIONS = frozenset(
    {"hot_pixel_fraction", "vignetting", "dust_depth", "cloudy_fraction", "cloud_transparency"}
    | {"seeing_jitter", "pixel_response_rms", "transparency_jitter"}
)


class Stream(IntEnum):
    """The independent random streams of a night."""

    STARS = 0
    CONDITIONS = 1
    DETECTOR = 2
    BIAS = 3
    DARK = 4
    FLAT = 5
    LIGHT = 6
    CATALOGUE = 7
    FIELD_BEYOND = 8


@dataclass(frozen=True)
class NightSpec:
    """The specification of a night.

    The default night is small: 40 frames of 512 x 512 pixels, 30 s each, 150 stars in view. With its numbers a star
    of magnitude ``m`` gives ``30 s * 10**(0.4 * (22 - m))`` electrons: 1.2e6 at magnitude 10.5, where the brightest
    pixel reaches about 52,000 of 65,535 ADU in the sharpest seeing, so that nothing saturates; 30,000 at magnitude
    14.5 (signal to noise about 140 a frame in an aperture of 1.5 FWHM); 1,900 at magnitude 17.5 (about 15).

    Stars have no scintillation: the CCD equation is the whole of their noise.

    Without ``sky_seed`` the stars are laid out in pixels by ``seed`` and the numbers under "Stars". With one they are
    those of a sky that every night with the same ``sky_…`` numbers shows, and of those under "Stars" only
    ``zero_point`` and ``colour_term`` count.

    Raises:
        UnusableDataError: a number is out of its range, or a name is not fit for a file name.
    """

    # Frames
    shape: tuple[int, int] = (512, 512)  # (ny, nx) pixels
    n_frames: int = 40
    exposure_s: float = 30.0
    cadence_s: float = 45.0  # from start to start
    start_jd: float = 2460622.1  # JD (UTC) of the first exposure's start

    # Field, and the place it is seen from
    target: str = "Simulated"
    filter_name: str = "R"
    ra_deg: float = 5.0
    dec_deg: float = 35.0
    latitude_deg: float = 38.6
    longitude_deg: float = 93.9  # east positive
    elevation_m: float = 4200.0

    # A sky that other nights see too, by other telescopes
    sky_seed: int | None = None
    sky_density: float = 3000.0  # stars brighter than G 15 per square degree, before the next number counts
    sky_separation_arcsec: float = 5.0  # of two stars closer than this the fainter one is left out
    sky_faintest_mag: float = 20.0  # G
    sky_brightest_mag: float = 10.5  # G

    # Stars
    n_stars: int = 150  # in view on average; as many to the area are laid out wherever the drift leads
    mag_min: float = 10.5
    mag_max: float = 17.5
    mag_slope: float = 0.25  # d log10(count) / d mag
    zero_point: float = 22.0  # magnitude that gives 1 electron a second at airmass 1, clear sky
    # A star's magnitude in the filter: that in a band (G, or one that Gaia has a relation for) + colour_term (BP - RP).
    band: str = "G"
    colour_term: float = 0.0
    bright_star_mag: float | None = None  # G that the constant star nearest to the first frame's middle gets instead
    min_separation_fwhm: float = 2.5  # between stars, in mean FWHM; blends belong to a harder night
    n_transits: int = 1
    n_pulsators: int = 2
    n_binaries: int = 1
    n_flares: int = 1

    # Camera
    gain: float = 1.5  # electrons per ADU
    read_noise: float = 8.0  # electrons
    bias_level: float = 1000.0  # ADU
    bias_structure: float = 1.5  # ADU rms from column to column
    dark_current: float = 0.05  # electrons per pixel and second
    full_well: float = 120_000.0  # electrons
    hot_pixel_fraction: float = 5e-4
    hot_pixel_max: float = 300.0  # electrons per second, of the hottest
    n_dead_columns: int = 1
    vignetting: float = 0.15  # loss of light in the corners
    n_dust: int = 6
    dust_depth: float = 0.03
    pixel_response_rms: float = 0.01
    ccd_temperature_c: float = -20.0
    instrument: str = "SIMCAM"
    telescope: str = "SIMSCOPE"
    gain_in_headers: bool = True  # and the read noise with it
    longitude_in_headers: str = EAST_DEGREES
    camera_seed: int | None = None  # of hot pixels, dust and all that is fixed: nights of one camera share it

    # Sky and optics
    sky_mag: float = 20.0  # magnitudes per square arcsec
    sky_gradient: float = 0.05  # change across the frame, as a fraction
    pixel_scale: float = 0.7  # arcsec per pixel
    seeing: float = 2.2  # arcsec FWHM at the start
    seeing_change: float = 0.4  # arcsec from the first to the last frame
    seeing_jitter: float = 0.03  # rms from frame to frame, as a fraction
    psf: Psf = IN_FOCUS  # what a star looks like in that seeing
    position_angle_deg: float = 0.0  # of +y, from north through east; at 0 and not mirrored, +y is north and +x west
    mirrored: bool = False  # +x the other way: at position angle 0, east
    distortion: float = 0.0  # the corner sees the sky that lies this fraction farther out; grows as the radius cubed

    # Pointing; the first frame is the reference, (ra_deg, dec_deg) its middle, all of it relative to that
    drift: tuple[float, float] = (12.0, -7.0)  # (x, y) pixels from the first to the last frame
    drift_walk: float = 0.3  # pixels rms a step, random walk in x and in y
    rotation_deg: float = 0.05  # from the first to the last frame, about the frame's centre
    pointing_error_deg: tuple[float, float] = (0.0, 0.0)  # headers point this far (east, north) of the field
    scale_error: float = 0.0  # headers give a pixel scale wrong by this fraction

    # Weather and accidents
    extinction: float = 0.15  # magnitudes per airmass
    transparency_jitter: float = 0.01  # rms from frame to frame, as a fraction
    cloudy_fraction: float = 0.1  # of the frames, in one bank of clouds
    cloud_transparency: float = 0.15  # in the thick of the bank
    n_smeared: int = 1  # frames exposed while the telescope moved
    smear_length: float = 15.0  # pixels
    n_trails: int = 1  # frames crossed by a satellite
    trail_peak: float = 1500.0  # electrons per pixel on the trail's ridge
    cosmic_rays: float = 5.0  # hits a light frame, on average

    # Calibration frames
    n_bias: int = 5
    n_dark: int = 5
    n_flat: int = 5
    flat_level: float = 30_000.0  # ADU above the bias
    flat_exposure_s: float = 3.0

    seed: int = 20171220

    def __post_init__(self) -> None:
        _check(self)

    @property
    def mean_fwhm(self) -> float:
        """Width of a star half-way through the night, pixels."""
        return self.psf.width((self.seeing + self.seeing_change / 2) / self.pixel_scale)

    @property
    def middle_jd(self) -> float:
        """Half-way through the night, JD (UTC): the epoch at which stars are drawn."""
        return self.start_jd + self.length_d / 2

    @property
    def length_d(self) -> float:
        """From the start of the first exposure to the end of the last, days."""
        return ((self.n_frames - 1) * self.cadence_s + self.exposure_s) / SECONDS_PER_DAY

    @property
    def sky_rate(self) -> float:
        """Clear sky, electrons per pixel and second."""
        return float(10 ** (0.4 * (self.zero_point - self.sky_mag)) * self.pixel_scale**2)

    @property
    def saturation(self) -> float:
        """Where pixels stop to count: the converter or the full well, ADU."""
        return min(float(ADC_MAX), self.bias_level + self.full_well / self.gain)

    @property
    def n_variables(self) -> int:
        """Injected variable stars."""
        return self.n_transits + self.n_pulsators + self.n_binaries + self.n_flares

    def generator(self, stream: Stream, index: int = 0) -> np.random.Generator:
        """The generator of one frame of one stream: the same in whatever order frames are rendered."""
        of_camera = stream is Stream.DETECTOR and self.camera_seed is not None
        seed = self.camera_seed if of_camera else self.seed
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), index)))


def _check(spec: NightSpec) -> None:
    """Each number in its range, each name fit for a file name; else an error that says what was expected."""
    for field in fields(spec):
        expected = _expected(field.name, getattr(spec, field.name), field.default)
        if expected:
            raise _wrong(spec, field.name, expected)
    for name, good, expected in _relations(spec):
        if not good:
            raise _wrong(spec, name, expected)


def _wrong(spec: NightSpec, name: str, expected: str) -> UnusableDataError:
    return UnusableDataError(f"{name} is {getattr(spec, name)!r}, expected {expected}: correct it")


def _expected(name: str, value: Any, default: Any) -> str | None:
    """What the value of a field should have been; None when it is right."""
    if isinstance(default, str):
        good = isinstance(value, str) and NAME.fullmatch(value)
        return None if good else "at most 32 letters, digits, '_', '+' and '-', the first a letter or digit"
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "True or False"
    if name == "psf":
        return None if isinstance(value, tuple(PSFS.values())) else f"one of {', '.join(PSFS)}"
    if name == "bright_star_mag":
        is_mag = isinstance(value, int | float) and math.isfinite(value)
        return None if value is None or is_mag else "a magnitude, or None"
    if default is None:
        return None if value is None or (isinstance(value, int) and value >= 0) else "a whole number from 0 on, or None"
    numbers = value if isinstance(default, tuple) and isinstance(value, tuple) else (value,)
    wanted = len(default) if isinstance(default, tuple) else 1
    kind = int if isinstance(default[0] if isinstance(default, tuple) else default, int) else (int, float)
    if len(numbers) != wanted or not all(isinstance(n, kind) and math.isfinite(n) for n in numbers):
        return f"{'whole' if kind is int else 'finite'} numbers, {wanted} of them"
    if name in _POSITIVE and min(numbers) <= 0:
        return "more than zero"
    if name not in _SIGNED and min(numbers) < 0:
        return "nothing below zero"
    if name in _FRACTIONS and max(numbers) > 1:
        return "a fraction between 0 and 1"
    return None


def _relations(spec: NightSpec) -> list[tuple[str, bool, str]]:
    narrowest = min(spec.seeing, spec.seeing + spec.seeing_change) / spec.pixel_scale
    expected_psf = spec.psf.wrong()
    return [
        ("psf", expected_psf is None, str(expected_psf)),
        ("shape", min(spec.shape) >= SMALLEST_SIDE, f"(ny, nx) from {SMALLEST_SIDE} pixels"),
        ("cadence_s", spec.cadence_s >= spec.exposure_s, f"no less than exposure_s, {spec.exposure_s}"),
        ("mag_max", spec.mag_max > spec.mag_min, f"more than mag_min, {spec.mag_min}"),
        ("longitude_in_headers", spec.longitude_in_headers in LONGITUDES, f"one of {', '.join(LONGITUDES)}"),
        ("seeing", narrowest >= SMALLEST_FWHM, f"FWHM from {SMALLEST_FWHM} pixel on, not {narrowest:.2f}, all night"),
        ("n_stars", spec.n_stars >= spec.n_variables, f"at least the {spec.n_variables} variables (n_transits, …)"),
        ("band", spec.band in ("G", *RELATIONS), f"one of G, {', '.join(RELATIONS)}"),
        ("bias_level", spec.bias_level <= HIGHEST_BIAS, f"at most {HIGHEST_BIAS} ADU"),
        ("sky_gradient", abs(spec.sky_gradient) <= 1, "between -1 and 1"),
        ("distortion", abs(spec.distortion) <= STRONGEST_DISTORTION, f"at most {STRONGEST_DISTORTION} either way"),
        (
            "sky_faintest_mag",
            spec.sky_faintest_mag > spec.sky_brightest_mag < DENSITY_MAG,
            f"more than sky_brightest_mag, {spec.sky_brightest_mag}, and that less than {DENSITY_MAG}",
        ),
        ("scale_error", spec.scale_error > -1, "more than -1"),
        ("dec_deg", abs(spec.dec_deg) <= 90, "-90 to 90"),
        ("latitude_deg", abs(spec.latitude_deg) <= 90, "-90 to 90"),
    ]
