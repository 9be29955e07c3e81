"""Light curves of the injected variables: closed forms, so that the truth is known at every moment."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.simulation.night_spec import NightSpec

CONSTANT, TRANSIT, PULSATOR, BINARY, FLARE = "constant", "transit", "pulsator", "binary", "flare"

LIMB_DARKENING = 0.4  # linear coefficient, about a solar star's in R
SECONDARY_DEPTH = 0.4  # of a binary's secondary eclipse, relative to its primary
FLARE_RISE = 0.2  # time to the peak, in decay times
EPHEMERIS_JD = 2457389.0  # J2016.0, from where the phases of a sky's variables count

Times = NDArray[np.float64]


def transit(jd: Times, amplitude: float, period_d: float, epoch_jd: float, duration_d: float) -> Times:  # noqa: ARG001
    """A small planet crosses the middle of a limb-darkened star, once.

    ``1 - amplitude * I(z) / I(0)`` with ``I(z) = 1 - u (1 - sqrt(1 - z^2))``: the small-planet limit of Mandel & Agol
    (2002, ApJ 580, L171), with a straight ingress. The depth at mid-transit is ``amplitude``; ``duration_d`` runs from
    first to last contact.
    """
    radius = np.sqrt(amplitude)
    z = np.abs(jd - epoch_jd) / (duration_d / 2) * (1 + radius)
    covered = np.clip((1 + radius - z) / (2 * radius), 0, 1)
    intensity = 1 - LIMB_DARKENING * (1 - np.sqrt(1 - np.minimum(z, 1) ** 2))
    return np.asarray(1 - amplitude * covered * intensity)


def pulsator(jd: Times, amplitude: float, period_d: float, epoch_jd: float, duration_d: float) -> Times:  # noqa: ARG001
    """A sine of semi-amplitude ``amplitude``, rising through 1 at the epoch."""
    return np.asarray(1 + amplitude * np.sin(2 * np.pi * (jd - epoch_jd) / period_d))


def binary(jd: Times, amplitude: float, period_d: float, epoch_jd: float, duration_d: float) -> Times:
    """Two rounded eclipses a period: the primary, ``amplitude`` deep at the epoch, and a shallower one between."""
    since = (jd - epoch_jd) / period_d
    return 1 - amplitude * (
        _eclipse(since - np.round(since), duration_d / period_d)
        + SECONDARY_DEPTH * _eclipse(since - 0.5 - np.round(since - 0.5), duration_d / period_d)
    )


def flare(jd: Times, amplitude: float, period_d: float, epoch_jd: float, duration_d: float) -> Times:  # noqa: ARG001
    """A straight rise to ``1 + amplitude`` at the epoch, then a decay by 1/e in each ``duration_d``."""
    after = (jd - epoch_jd) / duration_d
    rise = np.clip(1 + after / FLARE_RISE, 0, 1)
    return np.asarray(1 + amplitude * np.where(after < 0, rise, np.exp(-np.maximum(after, 0))))


def _eclipse(phase: Times, width: float) -> Times:
    """A cosine bell of full width ``width`` (in phase), 1 at phase 0."""
    return np.where(np.abs(phase) < width / 2, 0.5 * (1 + np.cos(2 * np.pi * phase / width)), 0.0)


Model = Callable[[Times, float, float, float, float], Times]
MODELS: Mapping[str, Model] = MappingProxyType(
    {TRANSIT: transit, PULSATOR: pulsator, BINARY: binary, FLARE: flare},
)


def draw_parameters(kind: str, spec: NightSpec, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Parameters (amplitude, period_d, epoch_jd, duration_d) that show the whole event within the night.

    NaN stands where a kind has no such parameter.
    """
    night, start = spec.length_d, spec.start_jd
    if kind == TRANSIT:
        return rng.uniform(0.015, 0.03), np.nan, start + night * rng.uniform(0.4, 0.6), night * 0.4
    if kind == PULSATOR:
        period = night * rng.uniform(0.3, 0.6)
        return rng.uniform(0.04, 0.12), period, start + period * rng.uniform(), np.nan
    if kind == BINARY:
        return rng.uniform(0.2, 0.4), night * 0.9, start + night * rng.uniform(0.2, 0.3), night * 0.25
    return rng.uniform(0.4, 0.6), np.nan, start + night * rng.uniform(0.3, 0.6), night * 0.08


def draw_ephemerides(kind: NDArray[np.str_], rng: np.random.Generator) -> tuple[Times, Times, Times, Times]:
    """Parameters (amplitude, period_d, epoch_jd, duration_d), float64[n] each, that hold on every night.

    Of pulsators and binaries; NaN stands where a kind has no such parameter.
    """
    pulsates, eclipses = kind == PULSATOR, kind == BINARY
    share, phase, length = rng.uniform(size=(3, kind.size))
    cases = [pulsates, eclipses]
    amplitude = np.select(cases, [0.04 + 0.08 * share, 0.2 + 0.2 * share], np.nan)
    period = np.select(cases, [0.05 + 0.25 * length, 0.3 + 0.9 * length], np.nan)
    duration = np.where(eclipses, 0.2 * period, np.nan)
    return amplitude, period, EPHEMERIS_JD + phase * period, duration
