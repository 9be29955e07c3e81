"""Numbers in the other order of bytes, as FITS files have them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array, whole

_KINDS = {2: np.uint16, 4: np.uint32, 8: np.uint64}  # by bytes of a number
_SWAP_2 = Kernel("swap_2", array(np.uint16), SIZE, whole(16), array(np.uint16))
_SWAP = {size: Kernel(f"swap_{size}", array(_KINDS[size]), SIZE, array(_KINDS[size])) for size in (4, 8)}


def swap_into(numbers: NDArray[Any], out: NDArray[Any], turned: int = 0) -> None:
    """The bytes of each number in the other order: what is big-endian becomes native, and the other way round.

    numbers: any[n] of 2, 4 or 8 bytes, contiguous; out: any[n] of as many bytes, contiguous, another array; turned:
    bits of numbers of 2 bytes that are turned besides, 0x8000 for unsigned ones that FITS stores less 32768.
    """
    size, same = numbers.dtype.itemsize, (_KINDS[numbers.dtype.itemsize], out.size == numbers.size)
    if not same[1] or out.dtype.itemsize != size or (turned and size != 2):
        raise ValueError(f"{numbers.size} {numbers.dtype} cannot become {out.size} {out.dtype} by turning {turned:#x}")
    values, swapped = numbers.reshape(-1).view(same[0]), out.reshape(-1).view(same[0])
    if size == 2:
        _SWAP_2(values, values.size, turned, swapped)
    else:
        _SWAP[size](values, values.size, swapped)


def swap_into_reference(numbers: NDArray[Any], out: NDArray[Any], turned: int = 0) -> None:
    """`swap_into` by NumPy."""
    kind = _KINDS[numbers.dtype.itemsize]
    out.reshape(-1).view(kind)[:] = numbers.reshape(-1).view(kind).byteswap() ^ kind(turned)
