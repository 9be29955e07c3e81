"""How much of a limb-darkened star a dark disc hides."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BEHIND = 1e3  # stellar radii: nothing is hidden
RINGS = 12  # of the quadrature: 0.2 % of the depth for a radius ratio of 0.15


def hidden_share(
    separation: ArrayLike, radius_ratio: ArrayLike, limb_darkening: ArrayLike, quadratic: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Share of the star's light that a planet hides, for quadratic limb darkening (Mandel & Agol 2002, ApJ 580, L171).

    The star is cut into rings of radius r and intensity ``1 - u (1 - m) - v (1 - m)²``, ``m = sqrt(1 - r²)``; the
    planet covers an angle ``2 arccos((r² + z² - k²) / (2 r z))`` of each. The integral over r takes few points because
    they crowd at its ends.

    Args:
        separation: z, of the centres, in stellar radii.
        radius_ratio: k, of planet and star.
        limb_darkening: u, the linear coefficient.
        quadratic: v; 0 for linear limb darkening.

    Returns:
        float64 in the broadcast shape of the arguments.
    """
    z, k, u, v = np.broadcast_arrays(
        *(np.asarray(part, dtype=np.float64) for part in (separation, radius_ratio, limb_darkening, quadratic))
    )
    hidden = np.zeros(z.shape)
    touching = (z < 1.0 + k) & (k > 0)
    z, k, u, v = (part[touching][:, None] for part in (np.maximum(z, 1e-9), k, u, v))
    angle = np.pi * (np.arange(RINGS) + 0.5) / RINGS
    low, high = np.minimum(np.abs(z - k), 1.0), np.minimum(z + k, 1.0)
    radius = low + (high - low) * 0.5 * (1.0 - np.cos(angle))
    width = (high - low) * 0.5 * np.sin(angle) * (np.pi / RINGS)
    covered = np.arccos(np.clip((radius**2 + z**2 - k**2) / (2.0 * np.maximum(radius, 1e-12) * z), -1.0, 1.0))
    darker = 1.0 - np.sqrt(np.maximum(1.0 - radius**2, 0.0))
    intensity = 1.0 - darker * (u + v * darker)
    partly = np.sum(intensity * 2.0 * covered * radius * width, axis=1) / np.pi
    wholly = np.where(z < k, low, 0.0) ** 2  # radius² of the disc that the planet covers around the star's centre
    bent = 1.0 - (1.0 - wholly) ** 1.5
    dark = u * (wholly - (2.0 / 3.0) * bent) + v * (2.0 * wholly - 0.5 * wholly**2 - (4.0 / 3.0) * bent)
    hidden[touching] = (partly + (wholly - dark)[:, 0]) / (1.0 - u[:, 0] / 3.0 - v[:, 0] / 6.0)
    return hidden


def separation(
    time: NDArray[np.float64], mid_time: ArrayLike, duration: ArrayLike, radius_ratio: ArrayLike, impact: ArrayLike
) -> NDArray[np.float64]:
    """Separation of the centres in stellar radii, along a straight chord at steady speed.

    Args:
        time, mid_time, duration: same unit; the duration runs from first to fourth contact.
        radius_ratio, impact: in stellar radii, impact below 1.

    Returns:
        float64 in the broadcast shape of the arguments.
    """
    half_chord_squared = (1.0 + np.asarray(radius_ratio)) ** 2 - np.square(impact)
    phase = 2.0 * (time - np.asarray(mid_time)) / np.asarray(duration)
    return np.asarray(np.sqrt(np.square(impact) + half_chord_squared * phase**2))


def orbit_separation(
    time: NDArray[np.float64], mid_time: ArrayLike, period: ArrayLike, axis_ratio: ArrayLike, impact: ArrayLike
) -> NDArray[np.float64]:
    """Separation of the centres in stellar radii on a circular orbit; BEHIND while the planet is behind the star.

    ``z = a sqrt(sin² p + cos² i cos² p)``, ``p = 2 pi (t - mid) / P``, ``cos i = b / a``.

    Args:
        time, mid_time, period: same unit.
        axis_ratio: a, the orbit's radius in stellar radii.
        impact: b, below a.

    Returns:
        float64 in the broadcast shape of the arguments.
    """
    a, b = np.asarray(axis_ratio), np.asarray(impact)
    phase = 2.0 * np.pi * (time - np.asarray(mid_time)) / np.asarray(period)
    z = np.sqrt((a * np.sin(phase)) ** 2 + (b * np.cos(phase)) ** 2)
    return np.asarray(np.where(np.cos(phase) > 0, z, BEHIND))


def orbit_duration(
    period: ArrayLike, axis_ratio: ArrayLike, radius_ratio: ArrayLike, impact: ArrayLike
) -> NDArray[np.float64]:
    """First to fourth contact on a circular orbit (Winn 2010, arXiv:1001.2010, equation 14), in the period's unit."""
    a, b = np.asarray(axis_ratio), np.asarray(impact)
    chord = np.sqrt(np.maximum((1.0 + np.asarray(radius_ratio)) ** 2 - b**2, 0.0))
    sine = chord / np.sqrt(np.maximum(a**2 - b**2, 1e-9))
    return np.asarray(np.asarray(period) / np.pi * np.arcsin(np.minimum(sine, 1.0)))
