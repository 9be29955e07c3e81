"""The compiled library: loaded when a kernel is first called, which takes a millisecond."""

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pipeline.kernels import compiling

SIZE, REAL, DOUBLE = ctypes.c_ssize_t, ctypes.c_float, ctypes.c_double  # ptrdiff_t, float, double of the sources


class MissingKernelsError(ImportError):
    """The kernels were not compiled, or others than these."""


def array(dtype: DTypeLike) -> Any:
    """The type of an argument that is a contiguous array of this dtype; others are refused when it is called."""
    return np.ctypeslib.ndpointer(dtype, flags="C_CONTIGUOUS")


def whole(bits: int) -> Any:
    """The type of an argument that is a whole number without sign: uint8_t, uint16_t of the sources."""
    return {8: ctypes.c_uint8, 16: ctypes.c_uint16}[bits]


def optional_array(dtype: DTypeLike) -> Any:
    """The same, of an argument that may be None: NULL in the source."""
    pointer = array(dtype)

    def from_param(_: type, argument: Any) -> Any:
        return None if argument is None else pointer.from_param(argument)

    return type("OptionalArray", (pointer,), {"from_param": classmethod(from_param)})


class Kernel:
    """A function of the library by its name and the types of its arguments; without result unless told."""

    def __init__(self, name: str, *arguments: Any, result: Any = None) -> None:
        self._name, self._arguments, self._result = name, arguments, result
        self._function: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Call it, without Python's lock.

        Raises:
            MissingKernelsError: it is not there.
            ctypes.ArgumentError: an array is not contiguous, or of another dtype.
        """
        if self._function is None:
            function = load()[self._name]
            function.argtypes, function.restype = self._arguments, self._result
            self._function = function
        return self._function(*arguments)


@cache
def load() -> ctypes.CDLL:
    """The library of these very sources.

    Raises:
        MissingKernelsError: it is not there, or cannot be loaded.
    """
    path = compiling.library()
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise MissingKernelsError(
            f"the compiled kernels {str(path)!r} cannot be loaded ({error}): in a checkout run `make env` or "
            "`python -m pipeline.kernels.compiling`, elsewhere install Tianyu again"
        ) from error
