"""Whole frames of three densities under different conditions, each held against its truth."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.acceptance.noise_limit import Comparison, run_night

SHAPE = (2048, 2048)
DENSITIES = (300, 1500, 10_000)
CONDITIONS: dict[str, dict[str, Any]] = {
    "quiet": {"seeing": 2.2, "seeing_change": 0.2, "drift": (12.0, -7.0), "rotation_deg": 0.05, "cloudy_fraction": 0.0},
    "drifting": {"seeing": 1.9, "seeing_change": 0.6, "drift": (150.0, -90.0), "rotation_deg": 0.6},
    "clouds": {"seeing": 2.6, "seeing_change": -0.6, "cloudy_fraction": 0.3, "cloud_transparency": 0.3},
}
BRIGHT_MAG = 15.5  # five magnitudes from the brightest stars
HEAD = (
    "| stars | conditions | seed | bright stars | scatter / floor | scatter / quoted error | amplitudes | "
    "variable references | candidates, constant ones |"
)


def rows(folder: Path, frames: int, seeds: int) -> Iterator[str]:
    """A Markdown table, a night at a time."""
    yield HEAD
    yield "| ---: | --- |" + " ---: |" * 7
    for density in DENSITIES:
        for number, (name, conditions) in enumerate(CONDITIONS.items()):
            for seed in range(100 * number + density, 100 * number + density + seeds):
                place = folder / f"{density}-{name}-{seed}"
                changes = conditions | {"shape": SHAPE, "n_stars": density, "n_frames": frames, "seed": seed}
                yield row(f"| {density:,} | {name} | {seed}", run_night(place, **changes))


def row(head: str, compared: Comparison) -> str:
    """One night's figures."""
    stars = compared.constant()
    bright = stars[compared.mag(stars) < BRIGHT_MAG]
    variables = compared.variables()
    fits = np.array([compared.amplitude(source) for source in variables])
    fits = fits[np.isfinite(fits).all(axis=1)]  # in a short night an eclipse or a flare may not come
    mean = np.average(fits[:, 0], weights=fits[:, 1] ** -2)
    constant = np.setdiff1d(compared.candidates, variables).size
    wrong = np.intersect1d(compared.references, variables).size
    return (
        f"{head} | {bright.size} | {np.median(compared.over_floor(bright)):.3f} | "
        f"{np.median(compared.over_quoted(stars)):.3f} | {mean:.3f} ± {np.sum(fits[:, 1] ** -2) ** -0.5:.3f} | "
        f"{wrong} of {variables.size} | {compared.candidates.size}, {constant} |"
    )
