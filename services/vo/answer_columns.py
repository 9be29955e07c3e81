"""Some rows of an answer, by columns of one kind each, from whichever database: arrays, which cost little a cell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schema.binary_parts import Column
from services.vo.fields import Field, Kind
from services.vo.vo_errors import RefusedError

_BITS = {Kind.SHORT: 16, Kind.INT: 32, Kind.LONG: 64}
_RANGES = {kind: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for kind, bits in _BITS.items()}


@dataclass(frozen=True)
class AnswerColumn:
    """Numbers, int64[rows] or float64[rows], or texts.

    Attributes:
        missing: bool[rows]: which are NULL; numbers are 0 and texts empty there. None: none is.
    """

    values: NDArray[Any] | list[str]
    missing: NDArray[np.bool_] | None

    def head(self, rows: int) -> "AnswerColumn":
        """The first ones."""
        return AnswerColumn(self.values[:rows], None if self.missing is None else self.missing[:rows])


@dataclass(frozen=True)
class Chunk:
    """Some rows."""

    columns: tuple[AnswerColumn, ...]

    def __len__(self) -> int:
        """How many."""
        return len(self.columns[0].values)

    def head(self, rows: int) -> "Chunk":
        """The first ones."""
        return self if rows >= len(self) else Chunk(tuple(one.head(rows) for one in self.columns))

    @classmethod
    def of_rows(cls, fields: Sequence[Field], rows: Sequence[Sequence[Any]]) -> "Chunk":
        """Of rows of Python's values."""
        columns = zip(*rows, strict=True) if rows else [()] * len(fields)
        return cls.of_columns(fields, (Column(list(one), None) for one in columns))

    @classmethod
    def of_columns(cls, fields: Sequence[Field], columns: Iterable[Column]) -> "Chunk":
        """Of columns as a server's driver gives them.

        Raises:
            RefusedError: a number has no room in its column's kind.
        """
        return cls(tuple(_typed(*one) for one in zip(fields, columns, strict=True)))


def _typed(field: Field, column: Column) -> AnswerColumn:
    values, missing = column
    if not field.kind.is_number:
        return _texts(values if isinstance(values, list) else _listed(values, missing))
    dtype = np.float64 if field.kind.is_real else np.int64
    if isinstance(values, list):
        missing = np.array([one is None for one in values]) if None in values else None
        try:
            numbers = np.fromiter(
                values if missing is None else [0 if one is None else one for one in values], dtype, len(values)
            )
        except OverflowError as error:
            raise _too_large(field) from error
    else:
        numbers = values
    if numbers.size and field.kind.is_whole:
        least, most = _RANGES[field.kind]
        if numbers.min() < least or numbers.max() > most:
            raise _too_large(field)
    return AnswerColumn(numbers.astype(dtype, copy=False), missing)


def _texts(values: list[Any]) -> AnswerColumn:
    missing = np.array([one is None for one in values], dtype=bool)
    known = {one: as_text(one) for one in set(values)}  # few: a night, a method
    return AnswerColumn([known[one] for one in values], missing if missing.any() else None)


def _listed(numbers: NDArray[Any], missing: NDArray[np.bool_] | None) -> list[Any]:
    if missing is None:
        return list(numbers.tolist())
    return [None if gone else one for one, gone in zip(numbers.tolist(), missing.tolist(), strict=True)]


def as_text(value: Any) -> str:
    """A text or date of the database; empty for NULL."""
    return "" if value is None else value.isoformat() if isinstance(value, date) else str(value)


def _too_large(field: Field) -> RefusedError:
    return RefusedError(f"a number of column {field.name!r} is too large for its type")
