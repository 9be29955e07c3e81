"""Standard magnitudes from fluxes, with the star's colour from a catalogue or from two filters."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.units import MAG_PER_LN
from pipeline.zero_points.standard_bands import index_by_relation

LONGEST_GAP_D = 0.02  # half an hour between two points that stand for what lies between them
COLOUR_STEPS = 2000  # of the table in which a colour is looked up

Floats = NDArray[np.float64]


class StandardFlag(IntFlag):
    """Why a point has no standard magnitude."""

    NO_COLOUR = 1  # Gaia has no BP - RP of the star, or the other filter no point near in time
    OUTSIDE_COLOURS = 2  # the star is bluer or redder than the stars that the transformation rests on
    NO_FLUX = 4  # the flux is missing or not positive, or the frame has no zero point


@dataclass(frozen=True)
class Transformation:
    """band = zero point - 2.5 log10(flux) + colour_term (BP - RP - colour_reference) + the field's terms."""

    band: str
    colour_term: float
    colour_term_error: float
    colour_reference: float  # BP - RP
    colour_low: float  # of the stars that it rests on
    colour_high: float


@dataclass(frozen=True)
class Points:
    """One star in one filter, ``[t]`` each: time (days), and magnitudes before the colour term with their errors.

    ``noise`` is the photons' alone; ``error`` is of the zero point too, which all points of a night share in part.
    """

    time: Floats
    magnitude: Floats
    noise: Floats
    error: Floats


@dataclass(frozen=True)
class Standard:
    """Standard magnitudes ``[t]``, NaN where ``flag`` says why, and the colour (BP - RP) that they were made with."""

    magnitude: Floats
    noise: Floats
    error: Floats
    colour: Floats
    flag: NDArray[np.int32]


@dataclass(frozen=True)
class ColourCurve:
    """Points of the first filter, and the second one's between its own: the index is first - second, ``[t]``."""

    first: Standard
    second: Standard
    index: Floats
    index_noise: Floats
    index_error: Floats


def points_of(time: Floats, flux: Floats, flux_error: Floats, zero_point: Floats, zero_point_error: Floats) -> Points:
    """Magnitudes before the colour term; zero_point: float64[t], mag, the field's terms at the star included."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.where(flux > 0, zero_point - 2.5 * np.log10(flux), np.nan)
        noise = np.where(flux > 0, MAG_PER_LN * flux_error / flux, np.nan)
    return Points(time, magnitude, noise, np.hypot(noise, zero_point_error))


def with_catalogue_colour(points: Points, by: Transformation, colour: float, colour_error: float) -> Standard:
    """Standard magnitudes with one colour for all points; NaN for a star whose colour is not known.

    The error holds the photons', the zero point's, the colour's, and the colour term's at the star's own colour.
    """
    from_reference = colour - by.colour_reference
    flag = _flags(points, np.full(points.time.size, colour), by)
    more = np.hypot(by.colour_term * colour_error, by.colour_term_error * from_reference)
    good = flag == 0
    return Standard(
        np.where(good, points.magnitude + by.colour_term * from_reference, np.nan),
        np.where(good, points.noise, np.nan),
        np.where(good, np.hypot(points.error, more), np.nan),
        np.full(points.time.size, colour),
        flag,
    )


def between(points: Points, time: Floats, longest_gap: float = LONGEST_GAP_D) -> Points:
    """Points at other times by straight lines between neighbours; NaN before, behind, and in gaps longer than that."""
    known = np.isfinite(points.time) & np.isfinite(points.magnitude) & np.isfinite(points.error)
    own = np.flatnonzero(known)[np.argsort(points.time[known], kind="stable")]
    nothing = np.full(time.size, np.nan)
    if own.size < 2:
        return Points(time, nothing, nothing, nothing)
    times = points.time[own]
    right = np.clip(np.searchsorted(times, time), 1, own.size - 1)
    left = right - 1
    length = times[right] - times[left]
    share = np.divide(time - times[left], length, out=np.zeros(time.size), where=length > 0)
    inside = (time >= times[0]) & (time <= times[-1]) & (length <= longest_gap)
    a, b = own[left], own[right]
    magnitude = (1.0 - share) * points.magnitude[a] + share * points.magnitude[b]
    noise = np.hypot((1.0 - share) * points.noise[a], share * points.noise[b])
    # Two points of a night share what the zero point is off: it does not become less between them.
    shared = np.sqrt(np.maximum(points.error**2 - points.noise**2, 0.0))
    error = np.hypot(noise, (1.0 - share) * shared[a] + share * shared[b])
    return Points(time, *(np.where(inside, values, np.nan) for values in (magnitude, noise, error)))


def colour_curve(
    first: Points,
    first_by: Transformation,
    second: Points,
    second_by: Transformation,
    colour: float,
    colour_error: float,
    longest_gap: float = LONGEST_GAP_D,
) -> ColourCurve:
    """Both bands and their difference at the times of the first, with the colour that a catalogue has."""
    there = between(second, first.time, longest_gap)
    a = with_catalogue_colour(first, first_by, colour, colour_error)
    b = with_catalogue_colour(there, second_by, colour, colour_error)
    # An error of the catalogue's colour moves both bands.
    of_colour = (first_by.colour_term - second_by.colour_term) * colour_error
    terms = [by.colour_term_error * (colour - by.colour_reference) for by in (first_by, second_by)]
    error = np.sqrt(first.error**2 + there.error**2 + of_colour**2 + terms[0] ** 2 + terms[1] ** 2)
    index = a.magnitude - b.magnitude
    return ColourCurve(a, b, index, *(_where_known(index, one) for one in (np.hypot(first.noise, there.noise), error)))


def two_filter_curve(
    first: Points,
    first_by: Transformation,
    second: Points,
    second_by: Transformation,
    longest_gap: float = LONGEST_GAP_D,
) -> ColourCurve:
    """Both bands and their difference with the colour that the star has at each moment, by the two filters alone.

    With x = BP - RP, a and b the magnitudes before the colour terms, and P(x) the index that Gaia's relations give a
    star of that colour,

        a + ca (x - xa) - b - cb (x - xb) = P(x)

    is solved for x at each point. Errors go through the solution: of x by 1 / (P' - ca + cb).

    Raises:
        UnusableDataError: the bands are of no relation, or their index tells no colour with these colour terms.
    """
    there = between(second, first.time, longest_gap)
    low = max(first_by.colour_low, second_by.colour_low)
    high = min(first_by.colour_high, second_by.colour_high)
    bands = f"{first_by.band} and {second_by.band}"
    if not low < high:
        raise UnusableDataError(f"the transformations to {bands} have no colours in common")
    x = np.linspace(low, high, COLOUR_STEPS)
    index = index_by_relation(first_by.band, second_by.band, x)
    if not np.isfinite(index).all():
        raise UnusableDataError(
            f"Gaia has no relation for {bands} over colours {low:.2f} to {high:.2f}: take the catalogue's colour"
        )
    terms = [by.colour_term * (x - by.colour_reference) for by in (first_by, second_by)]
    told = index - terms[0] + terms[1]
    slope = np.gradient(told, x)
    if not ((slope > 0).all() or (slope < 0).all()):
        raise UnusableDataError(f"{bands} with these colour terms do not tell a colour: take the catalogue's")
    order = np.argsort(told)
    value = first.magnitude - there.magnitude
    colour = np.interp(value, told[order], x[order], left=np.nan, right=np.nan)
    inside = np.isfinite(colour)
    steep = np.where(inside, np.interp(np.nan_to_num(colour, nan=low), x, slope), np.nan)
    flag = np.where(np.isfinite(value), 0, StandardFlag.NO_COLOUR) | np.where(
        np.isfinite(value) & ~inside, StandardFlag.OUTSIDE_COLOURS, 0
    )
    flag = flag | np.where(np.isfinite(first.magnitude), 0, StandardFlag.NO_FLUX)

    def standard(points: Points, by: Transformation, of_first: Floats, of_second: Floats) -> Standard:
        more = by.colour_term_error * (colour - by.colour_reference)
        noise = np.hypot(of_first * first.noise, of_second * there.noise)
        error = np.sqrt((of_first * first.error) ** 2 + (of_second * there.error) ** 2 + more**2)
        magnitude = points.magnitude + by.colour_term * (colour - by.colour_reference)
        return Standard(magnitude, noise, error, colour, flag.astype(np.int32))

    ca, cb = first_by.colour_term, second_by.colour_term
    a = standard(first, first_by, 1.0 + ca / steep, -ca / steep)
    b = standard(there, second_by, cb / steep, 1.0 - cb / steep)
    by_value = (steep + ca - cb) / steep  # of the index, P' over the slope
    errors = (by_value * np.hypot(getattr(first, name), getattr(there, name)) for name in ("noise", "error"))
    difference = a.magnitude - b.magnitude
    return ColourCurve(a, b, difference, *(_where_known(difference, np.abs(one)) for one in errors))


def _flags(points: Points, colour: Floats, by: Transformation) -> NDArray[np.int32]:
    flag = np.where(np.isfinite(points.magnitude) & np.isfinite(points.error), 0, StandardFlag.NO_FLUX)
    flag |= np.where(np.isfinite(colour), 0, StandardFlag.NO_COLOUR)
    with np.errstate(invalid="ignore"):
        flag |= np.where((colour < by.colour_low) | (colour > by.colour_high), StandardFlag.OUTSIDE_COLOURS, 0)
    return flag.astype(np.int32)


def _where_known(value: Floats, other: Floats) -> Floats:
    return np.asarray(np.where(np.isfinite(value), other, np.nan))
