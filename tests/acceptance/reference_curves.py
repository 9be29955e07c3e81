"""Light curves of the nights of `test_noise_limit` as they were: what a change of the numerics is held against.

`python -m tests.acceptance.reference_curves` makes them anew in `reference_curves.npz`, and tells what became of
scatter, errors and completeness. Both are of the same frames, so that the photons' noise cancels: what is told apart is
far smaller than what either says of the truth.
"""

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.steps import STEPS
from tests.acceptance.noise_limit import COMMON, NIGHTS, OUTLIER_SIGMA, QUOTED_BINS, Comparison, Floats, run_night

FILE = Path(__file__).with_name("reference_curves.npz")
COMMAND = "python -m tests.acceptance.reference_curves"
MOST_STARS = 150  # of a night, whose points are kept; evenly from the brightest to the faintest
FEWEST_POINTS = 10  # of a star, for a scatter
SIGMAS = 3.0  # of the noise of a comparison
INDISTINCT = 1e-3  # relative: a scatter or an error that differs by less is the same to whoever uses it


@dataclass(frozen=True)
class Curves:
    """One night: stars of the truth, calibrated frames in order of time."""

    frames: str  # SHA-256 of the raw frames
    good: NDArray[np.bool_]  # [t]
    points: NDArray[np.int16]  # [stars], clean ones; -1: the star was not found
    level: Floats  # [stars], median raw flux, ADU; NaN: none
    error: Floats  # [stars], median quoted error of the relative flux over its median; NaN: none
    stars: NDArray[np.int16]  # [n], those whose points are kept
    flux: Floats  # [n, t], relative to each star's median; NaN: not clean

    def of(self, star: int) -> Floats | None:
        """The star's points, float64[t]; None: they are not kept."""
        [place] = np.nonzero(self.stars == star)
        return self.flux[place[0]] if place.size else None


@dataclass(frozen=True)
class Change:
    """Of stars that both have, from before to now: natural logarithm of a ratio, and its noise (1 sigma)."""

    scatter: float
    scatter_noise: float
    error: float
    stars: int

    @property
    def slack(self) -> float:
        """What may be chance, or is too small for anybody."""
        return SIGMAS * self.scatter_noise + INDISTINCT


def curves(compared: Comparison, raw: Path) -> Curves:
    """What is kept of a night, of each star in the aperture of its smallest quoted error."""
    night, clean = compared.quiet, compared.quiet.clean()
    flux, error, raw_flux = (
        np.where(clean, night.in_best(values), np.nan) for values in (night.relative, night.error, night.raw)
    )
    count = compared.truth.stars.id.size
    points = np.full(count, -1, np.int16)
    level, typical = np.full((2, count), np.nan)
    measured = np.full((count, night.good.size), np.nan)
    for source in np.flatnonzero(compared.stars >= 0):
        star = compared.stars[source]
        points[star] = clean[source].sum()
        if points[star]:
            middle = np.nanmedian(flux[source])
            measured[star] = flux[source] / middle
            typical[star] = np.nanmedian(error[source]) / middle
            level[star] = np.nanmedian(raw_flux[source])
    constant = np.flatnonzero((compared.truth.stars.kind == "constant") & (points >= FEWEST_POINTS))
    by_magnitude = constant[np.argsort(compared.truth.stars.mag[constant])]
    stars = np.sort(by_magnitude[:: max(1, -(-by_magnitude.size // MOST_STARS))]).astype(np.int16)
    return Curves(digest(raw), night.good, points, level, typical, stars, measured[stars])


def digest(raw: Path) -> str:
    """SHA-256 of the frames of a folder."""
    total = hashlib.sha256()
    for path in sorted(raw.glob("*.fits")):
        total.update(path.read_bytes())
    return total.hexdigest()


def change(before: Curves, now: Curves, mag: Floats, low: float, high: float) -> Change:
    """Scatter and quoted errors of the stars from ``low`` to ``high`` magnitude, on the points that both have.

    The noise is that of a jackknife over frames (Efron 1982, chapter 3): what a frame does to all of its stars counts
    once.
    """
    shared = [star for star in np.intersect1d(before.stars, now.stars) if low <= mag[star] < high]
    ratios, errors = [], []
    for star in shared:
        pair = np.array([before.of(star), now.of(star)])
        sigma = 1.4826 * np.nanmedian(np.abs(pair - 1), axis=1)[:, None]
        used = (np.abs(pair - 1) < OUTLIER_SIGMA * sigma).all(axis=0)
        if used.sum() < FEWEST_POINTS:
            continue
        ratios.append(_without_each(np.where(used, pair, np.nan)))
        errors.append(np.log(now.error[star] / before.error[star]))
    each = np.mean(ratios, axis=0)
    whole, without = each[0], each[1:]
    noise = np.sqrt((without.size - 1) / without.size * np.sum((without - without.mean()) ** 2))
    return Change(float(whole), float(noise), float(np.mean(errors)), len(ratios))


def _without_each(pair: Floats) -> Floats:
    """ln of the second's scatter over the first's: of all frames, then without each of them; float64[1 + t]."""
    weight = np.vstack([np.ones(pair.shape[1]), 1 - np.eye(pair.shape[1])]) * np.isfinite(pair[0])
    values = np.nan_to_num(pair)
    n = weight.sum(axis=1)
    mean, square = values @ weight.T / n, values**2 @ weight.T / n
    first, second = np.log(square - mean**2) / 2
    return np.asarray(second - first)


def versions() -> dict[str, int]:
    """Of each step, what its numbers go by."""
    return {command: step.version for command, step in STEPS.items()}


def stored() -> tuple[dict[str, Curves], dict[str, int]]:
    """The nights that were kept, and the versions of the steps that made them."""
    with np.load(FILE) as file:
        kept = dict(zip(file["commands"].tolist(), file["versions"].tolist(), strict=True))
        nights = {}
        for name in file["nights"].tolist():
            values: dict[str, Any] = {field: file[f"{name}_{field}"] for field in Curves.__dataclass_fields__}
            for field in ("flux", "error", "level"):
                values[field] = values[field].astype(np.float64)
            values["frames"] = str(values["frames"])
            nights[name] = Curves(**values)
    return nights, kept


def store(nights: dict[str, Curves]) -> None:
    """Keep them in place of what was kept."""
    arrays: dict[str, Any] = {"nights": list(nights)}
    arrays["commands"], arrays["versions"] = list(versions()), list(versions().values())
    for name, night in nights.items():
        for field in Curves.__dataclass_fields__:
            value = np.asarray(getattr(night, field))
            arrays[f"{name}_{field}"] = value.astype(np.float32) if value.dtype == np.float64 else value
    np.savez_compressed(FILE, **arrays)


def main() -> None:
    """Make all nights, say what changed, and keep them."""
    os.environ["TIANYU_CATALOG"] = "none"
    before = stored()[0] if FILE.exists() else {}
    nights = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, spec in NIGHTS.items():
            compared = run_night(Path(temporary) / name, **COMMON | spec)
            nights[name] = curves(compared, Path(temporary) / name / "night")
            lines = (
                report(before[name], nights[name], np.asarray(compared.truth.stars.mag)) if name in before else ["new"]
            )
            sys.stdout.write("\n".join(f"{name}: {line}" for line in lines) + "\n")
    store(nights)


def report(before: Curves, now: Curves, mag: Floats) -> list[str]:
    """What became of a night, a line each."""
    stars, points = ([int(count(one)) for one in (before, now)] for count in (_found, _measured))
    lines = [f"{stars[1]} stars (were {stars[0]}), {points[1]} points (were {points[0]})"]
    for low, high in QUOTED_BINS:
        found = change(before, now, mag, low, high)
        scatter = f"{100 * found.scatter:+.2f} ± {100 * found.scatter_noise:.2f} %"
        lines.append(f"{low} to {high} mag: scatter {scatter}, errors {100 * found.error:+.2f} %, {found.stars} stars")
    return lines


def _found(night: Curves) -> int:
    return int((night.points >= 0).sum())


def _measured(night: Curves) -> int:
    return int(night.points.clip(0).sum())


if __name__ == "__main__":
    main()
