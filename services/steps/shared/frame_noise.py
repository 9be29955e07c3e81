"""What is known of the noise of frames, as `pipeline.aperture.noise_budget` takes it."""

from collections.abc import Sequence

import numpy as np

from pipeline.aperture.kron import Ellipses
from pipeline.aperture.noise_budget import ApertureNoise
from pipeline.noise import FrameNoise, noise_pixels, typical_sharpness
from schema.frame import Frame
from schema.photometry import Aperture
from services.steps.shared.apertures import ANNULUS, radius_on
from services.steps.shared.image_columns import column


def noise_of(frame: Frame, gain: float | None) -> FrameNoise:
    """What is known of the noise of a calibrated image, by its gain or the night's (electrons per ADU)."""
    return FrameNoise(
        background_rms=frame.background_rms or 0.0,
        background_level=frame.background or 0.0,
        gain=gain,
        read_noise=frame.read_noise,
        flat_error=frame.flat_error,
        scintillation=frame.scintillation,
    )


def frame_noise(frames: Sequence[Frame], aperture: Aperture, ellipses: Ellipses | None = None) -> ApertureNoise:
    """The noise of t frames in one aperture.

    Args:
        frames: calibrated images.
        aperture: its row.
        ellipses: those of the sources in a Kron aperture.
    """
    if ellipses is None:
        radius = np.array([radius_on(aperture, frame.fwhm) for frame in frames], dtype=np.float64)
        area, edge = np.pi * radius**2, 2.0 * np.pi * radius
    else:
        area, edge = ellipses.area[:, None], ellipses.edge[:, None]
    annulus = np.pi * (aperture.annulus_outer**2 - aperture.annulus_inner**2)
    return ApertureNoise(
        gain=column(frames, "gain"),
        read_noise=column(frames, "read_noise"),
        dark=column(frames, "dark_electrons"),
        sky_rms=column(frames, "background_rms"),
        pixels=noise_pixels(area, annulus if aperture.sky == ANNULUS else np.inf, edge),
        flat=column(frames, "flat_error") * np.sqrt(typical_sharpness(column(frames, "fwhm"))),
        scintillation=column(frames, "scintillation"),
    )
