"""Images of which a few rows are looked at at a time, so that large ones need not be in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Rows(Protocol):
    """An image real[ny, nx]; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(ny, nx)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its pixels."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Rows that follow one another, real[n, nx]."""


@dataclass(frozen=True)
class ReadRows:
    """An image of which rows are read when they are looked at.

    Attributes:
        shape: (ny, nx).
        dtype: of the rows that are given, whatever the order of bytes in which they are read.
        read: gives rows real[n, nx].
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[slice], NDArray[Any]]

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        return self.read(rows).astype(self.dtype, copy=False)
