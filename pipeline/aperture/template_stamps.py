"""What a frame should show around its stars by the template of its night: stamps of both, and the kernel between them.

The kernel is fitted to the frame's bright stars as in difference imaging (Alard & Lupton 1998, ApJ 503, 325). It undoes
what differs between a star on the template and on the frame: its place on the pixel grid, and the seeing.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.taps import tap_grams, with_taps
from pipeline.registration.alignment import Alignment
from pipeline.statistics import MAD_TO_SIGMA

KERNEL_REACH = 2  # px; with 1 the cores of stars of FWHM 1.4 px err by 6 to 12 % of their flux, with 2 by 2 to 4 %
SMALL_KERNEL_STARS, KERNEL_STARS = 4, 12  # bright stars that fix a kernel of 3 x 3, and of 5 x 5 pixels
UNLIKE_STARS = 40  # bright stars that fix a kernel which differs from star to star: by how sharp they are …
MIDDLE_CONTRAST = 0.5
UNLIKE_SHIFTS = 0.05  # … and, beyond this rms (px), by their sub-pixel shifts, which differ on a turned frame
COEFFICIENT_PRIOR = 0.3  # size that coefficients of the kernel may have
FIRST_MISFIT, LAST_MISFIT = 0.1, 0.03  # of the local range of light, by which the model may err while it is fitted
TUKEY_SIGMA = 6.0  # residuals beyond have no weight: cosmic rays
ROUNDS = 3  # of fits and weights; after the first with the last misfit
WORKED_OUT = ("interpolated", "contrast", "span")  # of stamps, when first asked for

Stamp = NDArray[np.float32]


@dataclass(frozen=True)
class Stamps:
    """Squares of an odd number of pixels around n stars, as the frame has them and as the template has them.

    Attributes:
        flat: int64[n, h, w], the frame's pixels.
        values: float32[n, h, w], the frame.
        seen: bool[n, h, w], where frame and template have a value.
        template: float32[n, h + 2 KERNEL_REACH, w + 2 KERNEL_REACH], NaN made 0; turned as the frame is.
        offset: float64[n, 2], px (x, y), of the stars from the middle of their squares.
        shift: float64[n, 2], px (x, y), of the frame's pixels on the template, from the template's nearest ones.
    """

    flat: NDArray[np.int64]
    values: Stamp
    seen: NDArray[np.bool_]
    template: Stamp
    offset: NDArray[np.float64]
    shift: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> "Stamps":
        """Some of the stars, with what was worked out for all."""
        some = Stamps(*(getattr(self, each.name)[rows] for each in fields(self)))
        some.__dict__.update({name: self.__dict__[name][rows] for name in WORKED_OUT if name in self.__dict__})
        return some

    def distance(self, axis: int) -> NDArray[np.float64]:
        """float64[n, h, w], px along x (0) or y (1) from the star."""
        middle = self.values.shape[1] // 2
        along = np.arange(-middle, middle + 1) - self.offset[:, axis, None]
        return np.broadcast_to(along[:, None, :] if axis == 0 else along[:, :, None], self.values.shape)

    def tap(self, dy: int, dx: int) -> Stamp:
        """The template, this many pixels beside each pixel."""
        high, wide = self.values.shape[1:]
        y, x = KERNEL_REACH + dy, KERNEL_REACH + dx
        return self.template[:, y : y + high, x : x + wide]

    @cached_property
    def interpolated(self) -> Stamp:
        """The template at the frame's pixels, by parabolas in x and in y."""
        x, y = (
            np.stack([d * (d - 1) / 2, 1 - d * d, d * (d + 1) / 2], axis=1).astype(np.float32) for d in self.shift.T
        )
        return with_taps(np.zeros_like(self.values), self.template, y[:, :, None] * x[:, None, :])

    @cached_property
    def contrast(self) -> NDArray[np.float32]:
        """How sharp each star is on the template, float32[n]: 1 less the mean around its brightest pixel over that."""
        own, middle = self.tap(0, 0), self.values.shape[1] // 2
        star, core = np.arange(len(own)), slice(middle - 1, middle + 2)
        y, x = np.unravel_index(own[:, core, core].reshape(len(own), 9).argmax(axis=1), (3, 3))
        y, x = y + middle - 1, x + middle - 1
        peak = own[star, y, x]
        beside = sum(self.tap(dy, dx)[star, y, x] for dy in (-1, 0, 1) for dx in (-1, 0, 1)) - peak
        return np.where(peak > 0, 1 - np.clip(beside / np.where(peak > 0, 8 * peak, 1), 0, 1), 0).astype(np.float32)

    @cached_property
    def span(self) -> Stamp:
        """Range of the template within a pixel: what an error of place or width can change."""
        taps = [self.tap(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        highest, lowest = taps[0].copy(), taps[0].copy()
        for tap in taps[1:]:
            np.maximum(highest, tap, out=highest)
            np.minimum(lowest, tap, out=lowest)
        return np.asarray(highest - lowest)


def cut_stamps(image: Stamp, template: Stamp, alignment: Alignment, xy: NDArray[np.float64], reach: int) -> Stamps:
    """Cut squares of 2 reach + 1 pixels around stars.

    Args:
        image: float32[ny, nx], masked pixels NaN.
        template: float32[ny, nx], NaN where nothing was seen.
        alignment: template to frame.
        xy: float64[n, 2], places of the stars on the template, px; a star too near to a border is left out.
        reach: px.

    """
    place = alignment.to_frame(xy)
    pixel = np.rint(place)
    there = alignment.to_reference(pixel)
    nearest = np.rint(there)
    whole = [_inside(pixel, image.shape, reach), _inside(nearest, template.shape, reach + KERNEL_REACH)]
    stars = np.flatnonzero(whole[0] & whole[1])
    # A frame is turned against its template by hardly anything, or by half a turn: pixels are paired with pixels.
    turn = np.rint(np.linalg.inv(alignment.matrix)).astype(np.int64)
    flat = _squares(pixel[stars], image.shape[1], reach, np.eye(2, dtype=np.int64))
    values = image.ravel()[flat]
    beside = template.ravel()[_squares(nearest[stars], template.shape[1], reach + KERNEL_REACH, turn)]
    inner = slice(KERNEL_REACH, -KERNEL_REACH)
    seen = np.isfinite(values) & np.isfinite(beside[:, inner, inner])
    shift = (there - nearest)[stars] @ np.linalg.inv(turn).T
    offset = (place - pixel)[stars]
    return Stamps(flat, values, seen, np.nan_to_num(beside, copy=False), offset, shift)


def _inside(xy: NDArray[np.float64], shape: tuple[int, ...], reach: int) -> NDArray[np.bool_]:
    size = np.array(shape[::-1])
    return np.asarray(((xy >= reach) & (xy < size - reach)).all(axis=1))  # False for NaN


def _squares(centre: NDArray[np.float64], nx: int, reach: int, turn: NDArray[np.int64]) -> NDArray[np.int64]:
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    x, y = np.tensordot(turn, np.stack([dx, dy]), axes=1)
    start = centre.astype(np.int64) @ (1, nx)
    return np.asarray(start[:, None, None] + y * nx + x)


@dataclass(frozen=True)
class Kernel:
    """Correction of the interpolated template: float32[terms, taps, taps] for the terms of `_terms`."""

    coefficients: NDArray[np.float32]

    def applied(self, stamps: Stamps) -> Stamp:
        """The frame by the template."""
        weights = np.tensordot(_terms(stamps, len(self.coefficients)), self.coefficients, axes=1)
        return with_taps(stamps.interpolated, stamps.template, weights)


def fit_kernel(
    stamps: Stamps, usable: NDArray[np.bool_], scale: NDArray[np.float32], rms: float, photons: float
) -> Kernel:
    """The kernel that makes the template's bright stars those of the frame; none from fewer than SMALL_KERNEL_STARS.

    Args:
        stamps: of bright stars.
        usable: bool[n, h, w], pixels that may tell.
        scale: float32[n], the stars' light on the frame over that on the template, nearly.
        rms: of a sky pixel of the frame, ADU.
        photons: variance of the frame's light over the light, ADU.
    """
    number = len(scale)
    reach = 0 if number < SMALL_KERNEL_STARS else 1 if number < KERNEL_STARS else KERNEL_REACH
    side = 2 * reach + 1
    if not reach:
        return Kernel(np.zeros((1, side, side), np.float32))
    # Where nothing changes from pixel to pixel no kernel is told: two thirds of the pixels.
    usable = usable & (scale[:, None, None] * stamps.span > rms)
    terms = _terms(stamps, _number_of_terms(stamps))
    value, simple, span = np.where(usable, stamps.values, 0), stamps.interpolated, stamps.span
    coefficients = np.zeros((terms.shape[1], side * side), np.float32)
    prior = np.eye(coefficients.size) / COEFFICIENT_PRIOR**2
    for turn in range(ROUNDS):
        model = with_taps(simple, stamps.template, (terms @ coefficients).reshape(number, side, side))
        misfit = LAST_MISFIT if turn else FIRST_MISFIT
        light = scale[:, None, None] * model
        variance = np.float32(rms**2) + photons * np.maximum(light, 0) + np.square(misfit * scale[:, None, None] * span)
        residual = (value - light) / np.sqrt(variance)
        limit = TUKEY_SIGMA * max(MAD_TO_SIGMA * float(np.median(np.abs(residual[usable]))), 1.0)
        weight = np.where(usable, np.square(np.clip(1 - np.square(residual / limit), 0, 1)) / variance, 0)
        norm = np.einsum("nij,nij,nij->n", weight, model, model)
        fitted = np.einsum("nij,nij,nij->n", weight, model, value) / np.where(norm > 0, norm, 1)
        scale = np.where(fitted > 0, fitted, scale).astype(np.float32)
        right = np.asarray(value / scale[:, None, None] - simple, np.float32)
        weight *= np.square(scale[:, None, None])
        matrix, vector = _normal(stamps.template, weight, right, reach, terms)
        coefficients = np.linalg.solve(matrix + prior, vector).reshape(coefficients.shape).astype(np.float32)
    return Kernel(coefficients.reshape(-1, side, side))


def _normal(
    template: Stamp, weight: Stamp, right: Stamp, reach: int, terms: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal equations for the coefficients of all terms by taps: terms are alike in all pixels of a star."""
    grams, sums = tap_grams(template, weight, right, reach)
    number, side = terms.shape[1], sums.shape[1]
    both = np.einsum("na,nb->nab", terms, terms, dtype=np.float64).reshape(len(terms), -1)
    matrix = (both.T @ grams.reshape(len(grams), -1)).reshape(number, number, side, side)
    return matrix.transpose(0, 2, 1, 3).reshape(number * side, -1), (terms.astype(np.float64).T @ sums).reshape(-1)


def _number_of_terms(stamps: Stamps) -> int:
    if len(stamps.values) < UNLIKE_STARS:
        return 1
    return 4 if stamps.shift.std(axis=0).max() > UNLIKE_SHIFTS else 2


def _terms(stamps: Stamps, number: int) -> NDArray[np.float32]:
    """What the kernel is linear in: 1, the stars' contrast, their shift in x and in y."""
    contrast = stamps.contrast - MIDDLE_CONTRAST
    return np.column_stack([np.ones_like(contrast), contrast, stamps.shift])[:, :number].astype(np.float32)
