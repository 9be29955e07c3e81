"""Which values are compared with which, whatever they are, so that all are sorted in the end."""

from collections.abc import Iterator


def comparisons(n: int) -> Iterator[tuple[int, int]]:
    """Pairs of places that sort n values: Batcher's merge exchange (Knuth, volume 3, algorithm 5.2.2M)."""
    top = 1 << max(0, (n - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, distance = top, 0, p
        while distance > 0:
            for i in range(n - distance):
                if i & p == r:
                    yield i, i + distance
            distance, q, r = q - p, q >> 1, p
        p >>= 1
