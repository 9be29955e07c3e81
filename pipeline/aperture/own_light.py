"""Which pixels of a frame are its own stars' light, and which are hits of cosmic rays on them.

A pixel by itself cannot tell a cosmic ray from the core of an undersampled star, or from the rim of a defocused one.
The night's template can: it shows each star as the other frames do. A pixel is hit where it exceeds its star's light on
the template, carried to the frame, by more than noise and by more than the frame's other bright stars differ from
theirs; and where the star is brighter by it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.aperture.template_stamps import TUKEY_SIGMA, Stamps, cut_stamps, fit_kernel
from pipeline.frame.masked_pixels import PixelBit
from pipeline.kernels.apertures import disc_sums
from pipeline.kernels.places import Places, marked_places
from pipeline.nearest import tree_of
from pipeline.noise import FrameNoise
from pipeline.registration.alignment import Alignment
from pipeline.stamps import nearest_pixels, ring_offsets
from pipeline.statistics import MAD_TO_SIGMA

HIT_SIGMA = 8.0  # noise and misfit by which a pixel that is hit exceeds its star's light …
LIKELY_SIGMA = 4.0  # … or this, where the star's flux bears it out
AGREEING_SHARE = 0.3  # of a hit: a star that is brighter by it within so much …
AGREEING_SIGMA = 5.0  # … and so significantly, bears it out
BESIDE_SIGMA = 3.0  # the same for a pixel that touches one
HIT_FLUX_SIGMA = 3.0  # errors of the star's flux; a lesser hit is left in it
BRIGHTENED_SIGMA = 2.0  # of what stars' sums scatter by; a star that is not so much brighter hides no hit that matters
BRIGHT_PEAK = 20.0  # sky rms, of stars that tell how the frame differs from its template
MOST_BRIGHT = 60
TELLING_STARS = 120  # brightest on the template; some of them are near the border or hit
KNOWN_SNR = 20.0  # of a star's light; the light of fainter ones is taken from the template
LIKE_STARS = 16  # bright stars about as sharp
LIKE_QUANTILE = 0.75  # of their greatest excesses; the rest may be hit
FEWEST_LIKE = 3
MOST_HIT = 8  # pixels of a star that one cosmic ray may hit
BESIDE_PX = 1  # beyond the aperture, where a track that enters it shows that it is one
PIXEL_HALF = 0.5  # px; a pixel so far beyond the aperture's edge is in it in part
MISFIT_SIGMA = 2.5  # that this excess is worth: few stars have more than twice as much
UNKNOWN_MISFIT = 0.2  # of the local range of light, where no bright star tells
LEAST_MISFIT = 0.005
RESPONSE = 0.005  # of a pixel's light: sensitivity within pixels
DENIED_SHARE = 0.5  # of a hit: a star that is brighter by less, as the others let expect, is not hit …
DENYING_SIGMA = 3.0  # … unless its flux may err by what is missing
UNKNOWN_SCATTER = 0.1  # relative, of the stars' light
PHOTON_PIXELS = 100  # from which the noise of light is told where no gain is known
NOISELESS = 5.0  # noise that the local range must exceed for a misfit to show
MISFIT_NOISE = 2.0  # noise that is taken from it
ROUNDS = 3

Stamp = NDArray[np.float32]
Mask = NDArray[np.bool_]
COSMIC = np.uint8(PixelBit.COSMIC)


def judge_pixels(
    image: Stamp,
    bits: NDArray[np.uint8],
    template: Stamp,
    alignment: Alignment,
    xy: NDArray[np.float64],
    radius: float,
    noise: FrameNoise,
    suspects: Places | None = None,
) -> Places:
    """Take COSMIC from the bits of a frame's stars' own light, and give it to hits on bright stars, IN PLACE.

    Args:
        image: float32[ny, nx], sky subtracted, bad pixels NaN, those that look like cosmic rays with their values.
        bits: uint8[ny, nx], of `PixelBit`, contiguous.
        template: float32[ny, nx], sky subtracted, NaN where nothing was seen.
        alignment: template to frame.
        xy: float64[n, 2], places of the sources on the template, px.
        radius: of the largest aperture, px.
        noise: of the frame; where no gain is known, the stars tell their noise.
        suspects: int64[n], flat indices of the pixels with COSMIC; found where not given.

    Returns:
        int64[m], flat indices of the pixels that had no bits and are hit, ascending.
    """
    suspects = marked_places(bits, PixelBit.COSMIC) if suspects is None else suspects
    reach = int(np.ceil(radius))
    places = alignment.to_frame(xy)
    light, brightened = _sums(image, template, places, xy, radius, noise)
    worth = _brightest(light) | brightened | _near_suspects(suspects, bits.shape[1], places, reach)
    stamps = cut_stamps(image, template, alignment, xy[worth], reach + BESIDE_PX)
    if not len(stamps.values):
        return np.empty(0, np.int64)
    known = bits.reshape(-1)[stamps.flat]
    suspect, plain = (known & COSMIC) > 0, stamps.seen & ((known & ~COSMIC) == 0)
    excess = _compare(stamps, plain, noise.background_rms, noise.gain)
    inside = np.hypot(stamps.distance(0), stamps.distance(1)) < radius + PIXEL_HALF
    standing_out = plain & (excess.significance > BESIDE_SIGMA)
    doubtful = (plain & suspect) | (standing_out & ~_spoiled(known, standing_out & inside))
    nearest = _nearest(stamps, doubtful, bits.size)
    hit = _hits(excess, stamps, nearest, inside, suspect)
    flat, hits = bits.reshape(-1), stamps.flat[hit]
    new = hits[flat[hits] == 0]
    flat[stamps.flat[nearest & ~hit]] &= ~COSMIC
    flat[hits] |= COSMIC
    return np.unique(new)


def _spoiled(known: NDArray[np.uint8], standing_out: Mask) -> Mask:
    """Stamps that differ from the template for more reasons than a hit, bool[n, 1, 1].

    They have saturated or non-linear pixels, or a trail; or more pixels stand out than a cosmic ray hits.
    """
    full = (known & ~(COSMIC | np.uint8(PixelBit.BAD)) > 0).any(axis=(1, 2), keepdims=True)
    return np.asarray(full | (standing_out.sum(axis=(1, 2), keepdims=True) > MOST_HIT))


def _brightest(light: NDArray[np.float64]) -> Mask:
    """The stars that tell how the frame differs from its template, bool[n]."""
    chosen = np.zeros(len(light), np.bool_)
    chosen[np.argsort(-light, kind="stable")[:TELLING_STARS]] = True
    return np.asarray(chosen & (light > 0))


def _sums(
    image: Stamp,
    template: Stamp,
    places: NDArray[np.float64],
    xy: NDArray[np.float64],
    radius: float,
    noise: FrameNoise,
) -> tuple[NDArray[np.float64], Mask]:
    """Light of the stars on the template, float64[n], ADU; and which are brighter on the frame than it lets expect.

    Whole pixels within ``radius`` are summed: of all stars that takes a tenth of the time of looking at each pixel.
    """
    rms, gain = noise.background_rms, noise.gain
    disc = ring_offsets(0.0, np.nextafter(radius, np.inf))  # pixels at just this distance too
    places_of = nearest_pixels(places), nearest_pixels(xy)
    found, light, seen = disc_sums((image, template), places_of, disc.pairs)
    variance = seen * rms**2
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = found / light
    known = light > KNOWN_SNR * np.sqrt(variance)
    usual, scatter = _usual(ratio[known], 1.0)
    expected = usual * light
    variance += np.square(scatter * expected) + (0.0 if gain is None else np.maximum(expected, 0) / gain)
    significance = (found - expected) / np.sqrt(np.maximum(variance, rms**2))
    # What the sky was taken for differs from frame to frame, and makes all faint stars' sums err.
    spread = max(1.0, MAD_TO_SIGMA * float(np.median(np.abs(significance)))) if len(significance) else 1.0
    return light, np.asarray(significance > BRIGHTENED_SIGMA * spread)


def _usual(ratio: NDArray[np.float64], otherwise: float) -> tuple[float, float]:
    """Median of the light of stars over what is expected of each, and their scatter relative to it.

    ratio: float64[n], of well-measured stars; of too few the median is taken to be ``otherwise``.
    """
    if ratio.size < FEWEST_LIKE:
        return otherwise, UNKNOWN_SCATTER
    usual = float(np.median(ratio))
    return usual, MAD_TO_SIGMA * float(np.median(np.abs(ratio / usual - 1)))


def _near_suspects(suspects: Places, nx: int, places: NDArray[np.float64], reach: int) -> Mask:
    """Stars with a pixel that looks like a hit in or beside their stamps, bool[n]."""
    rows, columns = np.divmod(suspects, nx)
    near, finite = np.zeros(len(places), np.bool_), np.isfinite(places).all(axis=1)
    if rows.size:
        tree = tree_of(np.column_stack([columns, rows]))
        farthest = np.sqrt(2) * (reach + 1)
        distance, _ = tree.query(places[finite], distance_upper_bound=farthest)  # type: ignore[no-untyped-call]
        near[finite] = np.isfinite(distance)
    return near


@dataclass(frozen=True)
class _Excess:
    """What n stamps show beyond the stars' light.

    Attributes:
        value: float32[n, h, w], ADU.
        significance: float32[n, h, w], value over its noise, with what the model may err by; 0 where nothing is known.
        model: float32[n, h, w], the stars' light, ADU.
        noise: float32[n, h, w], variance of noise alone, ADU².
        scale: float32[n], light of each star over that on the template.
        light: the median of these.
    """

    value: Stamp
    significance: Stamp
    model: Stamp
    noise: Stamp
    scale: NDArray[np.float32]
    light: float


def _compare(stamps: Stamps, usable: Mask, rms: float, gain: float | None) -> _Excess:
    photons = 0.0 if gain is None else 1.0 / gain
    simple, span = stamps.interpolated, stamps.span
    scale, light = _scales(stamps, simple, usable, rms)
    peak = np.where(usable, simple, 0).max(axis=(1, 2)) * light
    bright = np.flatnonzero((peak > BRIGHT_PEAK * rms) & usable.all(axis=(1, 2)))
    bright = bright[np.argsort(-peak[bright], kind="stable")[:MOST_BRIGHT]]
    kernel = fit_kernel(stamps.take(bright), usable[bright], scale[bright], rms, photons)
    model, contrast = kernel.applied(stamps), stamps.contrast
    misfit = np.full((len(scale), 1, 1), UNKNOWN_MISFIT, np.float32)
    for turn in range(ROUNDS + 1):
        here, range_here = scale[:, None, None] * model, scale[:, None, None] * span
        noise = np.float32(rms**2) + np.float32(photons) * np.maximum(here, 0)
        variance = noise + np.square(misfit * range_here) + np.square(RESPONSE * here)
        value = np.where(stamps.seen, stamps.values - here, 0)
        significance = value / np.sqrt(variance)
        if turn == ROUNDS:
            break
        weight = np.where(usable, np.square(np.clip(1 - np.square(significance / TUKEY_SIGMA), 0, 1)) / variance, 0)
        scale, light = _scales(stamps, model, weight, rms)
        if gain is None:
            photons = _photons(value, here, usable & (misfit * range_here < rms), rms)
        excess = _greatest_misfit(value[bright], np.sqrt(noise[bright]), range_here[bright])
        misfit = _misfit_of_like(excess, contrast[bright], contrast)[:, None, None]
    return _Excess(value, significance, here, noise, scale, light)


def _scales(stamps: Stamps, model: Stamp, weight: Mask | Stamp, rms: float) -> tuple[NDArray[np.float32], float]:
    """Light of the stars over the model's, float32[n]: faint stars get the median of the others; and that median."""
    weight = np.asarray(weight, np.float32)
    norm = np.einsum("nij,nij,nij->n", weight, model, model)
    total = np.einsum("nij,nij,nij->n", weight, model, np.where(stamps.seen, stamps.values, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = total / norm
    signal = np.sqrt(np.einsum("nij,nij->n", np.where(stamps.seen, model, 0), model))
    sure = (scale * signal > KNOWN_SNR * rms) & (scale > 0)
    if not sure.any():
        return np.ones(len(scale), np.float32), 1.0
    light = float(np.median(scale[sure]))
    return np.where(sure, scale, light).astype(np.float32), light


def _photons(value: Stamp, light: Stamp, usable: Mask, rms: float) -> float:
    """Variance of the light over the light, ADU, by the pixels that have enough and a model that hardly errs."""
    some = usable & (light > rms)
    if np.count_nonzero(some) < PHOTON_PIXELS:
        return 0.0
    variance = np.square(MAD_TO_SIGMA) * float(np.median(np.square(value[some])))
    return float(max(variance - rms**2, 0.0) / np.median(light[some]))


def _greatest_misfit(value: Stamp, noise: Stamp, span: Stamp) -> NDArray[np.float32]:
    """By how much of the local range of light each bright star exceeds the model at most, float32[n]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(span > NOISELESS * noise, (value - MISFIT_NOISE * noise) / span, 0)
    return np.asarray(relative.max(axis=(1, 2)), np.float32)


def _misfit_of_like(
    greatest: NDArray[np.float32], contrast: NDArray[np.float32], wanted: NDArray[np.float32]
) -> NDArray[np.float32]:
    """By how much the model may err for stars of contrast ``wanted``: as for bright ones about as sharp.

    greatest, contrast: float32[n] of the bright stars. Returns float32[m], of the local range of light. A
    quantile of LIKE_STARS counts: some may be hit.
    """
    if len(greatest) < FEWEST_LIKE:
        return np.full(len(wanted), UNKNOWN_MISFIT, np.float32)
    order = np.argsort(contrast, kind="stable")
    number = min(LIKE_STARS, len(order))
    windows = np.lib.stride_tricks.sliding_window_view(greatest[order], number)
    typical = np.quantile(windows, LIKE_QUANTILE, axis=1)
    first = np.clip(np.searchsorted(contrast[order], wanted) - number // 2, 0, len(typical) - 1)
    return np.asarray(np.clip(typical[first] / MISFIT_SIGMA, LEAST_MISFIT, 1.0), np.float32)


def _nearest(stamps: Stamps, doubtful: Mask, pixels: int) -> Mask:
    """Doubtful pixels to which no other star is nearer."""
    distance = np.hypot(*(stamps.distance(axis) for axis in (1, 0)))
    rows = np.zeros(pixels, np.bool_)
    rows[stamps.flat[doubtful]] = True
    some = np.nonzero(rows[stamps.flat])
    flat, away = stamps.flat[some], distance[some]
    order = np.lexsort((away, flat))
    first = np.r_[True, flat[order][1:] != flat[order][:-1]] if flat.size else np.empty(0, np.bool_)
    nearest = np.zeros(stamps.flat.shape, np.bool_)
    nearest[tuple(axis[order[first]] for axis in some)] = True
    return nearest & doubtful


def _hits(excess: _Excess, stamps: Stamps, nearest: Mask, inside: Mask, suspect: Mask) -> Mask:
    """Pixels that stand out from their stars, and those beside them, where the stars' fluxes agree.

    Of a track that enters an aperture the pixels outside, where there is less light of the star, tell too.
    """
    hit = nearest & (excess.significance > LIKELY_SIGMA)
    hit |= nearest & (excess.significance > BESIDE_SIGMA) & _touching(hit)
    track = inside & hit
    for _ in range(MOST_HIT):
        longer = track | (hit & _touching(track))
        if (longer == track).all():
            break
        track = longer

    def total(values: Stamp, where: Mask) -> NDArray[np.float64]:
        return np.asarray(np.einsum("nij,nij->n", where, values, dtype=np.float64))

    seen = inside & stamps.seen
    flux, noise = total(excess.model, seen), np.sqrt(total(excess.noise, seen))
    energy = total(excess.value, inside & hit)
    # A sum does not depend on where among its pixels a star lies, and tells its light better than they do.
    expected = flux / excess.scale
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (flux + total(excess.value, seen)) / expected
    light, scatter = _usual(ratio[(flux > KNOWN_SNR * noise) & (expected > 0)], excess.light)
    brighter = flux + total(excess.value, seen) - light * expected
    error = np.hypot(noise, scatter * flux)
    borne_out = (np.abs(brighter - energy) < AGREEING_SHARE * energy) & (brighter > AGREEING_SIGMA * error)
    denied = np.abs(brighter) < np.minimum(DENIED_SHARE * energy, energy - DENYING_SIGMA * error)
    plain = np.where(track, excess.significance, 0).max(axis=(1, 2)) > HIT_SIGMA
    true = (energy > HIT_FLUX_SIGMA * noise) & (borne_out | (plain & ~denied))
    return np.asarray((track & true[:, None, None]) | (hit & ~inside & suspect), np.bool_)


def _touching(mask: Mask) -> Mask:
    """Pixels with one of the mask among the nine around and on them."""
    stamps = np.flatnonzero(mask.any(axis=(1, 2)))
    middle = mask[stamps]
    column = middle.copy()
    column[:, 1:] |= middle[:, :-1]
    column[:, :-1] |= middle[:, 1:]
    nine = column.copy()
    nine[:, :, 1:] |= column[:, :, :-1]
    nine[:, :, :-1] |= column[:, :, 1:]
    result = np.zeros_like(mask)
    result[stamps] = nine
    return result
