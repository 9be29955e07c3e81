"""A simulated night as every tool gets it: files, and the truth that the tools are not shown but matched by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.night_spec import Stream
from pipeline.trials.simulation.truth import Truth
from services.trials.simulate import read_truth
from tests.acceptance.noise_limit import best_floor, nearest_stars

MARGIN_FWHM = 9.0  # that compared stars keep from the border: no tool's annulus leaves the frame
CLEAR_FWHM = 2.5  # around a star without a bad pixel
DEAD = 0.5  # response

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Night:
    """Frames in order of time: the good ones of the truth. Arrays over stars are over all stars of the truth."""

    folder: Path
    truth: Truth
    epochs: NDArray[np.int64]  # [t], frames of the truth that are compared

    @property
    def fwhm(self) -> float:
        """Median over the compared frames, px."""
        return float(np.median(self.truth.frames.fwhm[self.epochs]))

    def light_frames(self) -> list[Path]:
        """Files of the compared frames."""
        spec = self.truth.spec
        return [self.folder / f"{spec.target}_{spec.filter_name}_{i + 1:04d}.fits" for i in self.epochs]

    def calibration_frames(self, kind: str) -> list[Path]:
        """Files of one kind: bias, dark, flat."""
        return sorted(self.folder.glob(f"{kind}_*.fits"))

    def stars_of(self, epoch: int, xy: Floats) -> NDArray[np.int64]:
        """Star of the truth at each position on a compared frame, -1 where there is none."""
        return nearest_stars(np.column_stack(self.truth.positions(int(self.epochs[epoch]))), xy)

    def compared(self) -> NDArray[np.int64]:
        """Constant stars that lie well inside every compared frame."""
        ny, nx = self.truth.spec.shape
        inside = self.truth.stars.kind == "constant"
        for i in self.epochs:
            x, y = self.truth.positions(int(i))
            room = np.minimum(np.minimum(x, nx - 1 - x), np.minimum(y, ny - 1 - y))
            inside &= room > MARGIN_FWHM * self.fwhm
        return np.flatnonzero(inside)

    def clear(self, stars: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether no hot pixel and no dead column lies in or near a star's apertures, bool[star, epoch]."""
        spec = self.truth.spec
        detector = make_detector(spec, spec.generator(Stream.DETECTOR))
        bad = (detector.dark > spec.dark_current) | (detector.response < DEAD)
        row, column = np.nonzero(bad)
        pixels = KDTree(np.column_stack([column, row]))
        clear = np.empty((stars.size, self.epochs.size), dtype=bool)
        for t, i in enumerate(self.epochs):
            distance, _ = pixels.query(np.column_stack(self.truth.positions(int(i)))[stars])
            clear[:, t] = distance > CLEAR_FWHM * self.fwhm
        return clear

    def floor(self, stars: NDArray[np.int64], clear: NDArray[np.bool_]) -> Floats:
        """Relative scatter by the CCD equation in each star's best circle, float64[stars]; a bound for every tool."""
        return best_floor(self.truth, stars, self.epochs, clear, self.fwhm)


def read(folder: Path) -> Night:
    """The night in a folder that `tianyu simulate` wrote."""
    truth = read_truth(folder)
    return Night(folder, truth, np.flatnonzero(truth.frames.good))
