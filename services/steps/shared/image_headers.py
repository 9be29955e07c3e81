"""Headers of what steps make: what is known of an image, in cards that other programs read.

The sections are those of the Xinglong observatory's public standard: file and station, telescope and instrument,
target, times and environment. Nothing hangs on the clock: a second attempt writes the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schema.frame import Frame
from schema.image import Image
from services.choices import said
from services.fits_cards import lines
from services.steps.shared.header_rows import (
    Row,
    Told,
    cards,
    creator_rows,
    exposure_rows,
    instrument_rows,
    middle_rows,
    noise_rows,
    pointing_rows,
    section,
    sight_rows,
    start_rows,
    station_rows,
)
from services.steps.shared.kept_cards import kept_cards
from services.steps.shared.step import Context

SAMPLE_STEP = 16  # each such row and column tell how far the levels of raw and calibrated pixels lie apart


@dataclass(frozen=True)
class Saturation:
    """How many ADU of a calibrated image a full raw pixel has: the raw level without what was taken off."""

    level: float | None  # raw ADU
    sample: NDArray[Any]  # raw pixels

    @classmethod
    def of(cls, raw: NDArray[Any], level: float | None) -> "Saturation":
        """Keep a few raw pixels until they have been calibrated."""
        return cls(level, raw[::SAMPLE_STEP, ::SAMPLE_STEP].astype(np.float32))

    def on(self, image: NDArray[Any]) -> float | None:
        """For the calibrated image; a pixel where the flat is 1."""
        if self.level is None:
            return None
        apart = self.sample - image[::SAMPLE_STEP, ::SAMPLE_STEP]
        apart = apart[np.isfinite(apart)]
        return round(float(self.level - np.median(apart)), 1) if apart.size else None


def calibrated_cards(
    context: Context,
    told: Told,
    frame: Image,
    masters: Mapping[str, Image | None],
    noise: Mapping[str, Any],
    *,
    raw_header: str,
    saturation: float | None,
    measured: Mapping[str, Any],
    reads: Sequence[str],
    before: Sequence[str] = (),
) -> str:
    """Cards of a calibrated frame: those of `frame_cards`, its masters, what was done, and what of its own still holds.

    Args:
        context: of the process.
        told: of its observation.
        frame: as ingest registered it.
        masters: by their names.
        noise: gain (electrons an ADU) and read noise (electrons), as columns of table image.
        raw_header: of the frame, cards of 80 characters.
        saturation: in ADU of the calibrated image.
        measured: background and background_rms (ADU a pixel), fwhm (pixels), star_count.
        reads: names of the choices that the process goes by.
        before: what was done with its pixels before.
    """
    kept, left_out = kept_cards(raw_header)
    used = {name: master for name, master in masters.items() if master is not None}
    status = "".join(sorted({*told.reduced, *(name[0].upper() for name in used)}, key="BDF".index))
    level = measured["background"]
    done = [
        *before,
        *(f"{letter}: taken off or divided by before, by another program" for letter in told.reduced),
        *(f"master {name} {_VERBS[name]}: {master.path}" for name, master in used.items()),
        f"sky taken off, a smooth surface of {level:.3f} adu in the middle" if np.isfinite(level) else "sky taken off",
        "bad and saturated pixels are NaN or listed in extension PIXELS, cosmic rays are as they were",
        *_chosen(context, reads),
        *([f"{left_out} further cards of the camera's header are left out"] if left_out else []),
    ]
    return "".join(
        (
            section("File and station"),
            cards(
                *_kinds("LIGHT", "calibrated"),
                ("RAWFILE", PurePath(frame.path).name, "the camera's file"),
                *station_rows(told),
            ),
            section("Telescope and instrument"),
            cards(
                *instrument_rows(told),
                *exposure_rows(frame.exposure_s),
                ("CCD-TEMP", frame.temperature_c, "[deg C] detector"),
                *noise_rows(noise["gain"], noise["read_noise"]),
                ("SATURATE", saturation, "[adu] a full pixel of this image, about"),
            ),
            section("Target"),
            cards(("OBJECT", told.object or None, "target"), *pointing_rows(told.ra_deg, told.dec_deg)),
            section("Times and environment"),
            cards(
                *start_rows(frame.start_jd_utc),
                *middle_rows(frame.jd_utc),
                *sight_rows({name: getattr(frame, name) for name in ("hjd_utc", "bjd_tdb", *_HORIZON)}),
                ("SKYLEVEL", level, "[adu] sky that was taken off"),
                ("SKYRMS", measured["background_rms"], "[adu] noise of a pixel of sky"),
                ("FWHM", measured["fwhm"], "[pixel] of the stars"),
                ("NSTARS", measured["star_count"], "stars that were found"),
            ),
            section("Reduction"),
            cards(
                *creator_rows(),
                ("CALSTAT", status or None, "taken off: B bias, D dark, F flat"),
                *(
                    row
                    for name, master in used.items()
                    for row in (
                        (f"{name.upper()}FILE", master.path, f"{name}, below the root"),
                        (f"{name.upper()}PID", str(master.pid), f"process of the master {name}"),
                    )
                ),
            ),
            section("As the camera wrote it") if kept else "",
            kept,
            *(lines("HISTORY", f"Tianyu: {text}") for text in done),
        )
    )


_HORIZON = ("altitude_deg", "azimuth_deg", "airmass")
_VERBS = {"bias": "subtracted", "dark": "subtracted", "flat": "divided by"}


def master_cards(
    context: Context,
    told: Told,
    kind: str,
    product: str,
    *,
    number: float,
    means: Mapping[str, float | None],
    method: str,
    level: float | None,
    unit: str = "adu",
    noise: Mapping[str, Any] | None = None,
    masters: Mapping[str, Image | None] | None = None,
    reads: Sequence[str] = (),
) -> str:
    """Cards of a mean of calibration frames.

    Args:
        context: of the process.
        told: of its observation.
        kind: bias, dark or flat.
        product: kind of image.
        number: of frames in it.
        means: of them, as columns of table image: exposure_s, temperature_c, jd_utc.
        method: how they were combined.
        level: median of its pixels.
        unit: of them.
        noise: gain and read noise, as columns of table image.
        masters: that were taken off, by their names.
        reads: names of the choices that the process goes by.
    """
    noise = noise or {}
    if told.is_given:
        method, level = "given file", None
    used = {name: master for name, master in (masters or {}).items() if master is not None}
    return "".join(
        (
            section("File and station"),
            cards(*_kinds(kind.upper(), product), *station_rows(told)),
            section("Telescope and instrument"),
            cards(
                *instrument_rows(told),
                *exposure_rows(means.get("exposure_s")),
                ("CCD-TEMP", means.get("temperature_c"), "[deg C] detector, mean"),
                *noise_rows(noise.get("gain"), noise.get("read_noise"), "of one frame"),
                ("LEVEL", level, f"[{unit}] median level"),
            ),
            section("Times"),
            cards(
                ("NIGHT", None if told.night is None else told.night.isoformat(), "night of the frames"),
                *middle_rows(means.get("jd_utc"), "mean of the frames' mid-exposures"),
            ),
            section("Reduction"),
            cards(
                *creator_rows(),
                ("NCOMBINE", None if told.is_given else round(number), "frames in it"),
                ("COMBINE", method, "how they were combined"),
                *(
                    (f"{name.upper()}PID", str(master.pid), f"process of the master {name}")
                    for name, master in used.items()
                ),
            ),
            *(lines("HISTORY", f"Tianyu: master {name} {_VERBS[name]}: {one.path}") for name, one in used.items()),
            lines("HISTORY", f"Tianyu: {method}" + ("" if told.is_given else f" of {number:.0f} {kind} frames")),
            *(lines("HISTORY", f"Tianyu: {text}") for text in _chosen(context, reads)),
        )
    )


@dataclass(frozen=True)
class StackedFacts:
    """Of the frames in a stack: how many, exposure of one (s), start of the first and mean of the middles (JD UTC)."""

    frames: int
    exposure_s: float | None
    start_jd_utc: float | None
    jd_utc: float | None

    @classmethod
    def of(cls, inputs: Sequence[Frame] | Sequence[Image], frames: int) -> "StackedFacts":
        """Of good frames, or of stacks of some, each by its number of frames."""
        weights = [1.0 if isinstance(image, Frame) else image.weight or 0.0 for image in inputs]
        return cls(
            frames,
            mean_of(inputs, "exposure_s", weights),
            min((image.start_jd_utc for image in inputs if image.start_jd_utc is not None), default=None),
            mean_of(inputs, "jd_utc", weights),
        )


def stack_cards(
    context: Context, told: Told, product: str, facts: StackedFacts, fwhm: float | None, reads: Sequence[str]
) -> str:
    """Cards of a mean of frames; its fluxes are those of one exposure."""
    total = None if facts.exposure_s is None else facts.exposure_s * facts.frames
    return "".join(
        (
            section("File and station"),
            cards(*_kinds("LIGHT", product), *station_rows(told)),
            section("Telescope and instrument"),
            cards(
                *instrument_rows(told),
                *exposure_rows(facts.exposure_s, "[s] of one frame: fluxes are those of it"),
                ("TOTEXP", total, "[s] of all frames together"),
            ),
            section("Target"),
            cards(("OBJECT", told.object or None, "target"), *pointing_rows(told.ra_deg, told.dec_deg)),
            section("Times"),
            cards(
                *start_rows(facts.start_jd_utc, "start of the first frame, UTC"),
                *middle_rows(facts.jd_utc, "mean of the frames' mid-exposures"),
                ("FWHM", fwhm, "[pixel] of the stars, mean of the frames"),
            ),
            section("Reduction"),
            cards(
                *creator_rows(),
                ("NCOMBINE", facts.frames, "good frames in it"),
                ("COMBINE", "mean", "how they were combined, cosmic rays left out"),
            ),
            lines("HISTORY", f"Tianyu: mean of {facts.frames} calibrated frames, aligned with the reference frame"),
            *(lines("HISTORY", f"Tianyu: {text}") for text in _chosen(context, reads)),
        )
    )


def _kinds(frames: str, product: str) -> tuple[Row, Row]:
    return ("IMAGETYP", frames, "kind of frames"), ("PRODUCT", product, "kind of image")


def _chosen(context: Context, reads: Sequence[str]) -> list[str]:
    """Choices that the process goes by and that are set; others may differ where the file is used again."""
    values = context.choices.values()
    return [f"choice {name} = {said(values[name])}" for name in reads if values[name] is not None]


def mean_of(images: Sequence[Image] | Sequence[Frame], column: str, weights: Sequence[float]) -> float | None:
    """Weighted mean of a column of table image; None where one image does not tell."""
    values = [getattr(image, column) for image in images]
    if None in values or not sum(weights):
        return None
    first: float = values[0]  # differences: a Julian date has few digits left
    return first + float(np.average([value - first for value in values], weights=weights))
