"""A night that is hard on a pipeline, reduced: which stars it lost, doubled, or measured wrong."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from services.trials.simulate import night_spec, simulate
from tests.acceptance.noise_floor import noise_floor
from tests.acceptance.noise_limit import FLOOR_RADII, Comparison, Floats, Stars, compare
from tests.acceptance.own_process import reduce

SURE_SIGMA = 20.0  # of a star on the template, by the CCD equation
WRONG_ERRORS = 5.0  # of its own from the truth: among 10,000 honest points one in 170 nights
FEWEST_POINTS = 10  # of a star, whose median is its level


@dataclass(frozen=True)
class HardNight:
    """A night's result beside its truth."""

    compared: Comparison

    @cached_property
    def good(self) -> Stars:
        """Frames of the truth that count."""
        return self.compared.frames[self.compared.night.good]

    @cached_property
    def width(self) -> float:
        """Of a star, pixels."""
        truth = self.compared.truth
        return truth.spec.psf.width(float(np.median(truth.frames.fwhm[self.good])))

    def inside(self, margin: float) -> Stars:
        """Stars of the truth this far from the border on every good frame, pixels."""
        truth = self.compared.truth
        ny, nx = truth.spec.shape
        found = np.ones(truth.stars.id.size, dtype=bool)
        for i in self.good:
            x, y = truth.positions(int(i))
            found &= (np.minimum(x, nx - 1 - x) > margin) & (np.minimum(y, ny - 1 - y) > margin)
        return np.flatnonzero(found)

    @cached_property
    def floor(self) -> Floats:
        """Relative noise of one frame by the CCD equation in each star's best circle, float64[stars of the truth]."""
        truth, frames = self.compared.truth, self.good
        stars = np.arange(truth.stars.id.size)
        rms = [
            np.sqrt(np.mean(np.square(noise_floor(truth, stars, frames, factor * self.width)), axis=1))
            for factor in FLOOR_RADII
        ]
        return np.asarray(np.min(rms, axis=0))

    def missing(self) -> list[tuple[int, float, float]]:
        """Stars that must be sources and are not: number, magnitude, signal to noise on the template."""
        stars = self.inside(0.75 * self.width)
        signal = np.sqrt(self.good.size) / self.floor[stars]
        lost = (signal > SURE_SIGMA) & ~np.isin(stars, self.compared.stars)
        return [
            (int(k), float(self.compared.truth.stars.mag[k]), float(s))
            for k, s in zip(stars[lost], signal[lost], strict=True)
        ]

    def doubled(self) -> list[tuple[int, int]]:
        """Pairs of sources that are nearer to one another than stars of this width can be told apart."""
        pairs = KDTree(self.compared.night.xy).query_pairs(0.5 * self.width)  # type: ignore[no-untyped-call]
        return sorted(pairs)

    def over_floor(self) -> Floats:
        """Scatter of each constant star over the noise of its ratio to all others, by the CCD equation alone."""
        compared = self.compared
        sources = compared.constant()
        stars = compared.stars[sources]
        constant = np.flatnonzero(compared.truth.stars.kind == "constant")
        references = np.intersect1d(constant, compared.stars[compared.stars >= 0])
        weight = dict(zip(references.tolist(), self.floor[references] ** -2, strict=True))
        others = np.array([sum(w for k, w in weight.items() if k != star) for star in stars])
        own = self.floor[stars]
        return np.asarray(compared.scatter(sources) / np.sqrt(own**2 + 1 / others))

    def errors_off(self) -> Floats:
        """How many of its errors each usable value is from the truth, else NaN; float64[source, frame, aperture]."""
        compared, night = self.compared, self.compared.night
        model = compared.truth.relative_flux[compared.stars][:, compared.frames].astype(np.float64)
        model[compared.stars < 0] = np.nan
        with np.errstate(invalid="ignore"):
            ratio = np.where(night.usable, night.relative / model[:, :, None], np.nan)
            error = night.error / model[:, :, None]
        few = np.isfinite(ratio).sum(axis=1, keepdims=True) < FEWEST_POINTS
        level = np.nanmedian(ratio, axis=1, keepdims=True)
        return np.asarray(np.where(few, np.nan, (ratio / level - 1) / (error / level)))


def run_hard(folder: Path, preset: str, **changes: Any) -> HardNight:
    """Simulate a preset with these changes, run it, and hold it against its truth."""
    raw, work = folder / "night", folder / "work"
    simulate(night_spec(preset, **changes), raw)
    reduce(raw, work, catalog_file=raw / "truth" / "gaia.csv")
    return HardNight(compare(raw, work))
