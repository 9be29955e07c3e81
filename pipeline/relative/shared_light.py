"""Which stars share light: no star may be compared with one whose aperture holds a part of its own light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Others:
    """Of some stars, ``who`` int[k], the others that they share light with: ``other`` int[p], those of who[0] first;
    ``start`` int[k], where those of each begin.
    """

    who: Indices
    start: Indices
    other: Indices

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the others of each star, [k, …], of values [p, …]."""
        return np.asarray(np.add.reduceat(values, self.start, axis=0))


@dataclass(frozen=True)
class SharedLight:
    """Pairs of stars that share light, each in both directions: ``star`` int[p], ascending, and ``other`` int[p]."""

    star: Indices
    other: Indices

    @classmethod
    def none(cls) -> "SharedLight":
        """No two stars share light."""
        return cls(np.empty(0, np.intp), np.empty(0, np.intp))

    @classmethod
    def within(cls, xy: NDArray[np.float64], distance: float) -> "SharedLight":
        """Stars at xy float64[n, 2] nearer to each other than ``distance``; those at unknown places share none."""
        known = np.flatnonzero(np.isfinite(xy).all(axis=1))
        pairs = known[tree_of(xy[known]).query_pairs(distance, output_type="ndarray")]  # type: ignore[no-untyped-call]
        return cls._sorted(np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]]))

    def among(self, stars: Indices, others: Indices) -> "SharedLight":
        """The pairs of one of ``stars`` with one of ``others``, numbered by their places there."""
        top = 1 + max(int(part.max(initial=-1)) for part in (self.star, stars, others))
        place, other_place = np.full(top, -1), np.full(top, -1)
        place[stars], other_place[others] = np.arange(stars.size), np.arange(others.size)
        star, other = place[self.star], other_place[self.other]
        kept = (star >= 0) & (other >= 0)
        return self._sorted(star[kept], other[kept])

    def with_references(self, references: NDArray[np.bool_], own: NDArray[np.bool_]) -> "SharedLight":
        """The pairs with a reference, but for stars that would have none left: these are compared with all.

        references: bool[m], of the others; own: bool[n], which stars are references themselves.
        """
        kept = references[self.other]
        star, other = self.star[kept], self.other[kept]
        left = int(references.sum()) - own - np.bincount(star, minlength=own.size)
        return SharedLight(star[left[star] > 0], other[left[star] > 0])

    def of(self, rows: slice) -> Others | None:
        """The pairs of the stars of these rows, ``who`` counted from the first; None when there are none."""
        first, last = np.searchsorted(self.star, [rows.start, rows.stop])
        if first == last:
            return None
        who, start = np.unique(self.star[first:last], return_index=True)
        return Others(who - rows.start, start, self.other[first:last])

    @classmethod
    def _sorted(cls, star: Indices, other: Indices) -> "SharedLight":
        order = np.lexsort((other, star))
        return cls(star[order], other[order])
