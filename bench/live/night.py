"""Two nights of one sky: the first is known, the second comes live."""

from dataclasses import dataclass
from pathlib import Path

from services.trials.simulate import night_spec, simulate

KNOWN_FRAMES, CALIBRATION_FRAMES = 12, 5
FIRST_JD = 2460622.1
# In a window of 128 x 128 pixels some ten stars that can be measured.
WINDOW = {"sky_density": 30_000.0, "sky_faintest_mag": 15.0, "sky_separation_arcsec": 12.0}
SMALL = 512  # pixels of a side, up to which a frame is called a window


@dataclass(frozen=True)
class Frames:
    """Files of one night, in order of time."""

    calibration: list[Path]
    lights: list[Path]


def make_night(folder: Path, size: int, frames: int, seed: int) -> Frames:
    """Simulate a night of the one sky; another ``seed`` is another night."""
    spec = night_spec(
        "window" if size <= SMALL else "night",
        shape=(size, size),
        n_frames=frames,
        seed=seed,
        sky_seed=3,
        start_jd=FIRST_JD + seed,
        exposure_s=0.9,
        cadence_s=1.0,
        drift=(0.0, 0.0),
        n_trails=0,
        n_smeared=0,
        **dict.fromkeys(("n_bias", "n_dark", "n_flat"), CALIBRATION_FRAMES),
        **(WINDOW if size <= SMALL else {}),
    )
    simulate(spec, folder)
    lights = sorted(folder.glob(f"{spec.target}_*.fits"))
    return Frames(sorted(set(folder.glob("*.fits")) - set(lights)), lights)
