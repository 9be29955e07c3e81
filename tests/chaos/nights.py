"""The night that is disturbed: many small frames, so that a graph of hundreds of processes takes seconds."""

from pathlib import Path

from services.trials.simulate import night_spec, simulate

FRAMES = 60  # two graphs, in which together more than 250 processes run
SIDE = 144  # px
STARS = 40
CALIBRATION_FRAMES = 6  # of each kind: more than the fan-out of five, so that masters are trees


def make_night(folder: Path, frames: int = FRAMES) -> Path:
    """Write it into ``folder``."""
    spec = night_spec(
        "demo",
        shape=(SIDE, SIDE),
        n_frames=frames,
        n_stars=STARS,
        n_bias=CALIBRATION_FRAMES,
        n_dark=CALIBRATION_FRAMES,
        n_flat=CALIBRATION_FRAMES,
        cadence_s=35.0,
        drift=(5.0, -3.0),
        drift_walk=0.05,
        seed=77,
    )
    return simulate(spec, folder)
