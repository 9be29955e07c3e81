"""A simulated night, reduced and held against its truth: scatter, quoted errors, amplitudes, references."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sqlalchemy import text

from pipeline.trials.simulation.optics import on_first
from pipeline.trials.simulation.truth import Truth
from schema import database
from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance.measured_night import MeasuredNight, read_night
from tests.acceptance.noise_floor import noise_floor
from tests.acceptance.own_process import reduce

NIGHTS = {
    # Poor field: the seeing gets better, the field drifts back and turns the other way.
    "sparse": {
        "shape": (1024, 1024),
        "n_stars": 75,
        "n_frames": 36,
        "drift": (-80.0, 50.0),
        "rotation_deg": -0.3,
        "seeing": 2.8,
        "seeing_change": -0.6,
        "seed": 42,
    },
    # Sharp and steady, thick clouds.
    "medium": {
        "shape": (768, 768),
        "n_stars": 211,
        "n_frames": 40,
        "drift": (30.0, 60.0),
        "rotation_deg": 0.1,
        "seeing": 1.9,
        "seeing_change": 0.2,
        "cloudy_fraction": 0.2,
        "cloud_transparency": 0.3,
        "seed": 43,
    },
    # Crowded: 8.6 px between the nearest stars, half a degree of rotation.
    "dense": {
        "shape": (640, 640),
        "n_stars": 976,
        "n_frames": 40,
        "drift": (40.0, -25.0),
        "rotation_deg": 0.5,
        "seed": 41,
    },
}
COMMON = {
    "n_transits": 1,
    "n_pulsators": 1,
    "n_binaries": 1,
    "n_flares": 0,
    "n_bias": 5,
    "n_dark": 5,
    "cosmic_rays": 10.0,
}
QUOTED_BINS = ((10.5, 14.0), (14.0, 15.5), (15.5, 17.5))  # of quoted errors

FLOOR_RADII = np.arange(0.6, 3.01, 0.2)  # FWHM
MATCH_PX = 2.0
SEEN = 0.6  # of the good frames, unflagged; stars at the border of a drifting field are seen less often
OUTLIER_SIGMA = 5.0  # robust sigma; an unflagged cosmic ray is another test's business

REFERENCES = "SELECT DISTINCT source_id FROM light_curve WHERE observation_id = :observation AND is_reference"
CANDIDATES = "SELECT source_id FROM variability WHERE observation_id = :observation AND candidate"

Floats = NDArray[np.float64]
Stars = NDArray[np.int64]


def nearest_stars(true: Floats, found: Floats) -> Stars:
    """Star at each position found, -1 where there is none within MATCH_PX; a star belongs to the nearest one only."""
    distance, star = KDTree(true).query(found)  # type: ignore[no-untyped-call]
    order = np.argsort(distance, kind="stable")
    _, first = np.unique(star[order], return_index=True)
    nearest = order[first]
    matched = np.full(len(found), -1)
    matched[nearest] = np.where(distance[nearest] < MATCH_PX, star[nearest], -1)
    return matched


def best_floor(truth: Truth, stars: Stars, frames: Stars, used: NDArray[np.bool_], fwhm: float) -> Floats:
    """Relative scatter by the CCD equation in each star's best circle, over its used frames; float64[stars].

    One circle for all frames, chosen by the truth: no choice of a pipeline's, and nothing of its noise, goes in.
    """
    best = np.full(stars.size, np.inf)
    for factor in FLOOR_RADII:
        variance = np.square(noise_floor(truth, stars, frames, factor * fwhm))
        best = np.fmin(best, np.sqrt(np.nanmean(np.where(used, variance, np.nan), axis=1)))
    return best


@dataclass(frozen=True)
class Comparison:
    """The truth, what was measured, and which belongs to which."""

    truth: Truth
    night: MeasuredNight
    frames: Stars  # [t], of the truth, of each calibrated frame
    stars: Stars  # [n], of the truth, of each source; -1: none
    references: Stars  # sources that serve as references in any aperture
    candidates: Stars  # sources that the analysis calls variable

    @cached_property
    def quiet(self) -> MeasuredNight:
        """The night with the aperture of the smallest quoted error as each source's best.

        The aperture of the smallest scatter is a lucky one: of six, it scatters 5 % less than it will the next night.
        """
        with np.errstate(invalid="ignore"):
            typical = np.nan_to_num(np.nanmedian(self.night.error[:, self.night.good], axis=1), nan=np.inf)
        return replace(self.night, best=np.argmin(typical, axis=1))

    def constant(self) -> Stars:
        """Sources that are constant stars, measured without a flag on most good frames."""
        seen = self.quiet.clean().sum(axis=1) >= SEEN * self.night.good.sum()
        return np.flatnonzero((self.stars >= 0) & (self.truth.stars.kind[self.stars] == "constant") & seen)

    def mag(self, sources: Stars) -> Floats:
        """Magnitudes of sources by the truth."""
        return np.asarray(self.truth.stars.mag[self.stars[sources]])

    def over_floor(self, sources: Stars) -> Floats:
        """Scatter of each star's light curve over the floor, float64[sources]."""
        used = self.quiet.clean()[sources]
        fwhm = float(np.median(self.truth.frames.fwhm[self.frames[self.night.good]]))
        floor = best_floor(self.truth, self.stars[sources], self.frames, used, fwhm)
        return np.asarray(self.scatter(sources) / floor)

    def over_quoted(self, sources: Stars) -> Floats:
        """Scatter over the quoted errors' root mean square, float64[sources]."""
        used = self.quiet.clean()[sources]
        error = np.where(used, self.quiet.in_best(self.night.error)[sources], np.nan)
        return np.asarray(self.scatter(sources) / np.sqrt(np.nanmean(np.square(error), axis=1)))

    def scatter(self, sources: Stars) -> Floats:
        """Standard deviation of each star's light curve about its median without outliers, float64[sources]."""
        flux = np.where(self.quiet.clean()[sources], self.quiet.in_best(self.night.relative)[sources], np.nan)
        flux = flux / np.nanmedian(flux, axis=1)[:, None]
        sigma = 1.4826 * np.nanmedian(np.abs(flux - 1), axis=1)[:, None]
        return np.asarray(np.nanstd(np.where(np.abs(flux - 1) < OUTLIER_SIGMA * sigma, flux, np.nan), axis=1, ddof=1))

    def variables(self) -> Stars:
        """Sources that vary by the truth."""
        return np.flatnonzero((self.stars >= 0) & (self.truth.stars.kind[self.stars] != "constant"))

    def amplitude(self, source: int) -> tuple[float, float]:
        """Factor by which the injected variation must be scaled to fit what was measured, and its uncertainty."""
        night, used = self.quiet, self.quiet.clean()[source]
        flux = night.in_best(night.relative)[source, used]
        error = night.in_best(night.error)[source, used]
        model = self.truth.relative_flux[self.stars[source], self.frames[used]].astype(np.float64)
        # Weighted least squares of flux = level + size · (model − 1), written out.
        weight = error**-2 / np.sum(error**-2)
        shape = model - np.sum(weight * model)
        norm = np.sum(weight * shape**2)
        size = np.sum(weight * shape * flux) / norm
        level = np.sum(weight * flux) - size * np.sum(weight * (model - 1))
        uncertainty = 1 / np.sqrt(np.sum(error**-2) * norm)
        return float(size / level), float(uncertainty / level)


def compare(raw: Path, work: Path) -> Comparison:
    """Hold a finished run against the truth beside its frames."""
    return hold(read_truth(raw), read_night(work), work)


def hold(truth: Truth, night: MeasuredNight, work: Path) -> Comparison:
    """Hold one observation of a finished run against its truth."""
    frames = np.array([int(np.argmin(np.abs(truth.frames.jd_mid - jd))) for jd in night.jd])
    x, y = on_first(*night.xy.T, truth.frames, int(frames[night.reference]), truth.spec)
    stars = nearest_stars(np.column_stack([truth.stars.x, truth.stars.y]), np.column_stack([x, y]))
    engine = database.connect(f"sqlite:///{work / 'tianyu.db'}")
    with engine.connect() as connection:

        def ids(query: str, **values: int) -> list[int]:
            return [row[0] for row in connection.execute(text(query), values)]

        references = ids(REFERENCES, observation=night.observation)
        candidates = ids(CANDIDATES, observation=night.observation)
    engine.dispose()
    places = [np.flatnonzero(np.isin(night.source, some)) for some in (references, candidates)]
    return Comparison(truth, night, frames, stars, *places)


def run_night(folder: Path, **changes: Any) -> Comparison:
    """Simulate a night like the preset `night` with these changes, run it, and compare."""
    raw, work = folder / "night", folder / "work"
    simulate(night_spec("night", **changes), raw)
    reduce(raw, work)
    return compare(raw, work)
