"""The stars of a night: where they are, how bright, and which of them vary."""

from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.simulation.conditions import FrameTable, to_frame, to_reference
from pipeline.simulation.night import NightSpec
from pipeline.simulation.variables import BINARY, CONSTANT, FLARE, MODELS, PULSATOR, TRANSIT, draw_parameters

BORDER_FWHM = 10.0  # stars are laid out this far beyond what any frame sees: their wings reach in
VARIABLE_MARGIN = 20.0  # pixels that variables keep from the border, so that their sky is measured too
ISOLATION_FWHM = 6.0  # from a variable to its nearest neighbour: no aperture mixes their light
VARIABLE_STEP_MAG = 0.5  # variables are 1, 1.5, 2, … magnitudes fainter than the brightest stars
VARIABLE_STEPS = 6  # then again from 1
PLACEMENT_TRIES = 200  # a star, before the field is called full

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StarTable:
    """One row a star; every column is an array over stars.

    ``x, y`` are reference positions in pixels (the first frame's, before any drift), ``mag`` the magnitude at relative
    flux 1, ``kind`` one of ``variables``. The parameters are those of the kind's model, NaN where it has none.
    """

    id: NDArray[np.int64]
    x: Floats
    y: Floats
    mag: Floats
    kind: NDArray[np.str_]
    amplitude: Floats
    period_d: Floats
    epoch_jd: Floats
    duration_d: Floats


def draw_stars(spec: NightSpec, frames: FrameTable, rng: np.random.Generator) -> StarTable:
    """Lay out stars over everything that the night's frames see, with the variables in view all night where possible.

    Raises:
        UnusableDataError: so many stars do not fit with the wanted separation.
    """
    x, y = _place(spec, frames, rng)
    n = x.size
    # Inverse of the cumulated counts of dN/dm ~ 10**(slope m); the limit of slope 0 is uniform.
    span, growth = spec.mag_max - spec.mag_min, spec.mag_slope * np.log(10)
    uniform = rng.uniform(size=n)
    steps = uniform * span if growth == 0 else np.log1p(uniform * np.expm1(growth * span)) / growth
    mag = spec.mag_min + steps
    kind = np.full(n, CONSTANT, dtype="U16")
    parameters = np.full((4, n), np.nan)
    wanted = [
        *repeat(TRANSIT, spec.n_transits),
        *repeat(PULSATOR, spec.n_pulsators),
        *repeat(BINARY, spec.n_binaries),
        *repeat(FLARE, spec.n_flares),
    ]
    for k, star in enumerate(_best_placed(x, y, spec, frames, rng)[: len(wanted)]):
        kind[star] = wanted[k]
        mag[star] = spec.mag_min + 1 + VARIABLE_STEP_MAG * (k % VARIABLE_STEPS)
        parameters[:, star] = draw_parameters(wanted[k], spec, rng)
    amplitude, period, epoch, duration = parameters
    return StarTable(np.arange(n), x, y, mag, kind, amplitude, period, epoch, duration)


def relative_flux(stars: StarTable, jd: Floats) -> NDArray[np.float32]:
    """Model flux float32[star, time], 1 for a constant star."""
    flux = np.ones((stars.id.size, jd.size), dtype=np.float32)
    for i in np.flatnonzero(stars.kind != CONSTANT):
        model = MODELS[str(stars.kind[i])]
        flux[i] = model(jd, stars.amplitude[i], stars.period_d[i], stars.epoch_jd[i], stars.duration_d[i])
    return flux


def _place(spec: NightSpec, frames: FrameTable, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Uniform positions, one after the other, each as far from the others as wanted."""
    ny, nx = spec.shape
    corners = np.array([[-0.5, nx - 0.5, -0.5, nx - 0.5], [-0.5, -0.5, ny - 0.5, ny - 0.5]])
    seen = np.array([to_reference(corners[0], corners[1], frames, i, spec.shape) for i in range(spec.n_frames)])
    border = BORDER_FWHM * spec.mean_fwhm
    low, high = seen.min(axis=(0, 2)) - border, seen.max(axis=(0, 2)) + border
    n = round(spec.n_stars * float(np.prod(high - low)) / (ny * nx))
    nearest = (spec.min_separation_fwhm * spec.mean_fwhm) ** 2
    placed = np.empty((n, 2))
    for k in range(n):
        for _ in range(PLACEMENT_TRIES):
            placed[k] = rng.uniform(low, high)
            if ((placed[:k] - placed[k]) ** 2).sum(axis=1).min(initial=np.inf) >= nearest:
                break
        else:
            raise UnusableDataError(
                f"n_stars is {spec.n_stars}, but the field is full with {k} of {n} stars {nearest**0.5:.1f} pixels "
                "apart: lower n_stars or min_separation_fwhm"
            )
    return placed[:, 0], placed[:, 1]


def _best_placed(
    x: Floats, y: Floats, spec: NightSpec, frames: FrameTable, rng: np.random.Generator
) -> NDArray[np.intp]:
    """All stars, those in view on most frames first; among equals the isolated ones, then in random order."""
    ny, nx = spec.shape
    rank = rng.uniform(0, 0.5, x.size)
    for i in range(spec.n_frames):
        u, v = to_frame(x, y, frames, i, spec.shape)
        rank -= (np.minimum(u, nx - 1 - u) > VARIABLE_MARGIN) & (np.minimum(v, ny - 1 - v) > VARIABLE_MARGIN)
    for k in range(x.size):
        # The second smallest distance: the smallest is the star's own.
        neighbour = np.partition((x - x[k]) ** 2 + (y - y[k]) ** 2, 1)[1] if x.size > 1 else np.inf
        rank[k] += 0.5 * (neighbour < (ISOLATION_FWHM * spec.mean_fwhm) ** 2)
    return np.argsort(rank)
