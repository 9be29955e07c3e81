"""Which stars get which signal, and the table of it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from pipeline.aperture.crowding import contamination
from pipeline.errors import UnusableDataError
from pipeline.flags import SPOILING, Flag
from pipeline.trials.injection import REACH_FWHM, Choice, Signal, choose_stars, draw_signals, fit_amplitude
from pipeline.units import HOURS_PER_DAY
from schema.image import Image
from schema.photometry import Flux
from services.errors import ConfigurationError
from services.results.lightcurves.star_statistics import MAX_SATURATED_SHARE
from services.results.plots.magnitudes import magnitudes
from services.results.variability.excess import excess_significance
from services.trials.injection.blind import blind_candidates
from services.trials.injection.curves import Curves, read_curves
from services.trials.injection.processed_night import ProcessedNight
from services.whole_files import whole_file

TRUTH_FILE = "truth.csv"
MAGNITUDE_BINS = 4
MIN_EPOCH_SHARE = 0.8  # of the epochs of the best covered star
MAX_CONTAMINATION = 0.02  # neighbours' light within the reach of the scaling, which would vary with the star
MAX_EXCESS_SIGMA = 3.0  # scatter beyond that of like stars: the star may vary by itself
MAX_ERROR = 0.2  # of a point, relative: fainter stars are hardly measured
# Places between two of them on the list by magnitude. `analyze` judges a star beside 100 like stars, by their spread up
# to the 95th percentile: with more than 4 injected among them these are the measure, and depths of a tenth are not put
# forward. A quarter of a field, varying at once, also took 5 % of each other's depths through the reference stars.
APART = 30
MAX_SPOILT_SHARE = 0.2  # of a star's measurements
DURATION_SHARE, PERIOD_SHARE = 0.25, 0.4  # of the night, by default
COLUMNS = (
    *("source_id", "x", "y", "magnitude", "magnitude_bin", "kind", "amplitude"),
    *("epoch_jd_utc", "duration_h", "period_h"),
)


@dataclass(frozen=True)
class Plan:
    """The stars to vary, [m] each, and their signals.

    ``amplitude_before`` is what the fit of each signal finds in the star's light curve without it: noise, white or red.
    """

    source_id: NDArray[np.int64]
    xy: NDArray[np.float64]  # template pixels
    on_first: NDArray[np.float64]  # pixels of the first frame: what people read
    magnitude: NDArray[np.float64]
    signals: tuple[Signal, ...]
    choice: Choice
    amplitude_before: NDArray[np.float64]
    variable_before: frozenset[int]  # sources put forward as variable before anything was injected


def make_plan(
    session: Session,
    night: ProcessedNight,
    kind: str,
    amplitudes: Sequence[float],
    stars: int,
    seed: int,
    duration_h: float | None = None,
    period_h: float | None = None,
) -> Plan:
    """Choose isolated, unsaturated, well covered, constant stars of all magnitudes, and draw their signals.

    Among stars of like magnitude one in thirty varies at most, so that the field stays what it is.

    Raises:
        ConfigurationError: no star fits, or the numbers make no signal.
    """
    jd = [frame.jd_utc for frame in night.aligned if frame.jd_utc is not None]
    start, end = min(jd), max(jd)
    duration = DURATION_SHARE * (end - start) if duration_h is None else duration_h / HOURS_PER_DAY
    period = PERIOD_SHARE * (end - start) if period_h is None else period_h / HOURS_PER_DAY
    before = blind_candidates(session, night.facts)
    magnitude = magnitudes(night.stars.flux)
    rng = np.random.default_rng(seed)
    try:
        allowed = _fit_for_it(session, night, before)
        choice = choose_stars(magnitude, allowed, amplitudes, stars, MAGNITUDE_BINS, APART, rng)
        signals = draw_signals(kind, choice.amplitude.tolist(), (start, end), duration, period, rng)
    except UnusableDataError as error:
        raise ConfigurationError(
            f"nothing can be injected into observation {night.facts.observation_id} ({night.facts.title}) with "
            f"{magnitude.size} stars: {error}"
        ) from error
    chosen = night.stars.source_id[choice.star]
    curves = read_curves(session, night.facts, chosen)
    return Plan(
        source_id=chosen,
        xy=night.xy[choice.star],
        on_first=night.on_first[choice.star],
        magnitude=magnitude[choice.star],
        signals=tuple(signals),
        choice=choice,
        amplitude_before=fit_signals(curves, signals)[:, 0],
        variable_before=frozenset(before),
    )


def fit_signals(curves: Curves, signals: Sequence[Signal]) -> NDArray[np.float64]:
    """Amplitude of each signal in its star's light curve, and error: float64[m, 2]."""
    fits = [
        fit_amplitude(flux, error, signal.shape(curves.jd_utc))
        for flux, error, signal in zip(curves.flux, curves.error, signals, strict=True)
    ]
    return np.array(fits, dtype=np.float64).reshape(-1, 2)


def _fit_for_it(session: Session, night: ProcessedNight, variable: set[int]) -> NDArray[np.bool_]:
    """Which stars may be varied."""
    stars = night.stars
    covered = stars.epochs >= MIN_EPOCH_SHARE * stars.epochs.max()
    alone = contamination(night.xy, stars.flux, REACH_FWHM * night.fwhm, night.fwhm) < MAX_CONTAMINATION
    steady = (excess_significance(stars) < MAX_EXCESS_SIGMA) & ~np.isin(stars.source_id, list(variable))
    spoilt = _spoilt(session, night.facts.graph_pid)
    return np.asarray(covered & alone & steady & (stars.error < MAX_ERROR) & ~np.isin(stars.source_id, spoilt))


def _spoilt(session: Session, graph_pid: int | None) -> list[int]:
    """Sources of which too many measurements are saturated, or spoilt otherwise."""
    full, any_of = (
        func.sum(case((Flux.flag.bitwise_and(bits) > 0, 1), else_=0)) for bits in (int(Flag.SATURATED), SPOILING)
    )
    query = (
        select(Flux.source_id)
        .join(Image, Image.image_id == Flux.image_id)
        .where(Image.graph_pid == graph_pid)
        .group_by(Flux.source_id)
        .having(or_(full > MAX_SATURATED_SHARE * func.count(), any_of > MAX_SPOILT_SHARE * func.count()))
    )
    return list(session.scalars(query))


def write_truth(plan: Plan, out_dir: Path) -> Path:
    """Write the truth table; empty cells where a kind has no such number.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    path = out_dir / TRUTH_FILE
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in range(plan.source_id.size):
            writer.writerow(truth_row(plan, row))
    return path


def truth_row(plan: Plan, row: int) -> list[object]:
    """Cells of one star, as COLUMNS names them."""
    signal = plan.signals[row]
    lengths = [HOURS_PER_DAY * length for length in (signal.duration_d, signal.period_d)]
    return [
        int(plan.source_id[row]),
        *(round(float(value), 3) for value in (*plan.on_first[row], plan.magnitude[row])),
        int(plan.choice.bin[row]),
        signal.kind,
        signal.amplitude,
        f"{signal.epoch_jd:.6f}",
        *("" if np.isnan(length) else round(length, 5) for length in lengths),
    ]
