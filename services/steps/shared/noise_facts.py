"""What is known of a frame's noise, and from where: header, settings, or measured in calibration frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pipeline.noise import DIGITISATION_VARIANCE, scintillation_variance
from schema.found import Verdict
from schema.frame import SKY, Frame
from schema.image import Image
from schema.observing import Instrument, Observation, ObsSite
from schema.prepared import Prepared, run
from services.choices import Choices
from services.log import get_logger

log = get_logger("noise_facts")
MEASURED, SETTINGS, UNKNOWN = "measured", "settings", "unknown"
_TELESCOPE = Prepared(
    select(Instrument.diameter_m, ObsSite.elevation_m)
    .select_from(Observation)
    .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
    .outerjoin(ObsSite, ObsSite.obs_site_id == Observation.obs_site_id)
    .where(Observation.observation_id == bindparam("observation_id"))
)
CONTRADICTION = 0.2  # by which a header's value may differ from the measured one before a warning is due


@dataclass(frozen=True)
class Telescope:
    """Diameter and height above the sea in m, None where unknown."""

    diameter_m: float | None
    elevation_m: float | None


def gain_is_told(frame: Frame) -> bool:
    """Whether a header, the settings or flats tell the gain of a calibrated image."""
    return frame.gain is not None and frame.gain_source != SKY


def gain_of_night(session: Session, graph_pid: int, detected: int) -> float | None:
    """The gain that a graph's `select` measured in the sky before process ``detected`` knew its sources.

    Frames that came later go by it too.
    """
    query = select(Verdict.gain).join(Image, Image.image_id == Verdict.image_id)
    query = query.where(Image.graph_pid == graph_pid, Image.pid < detected, Verdict.pid < detected)
    return session.scalar(query.order_by(Verdict.pid.desc()).limit(1))


def telescope_of(session: Session, observation_id: int | None, choices: Choices) -> Telescope:
    """The telescope of an observation: from its headers, else from the choices."""
    [found] = run(session, _TELESCOPE(observation_id=observation_id))
    diameter, elevation = found.rows[0] if found.rows else (None, None)
    return Telescope(diameter or choices.telescope_diameter_m, elevation)


def noise_facts(
    frame: Image, masters: Mapping[str, Image | None], telescope: Telescope, choices: Choices
) -> dict[str, Any]:
    """Columns of the calibrated image of a frame; ``masters`` by their names: bias, dark, flat."""
    bias, dark, flat = (masters.get(name) for name in ("bias", "dark", "flat"))
    gain, gain_source = _gain(frame, flat, choices)
    read_noise, read_noise_source = _read_noise(frame, bias, gain, choices)
    dark_electrons = None
    if dark is not None and dark.background is not None and gain is not None:
        dark_electrons = max(dark.background, 0.0) * (frame.exposure_s or 0.0) * gain
    return {
        "gain": gain,
        "gain_source": gain_source,
        "read_noise": read_noise,
        "read_noise_source": read_noise_source,
        "dark_electrons": dark_electrons,
        "flat_error": None if flat is None else flat.flat_error,
        "scintillation": _scintillation(frame, telescope),
    }


def read_noise_electrons(rms_adu: float | None, gain: float | None) -> float | None:
    """Read noise (electrons) of bias frames that scatter by so many ADU, rounding to whole numbers taken off."""
    if rms_adu is None or gain is None or not np.isfinite(rms_adu):
        return None
    return gain * float(np.sqrt(max(rms_adu**2 - DIGITISATION_VARIANCE, 0.0)))


def compare_with_header(what: str, header: float | None, measured: float | None) -> None:
    """Warn of a header that contradicts what was measured; the header is believed.

    Flats with structure of their own, or a few odd bias frames, mislead a measurement more often than a header is
    wrong, and who set it in a header or in the settings can be asked.
    """
    if header and measured and abs(measured / header - 1.0) > CONTRADICTION:
        log.warning(f"the measured {what} contradicts the header's, which is used", measured=measured, header=header)


def _gain(frame: Image, flat: Image | None, choices: Choices) -> tuple[float | None, str]:
    """Electrons per ADU, and where that is from; without it, errors lack the source's own noise."""
    if frame.gain is not None:
        return frame.gain, frame.gain_source or "header"
    if choices.gain is not None:
        return choices.gain, SETTINGS
    if flat is not None and flat.gain is not None and flat.gain_source == MEASURED:
        return flat.gain, MEASURED
    return None, UNKNOWN


def _read_noise(
    frame: Image, bias: Image | None, gain: float | None, choices: Choices
) -> tuple[float | None, str | None]:
    if frame.read_noise is not None:
        return frame.read_noise, frame.read_noise_source or "header"
    if choices.read_noise is not None:
        return choices.read_noise, SETTINGS
    measured = None if bias is None else read_noise_electrons(bias.background_rms, gain)
    return measured, None if measured is None else MEASURED


def _scintillation(frame: Image, telescope: Telescope) -> float | None:
    """Relative standard deviation; None where the telescope, its height or the airmass is unknown."""
    if telescope.diameter_m is None or telescope.elevation_m is None or frame.airmass is None or not frame.exposure_s:
        return None
    variance = scintillation_variance(
        1.0,
        diameter_m=telescope.diameter_m,
        altitude_m=telescope.elevation_m,
        airmass=frame.airmass,
        exposure_s=frame.exposure_s,
    )
    return float(np.sqrt(variance))
