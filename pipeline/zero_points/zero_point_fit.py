"""Zero points of all frames of a night in one aperture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.registration.transparency import relative_to_clearest
from pipeline.statistics import robust_scatter, row_median
from pipeline.units import MAG_PER_LN
from pipeline.zero_points.levels import Levels, fit_levels, medians
from pipeline.zero_points.terms import STARS_FOR_LINEAR, field_terms, padded, terms_for

FEWEST_STARS = 3
MIN_SNR = 10.0  # of a value, by the flux that is expected of the star on the frame
COLOUR_PRIOR, FIELD_PRIOR = 0.5, 0.05  # mag per mag, mag: of no weight where more than a handful of stars speak
# What the sky under all stars is off, in magnitudes of the median calibrator: annuli hold the light of faint stars that
# isolated stars do not have in their apertures, 3 to 12 mmag in a field of 30,000 stars a square degree.
SKY_PRIOR = 0.01

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Places:
    """Stars by place and colour; float64[n] each: u and v from -1 to 1 across the template's longer side, BP - RP."""

    u: Floats
    v: Floats
    colour: Floats


@dataclass(frozen=True)
class ZeroPoints:
    """G = zero_point - 2.5 log10(flux) + colour_term (colour - colour_reference) + field · (u, v, u², uv, v²).

    t frames; NaN where fewer than two stars are measured.
    """

    zero_point: Floats  # [t], mag
    error: Floats  # [t], of the magnitude of any star beside its photon noise, mag
    colour_term: float
    colour_term_error: float
    colour_reference: float
    field: Floats  # [t, 5], mag
    scatter: Floats  # [t], of the stars about the fit, photon noise and all, mag
    stars: NDArray[np.int64]  # [t]
    transparency: Floats  # [t], 1 on the night's clearest frames
    used: Bools  # [n]
    colours: tuple[float, float]  # BP - RP of the bluest and the reddest star in use


def fit_zero_points(
    flux: Floats, error: Floats, usable: Bools, good: Bools, g_mag: Floats, places: Places, everyone: Places
) -> ZeroPoints:
    """Fit the zero points of frames from stars whose G and BP - RP are known.

    All frames are fitted together. Each star has a level over the night; the levels, regressed on colour and place,
    give the colour term and the field term of the night and tell which stars are misidentified, blended or not what
    Gaia saw, far more exactly than any single frame could. Each frame then has its zero point, and a field term of its
    own on top where gradients move through the night (clouds, differential extinction), as large as all frames together
    show such gradients to be; without them it costs no precision. The colour term is not left to single frames: it is
    the filter's, and extinction changes it by some mmag only. Field terms are linear from 15 stars on, quadratic from
    30; priors on the terms keep a field of few stars, or of stars of one colour, from telling what it cannot.

    ``error`` is how far the magnitude of a star may be off beside its photon noise: the scatter of the stars about the
    fit (flat field, bandpass, Gaia's own errors), which does not average out for a single star; the unsteadiness of a
    typical star from frame to frame; the unrest of the frame (structured clouds); and the errors of the terms, averaged
    over the places and colours of all sources. On simulated nights the magnitudes of stars that were not used scatter
    by 1.00 to 1.02 of their errors with 100 calibrators, 0.95 to 1.07 with 8, 0.8 to 1.1 with 3.

    The bias of a logarithm is taken off (0.54 / SNR² mag), and values weigh by the noise that is expected of the star,
    not by the one quoted with a flux that happens to be high or low.

    Args:
        flux: float64[n, t], ADU.
        error: float64[n, t], one standard deviation.
        usable: bool[n, t], see `pipeline.zero_points.calibrators`.
        good: bool[t], frames that passed the selection; they tell what all share. The others get zero points too.
        g_mag: float64[n], Gaia's G.
        places: of the n calibrators.
        everyone: places of all stars that magnitudes are wanted of.

    Raises:
        UnusableDataError: shapes that do not fit, or fewer than three stars.
    """
    n, t = flux.shape
    if error.shape != (n, t) or usable.shape != (n, t) or good.shape != (t,) or g_mag.shape != (n,):
        raise UnusableDataError(
            f"zero points of fluxes {flux.shape}: errors are {error.shape}, usable {usable.shape}, frames "
            f"{good.shape}, magnitudes {g_mag.shape}: expected (n, t), (n, t), (t,), (n,)"
        )
    values, noise = _values(flux, error, usable, good, g_mag)
    measured = np.isfinite(values[:, good] if good.any() else values).any(axis=1)
    stars = int(np.count_nonzero(measured))
    if stars < FEWEST_STARS:
        raise UnusableDataError(f"{stars} stars of known G are measured well: expected at least {FEWEST_STARS}")
    reference = float(np.median(places.colour[measured]))
    count = terms_for(stars)
    one = np.ones(n)
    terms = field_terms(places.u, places.v, count)
    design = np.column_stack([one, places.colour - reference, terms])
    prior = np.concatenate([[np.inf, COLOUR_PRIOR], np.full(count, FIELD_PRIOR)])
    shrunk = int(stars >= STARS_FOR_LINEAR)
    if shrunk:
        design = np.column_stack([design, 10.0 ** (0.4 * (g_mag - np.median(g_mag[measured])))])
        prior = np.append(prior, SKY_PRIOR)
    levels = fit_levels(values, noise, good, design, prior, np.column_stack([one, terms]), shrunk)
    found = levels.stars.coefficients
    zero_point = levels.frames[:, 0]
    used = np.asarray(np.isfinite(levels.about).any(axis=1))
    return ZeroPoints(
        zero_point=zero_point,
        error=_error(levels, everyone, reference, count),
        colour_term=float(found[1]),
        colour_term_error=float(np.sqrt(levels.stars.covariance[1, 1])),
        colour_reference=reference,
        field=padded(found[2 : 2 + count] + levels.frames[:, 1:]),
        scatter=robust_scatter(levels.about.T),
        stars=levels.count,
        transparency=relative_to_clearest(10.0 ** (0.4 * zero_point)),
        used=used,
        colours=(
            float(np.min(places.colour[used], initial=reference)),
            float(np.max(places.colour[used], initial=reference)),
        ),
    )


def night_residuals(
    flux: Floats,
    g_mag: Floats,
    places: Floats,
    zero_point: Floats,
    colour_term: float,
    colour_reference: float,
    field: Floats,
) -> Floats:
    """G - mag of each star, median over frames: float64[n], mag; NaN without a positive flux.

    Args:
        flux: float64[n, t], ADU, NaN where not to be counted.
        g_mag: float64[n].
        places: float64[n, 3], u, v and BP - RP.
        zero_point: float64[t].
        colour_term: one for the night.
        colour_reference: BP - RP.
        field: float64[t, 5].
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        instrumental = np.where(flux > 0, -2.5 * np.log10(flux), np.nan)
    colour = colour_term * (places[:, 2] - colour_reference)
    mag = zero_point + instrumental + colour[:, None] + field_terms(places[:, 0], places[:, 1]) @ field.T
    return row_median(g_mag[:, None] - mag)


def _values(flux: Floats, error: Floats, usable: Bools, good: Bools, g_mag: Floats) -> tuple[Floats, Floats]:
    """G - instrumental magnitude, NaN where not usable, and the noise expected of it, mag: float64[n, t] each."""
    positive = usable & (flux > 0) & (error > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(positive, g_mag[:, None] + 2.5 * np.log10(flux), np.nan)
        relative = np.where(positive, error / flux, np.nan)
    bright = np.where(relative < 1.0 / MIN_SNR, values, np.nan)
    judged = good if good.any() else np.ones(good.size, dtype=bool)
    level, frame = medians(bright, judged)
    expected = 10.0 ** (0.4 * (level[:, None] + frame - g_mag[:, None]))
    noise = error / expected
    known = positive & (noise < 1.0 / MIN_SNR)
    unbiased = values + 0.5 * MAG_PER_LN * noise**2
    return np.where(known, unbiased, np.nan), np.where(known, MAG_PER_LN * noise, np.nan)


def _error(levels: Levels, everyone: Places, reference: float, count: int) -> Floats:
    """Of the magnitude of any star beside its photon noise: float64[t], mag."""
    one = np.ones(everyone.u.size)
    terms = field_terms(everyone.u, everyone.v, count)
    design = np.column_stack([one, everyone.colour - reference, terms])
    told = design.shape[1]  # what is left out of them is an error of fluxes, not of the zero point
    of_night = np.einsum("ni,ij,nj->", design, levels.stars.covariance[:told, :told], design) / one.size
    frame = np.column_stack([one, terms])
    squares = (frame.T @ frame) / one.size
    of_frame = np.einsum("tij,ij->t", levels.covariance, squares)
    variance = levels.stars.scatter**2 + levels.steadiness**2 + levels.unrest**2 + of_night + of_frame
    return np.where(np.isfinite(levels.frames[:, 0]), np.sqrt(variance), np.nan)
