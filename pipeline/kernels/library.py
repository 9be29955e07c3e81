"""The compiled library: loaded when a kernel is first called, which takes a millisecond."""

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pipeline.kernels import compiling

# ptrdiff_t, float, double and int of the sources
SIZE, REAL, DOUBLE, FLAG = ctypes.c_ssize_t, ctypes.c_float, ctypes.c_double, ctypes.c_int


_BUFFER = ctypes.c_char * 0  # the place of an array's memory: asking the array for it takes four times as long


class MissingKernelsError(ImportError):
    """The kernels were not compiled, or others than these."""


def array(dtype: DTypeLike, *, optional: bool = False) -> Any:
    """The type of an argument that is a contiguous array of this dtype; others are refused when it is called.

    `numpy.ctypeslib.ndpointer` takes four times as long, which is more than a kernel needs for a few rows.
    """
    wanted = np.dtype(dtype)

    def from_param(_: type, argument: Any) -> Any:
        if argument is None and optional:
            return None
        if not isinstance(argument, np.ndarray) or argument.dtype != wanted or not argument.flags.c_contiguous:
            kind = f"{argument.dtype}{list(argument.shape)}" if isinstance(argument, np.ndarray) else type(argument)
            raise TypeError(f"expected a contiguous array of {wanted}, not {kind}")
        return _BUFFER.from_buffer(argument.data) if argument.flags.writeable else ctypes.c_void_p(argument.ctypes.data)

    return type("Array", (), {"from_param": classmethod(from_param)})


def whole(bits: int) -> Any:
    """The type of an argument that is a whole number without sign: uint8_t, uint16_t of the sources."""
    return {8: ctypes.c_uint8, 16: ctypes.c_uint16}[bits]


def optional_array(dtype: DTypeLike) -> Any:
    """The same, of an argument that may be None: NULL in the source."""
    return array(dtype, optional=True)


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
