"""Whether a night's specification makes sense: each number in its range, each name fit for a file name."""

import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pipeline.errors import UnusableDataError
from pipeline.simulation.psf import PSFS

if TYPE_CHECKING:
    from pipeline.simulation.night import NightSpec

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


def check(spec: "NightSpec") -> None:
    """Check every number and name.

    Raises:
        UnusableDataError: names the field, what it is and what was expected.
    """
    for field in fields(spec):
        expected = _expected(field.name, getattr(spec, field.name), field.default)
        if expected:
            raise _wrong(spec, field.name, expected)
    for name, good, expected in _relations(spec):
        if not good:
            raise _wrong(spec, name, expected)


def _wrong(spec: "NightSpec", name: str, expected: str) -> UnusableDataError:
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


def _relations(spec: "NightSpec") -> list[tuple[str, bool, str]]:
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
