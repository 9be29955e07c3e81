"""What is known against the pixels of one image: few have anything, and are worked on by the list of their places."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.frame.masked_pixels import NO_VALUE, PixelBit
from pipeline.kernels.places import Places, marked_places


@dataclass(frozen=True)
class KnownPixels:
    """Bits of the pixels of one image.

    Attributes:
        bits: uint8[ny, nx], of `PixelBit`.
        marked: int64[m], flat indices of the pixels with any.
        filled: int64[n], of those whose own values are not believed.
    """

    bits: NDArray[np.uint8]
    marked: Places
    filled: Places


def known_pixels(
    without: Places,
    shape: tuple[int, ...],
    bad: NDArray[np.bool_] | None,
    bits: NDArray[np.uint8] | None,
    marked: Places | None,
) -> KnownPixels:
    """What is known of an image: a bad pixel, or one without a value, that has no bit which says so, counts as BAD.

    Args:
        without: int64[n], flat indices of the pixels without a value.
        shape: (ny, nx).
        bad: bool[ny, nx], or None.
        bits: uint8[ny, nx], or None.
        marked: int64[m], flat indices of the pixels with any bits; found where not given.
    """
    if bad is not None:
        without = np.union1d(without, marked_places(bad))
    known = np.zeros(shape, np.uint8) if bits is None else np.ascontiguousarray(bits)
    if bits is None or marked is None:
        marked = marked_places(known)
    nameless = without[(known.reshape(-1)[without] & NO_VALUE) == 0]
    if nameless.size:
        known = known if bits is None else known.copy()
        known.reshape(-1)[nameless] |= np.uint8(PixelBit.BAD)
        marked = np.union1d(marked, nameless)  # some have bits that do not say so
    return KnownPixels(known, marked, marked[(known.reshape(-1)[marked] & NO_VALUE) > 0])
