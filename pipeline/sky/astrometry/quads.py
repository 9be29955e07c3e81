"""Figures of four stars, described so that shift, rotation and scale do not matter (Lang et al. 2010)."""

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of

if TYPE_CHECKING:
    from scipy.spatial import KDTree

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.int64]

BLOCK_BACKBONES = 4096  # looked at together: some 10 MB
MOST_INSIDE = 24  # brightest stars within a backbone's circle that are combined: 276 quads


@dataclass(frozen=True)
class Quads:
    """Quads of stars: a backbone, and two stars within the circle that has it for a diameter.

    Attributes:
        stars: int64[n, 4], the backbone's two ends, then the inner two.
        codes: float64[n, 4], places of the inner two, (along, across) each, with the backbone from (0, 0) to (1, 0).
            Mirroring the figure changes the signs of what is across; nothing else does.
        length: float64[n], of the backbone.
    """

    stars: Indices
    codes: Floats
    length: Floats

    def mirrored(self) -> Floats:
        """Codes of the mirrored figures."""
        return self.codes * (1.0, -1.0, 1.0, -1.0)


def quads(places: Floats, shortest: float, longest: float, most: int) -> Quads:
    """The quads of places float64[n, 2], brightest first, with backbones between shortest and longest.

    At most about ``most`` of them: those of the brightest stars. Ends and inner stars are ordered so that equal figures
    give equal codes: the inner ones nearer to the first end, and the one of them nearer to it first.
    """
    tree = tree_of(places)
    pairs = tree.query_pairs(longest, output_type="ndarray")  # type: ignore[no-untyped-call]
    z = places[:, 0] + 1j * places[:, 1]
    length = np.abs(z[pairs[:, 1]] - z[pairs[:, 0]])
    pairs = pairs[length >= shortest]
    pairs = pairs[np.argsort(pairs.max(axis=1), kind="stable")]
    found: list[tuple[Indices, Complex]] = []
    total = 0
    for start in range(0, len(pairs), BLOCK_BACKBONES):
        if total >= most:
            break
        stars, codes = _of_backbones(tree, z, pairs[start : start + BLOCK_BACKBONES])
        found.append((stars, codes))
        total += len(stars)
    # Empty ones first: there may be no quads at all.
    stars = np.concatenate([np.empty((0, 4), np.int64), *(one for one, _ in found)])
    w = np.concatenate([np.empty((0, 2), np.complex128), *(one for _, one in found)])
    codes = np.column_stack([w[:, 0].real, w[:, 0].imag, w[:, 1].real, w[:, 1].imag])
    return Quads(stars, codes.astype(np.float64), np.abs(z[stars[:, 1]] - z[stars[:, 0]]))


def _of_backbones(tree: "KDTree", z: Complex, ends: Indices) -> tuple[Indices, Complex]:
    """Stars int64[n, 4] and codes complex128[n, 2] of all quads on backbones int64[m, 2]."""
    start, step = z[ends[:, 0]], z[ends[:, 1]] - z[ends[:, 0]]
    middle = start + step / 2
    near = tree.query_ball_point(  # type: ignore[no-untyped-call]
        np.column_stack([middle.real, middle.imag]), np.abs(step) / 2, return_sorted=True
    )
    counts = np.fromiter(map(len, near), np.int64, len(near))
    star = np.fromiter(chain.from_iterable(near), np.int64, int(counts.sum()))
    backbone = np.repeat(np.arange(len(ends)), counts)
    inner = (star != ends[backbone, 0]) & (star != ends[backbone, 1])
    star, backbone = star[inner], backbone[inner]
    rank = _rank_in_group(backbone)
    few = rank < MOST_INSIDE
    star, backbone, rank = star[few], backbone[few], rank[few]
    # Each inner star with those before it on the same backbone.
    second = np.repeat(np.arange(len(star)), rank)
    first = second - 1 - _rank_in_group(second)
    owner = backbone[second]
    w = (z[np.column_stack([star[first], star[second]])] - start[owner, None]) / step[owner, None]
    stars = np.column_stack([ends[owner], star[first], star[second]])
    turned = w.real.sum(axis=1) > 1
    w[turned] = 1 - w[turned]
    stars[turned, :2] = stars[turned, 1::-1]
    swapped = w[:, 0].real > w[:, 1].real
    w[swapped] = w[swapped, ::-1]
    stars[swapped, 2:] = stars[swapped, :1:-1]
    return stars, w


def _rank_in_group(group: Indices) -> Indices:
    """How many of the same group come before each, of rising groups int64[n]."""
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    return np.arange(len(group)) - np.repeat(starts, np.diff(starts, append=len(group)))
