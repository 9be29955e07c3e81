"""What the pipeline made of each injected star: its amplitude at the known moment, and whether it was put forward."""

import csv
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.nearest import tree_of
from services.errors import DataError
from services.trials.injection.blind import blind_candidates
from services.trials.injection.curves import read_curves
from services.trials.injection.injected_frames import FRAMES_FOLDER
from services.trials.injection.plan import COLUMNS, Plan, fit_signals, truth_row
from services.trials.injection.processed_night import ProcessedNight, RawFrame
from services.whole_files import whole_file

RECOVERY_FILE = "recovery.csv"
MATCH_PX = 2.0
KNOWN_SIGMA = 5.0  # amplitude over its error from which a signal at a known moment counts as recovered


@dataclass(frozen=True)
class Recovery:
    """The injected stars, [m] each in the order of the plan, and the candidates that nobody made.

    ``source_id`` is 0, amplitude and error NaN for a star that was not found again.
    """

    source_id: NDArray[np.int64]  # of the night with signals
    points: NDArray[np.int64]
    amplitude: NDArray[np.float64]
    error: NDArray[np.float64]
    blind: NDArray[np.bool_]
    not_injected: int  # stars with light curves that nobody varied
    false_candidates: int  # candidates among them
    candidates_before: int  # of these, how many were candidates without any injection

    @property
    def known(self) -> NDArray[np.bool_]:
        """Recovered at the known moment: bool[m]."""
        return np.asarray(self.amplitude >= KNOWN_SIGMA * self.error)


def measure(session: Session, before: ProcessedNight, after: ProcessedNight, plan: Plan, out_dir: Path) -> Recovery:
    """Look at the light curves of the night with signals.

    Raises:
        DataError: no frame was aligned with and without the signals.
    """
    places = _places(before, after, plan.xy, out_dir)
    ids = _nearest(after, places)
    found = ids > 0
    curves = read_curves(session, after.facts, ids[found])
    amplitude, error = np.full((2, ids.size), np.nan)
    points = np.zeros(ids.size, dtype=np.int64)
    amplitude[found], error[found] = fit_signals(curves, list(compress(plan.signals, found))).T
    points[found] = np.isfinite(curves.flux).sum(axis=1)
    candidates = blind_candidates(session, after.facts)
    own = set(ids[found].tolist())
    old = np.isin(before.stars.source_id, list(plan.variable_before))
    known_before = set(_nearest(after, _places(before, after, before.xy[old], out_dir)).tolist())
    false = candidates - own
    return Recovery(
        source_id=ids,
        points=points,
        amplitude=amplitude,
        error=error,
        blind=np.isin(ids, list(candidates)) & found,
        not_injected=after.stars.source_id.size - len(own),
        false_candidates=len(false),
        candidates_before=len(false & known_before),
    )


def _places(
    before: ProcessedNight, after: ProcessedNight, xy: NDArray[np.float64], out_dir: Path
) -> NDArray[np.float64]:
    """Template pixels of the second night of those of the first: both may have chosen different references."""
    copies = {(out_dir / FRAMES_FOLDER / frame.copy).resolve(): frame for frame in before.aligned}
    pairs = [(copies[path], frame) for frame in after.aligned if (path := frame.path.resolve()) in copies]
    if not pairs:
        raise DataError(f"no frame of {str(out_dir)!r} was aligned with and without signals: nothing can be compared")
    first, second = (one.alignment for one in min(pairs, key=_misfit))
    assert first is not None
    assert second is not None
    return second.to_reference(first.to_frame(xy))


def _misfit(pair: tuple[RawFrame, RawFrame]) -> float:
    """The reference frame itself has none."""
    return sum(frame.alignment.rms for frame in pair if frame.alignment is not None)


def _nearest(night: ProcessedNight, xy: NDArray[np.float64]) -> NDArray[np.int64]:
    """Source nearest to each place, 0 where none is near."""
    if not len(xy):
        return np.empty(0, dtype=np.int64)
    distance, index = tree_of(night.xy).query(xy)  # type: ignore[no-untyped-call]
    return np.where(distance < MATCH_PX, night.stars.source_id[index], 0)


def write_recovery(plan: Plan, recovery: Recovery, out_dir: Path) -> Path:
    """Write the table of injected stars with what was found of each.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    path = out_dir / RECOVERY_FILE
    found = (
        *("found_source_id", "points", "found_amplitude", "found_error", "amplitude_before"),
        *("recovered_known", "recovered_blind"),
    )
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*COLUMNS, *found))
        for row in range(plan.source_id.size):
            numbers = (recovery.amplitude[row], recovery.error[row], plan.amplitude_before[row])
            writer.writerow(
                [
                    *truth_row(plan, row),
                    int(recovery.source_id[row]) or "",
                    int(recovery.points[row]),
                    *(f"{value:.6f}" if np.isfinite(value) else "" for value in numbers),
                    int(recovery.known[row]),
                    int(recovery.blind[row]),
                ]
            )
    return path
