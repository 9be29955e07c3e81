"""Chunks of answers as rows of Python's values."""

from typing import Any

from services.vo.answer_columns import AnswerColumn, Chunk


def rows_of(chunk: Chunk) -> list[tuple[Any, ...]]:
    """Rows, None where there is nothing."""
    return list(zip(*map(_values, chunk.columns), strict=True))


def _values(column: AnswerColumn) -> list[Any]:
    listed: list[Any] = column.values if isinstance(column.values, list) else column.values.tolist()
    gone = [False] * len(listed) if column.missing is None else column.missing.tolist()
    return [None if is_gone else one for one, is_gone in zip(listed, gone, strict=True)]
