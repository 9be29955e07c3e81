"""Polynomials of a camera's distortion (SIP: Shupe et al. 2005) for what astropy does not do: fits, and linear maps."""

from math import comb

import numpy as np
from numpy.polynomial.polynomial import polyval2d
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INVERSE_GRID = 13  # points a side on which the inverse polynomials, of at most 28 terms, are fitted


def under_linear_map(a: Floats, b: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    """Coefficients of M·(A, B)(M⁻¹ w): the same distortion in coordinates w = M·(u, v); matrix: float64[2, 2]."""
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    carried = np.stack([_substituted(a, inverse), _substituted(b, inverse)])
    first, second = np.tensordot(matrix, carried, axes=1)
    return first, second


def _substituted(coefficients: Floats, inverse: Floats) -> Floats:
    """Coefficients in w of the polynomial in (u, v) = inverse·w: each u^i v^j is a product of two binomials."""
    order = len(coefficients) - 1
    found = np.zeros_like(coefficients)
    (p, q), (r, s) = inverse
    for i, j in zip(*np.nonzero(coefficients), strict=True):
        u_power = [comb(i, k) * p ** (i - k) * q**k for k in range(i + 1)]  # by rising powers of the second coordinate
        v_power = [comb(j, k) * r ** (j - k) * s**k for k in range(j + 1)]
        for k, value in enumerate(np.convolve(u_power, v_power)):
            if i + j <= order:
                found[i + j - k, k] += coefficients[i, j] * value
    return found


def terms(degree: int, lowest: int = 0) -> list[tuple[int, int]]:
    """The powers (i, j) with lowest ≤ i + j ≤ degree."""
    return [(i, total - i) for total in range(lowest, degree + 1) for i in range(total, -1, -1)]


def design(uv: Floats, powers: list[tuple[int, int]]) -> Floats:
    """Values float64[n, terms] of each u^i v^j at uv float64[n, 2]."""
    highest = max(max(power) for power in powers) + 1
    u, v = (np.vander(one, highest, increasing=True) for one in uv.T)
    i, j = np.array(powers).T
    return np.asarray(u[:, i] * v[:, j])


def inverse_polynomials(a: Floats, b: Floats, reach: float) -> tuple[Floats, Floats]:
    """AP and BP: polynomials of the distorted (U, V) with u ≈ U + AP, v ≈ V + BP, fitted on ±reach pixels.

    Two degrees higher than A and B. For programs that do not invert A and B themselves, as astropy does.
    """
    degree = max(len(a), len(b)) + 1
    line = np.linspace(-reach, reach, INVERSE_GRID)
    uv = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    powers = terms(degree)
    big = uv + np.column_stack([polyval2d(uv[:, 0], uv[:, 1], coefficients) for coefficients in (a, b)])
    solution = np.linalg.lstsq(design(big / reach, powers), uv - big, rcond=None)[0]
    inverse = np.zeros((2, degree + 1, degree + 1))
    for k, (i, j) in enumerate(powers):
        inverse[:, i, j] = solution[k] / reach ** (i + j)
    return inverse[0], inverse[1]
