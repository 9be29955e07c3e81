"""Ids of traces and spans follow from PIDs: nothing is stored, and spans of other programs can be linked to."""

from hashlib import blake2b

SPAN_BYTES = 8
PUBLICATION = 0  # in the place of an attempt: the span of the graph's publication, which is above all others


def trace_id(graph_pid: int) -> int:
    """Of a graph: in hexadecimal its digits are those of the PID, behind zeros."""
    return int(str(graph_pid), 16)


def span_id(pid: int, attempt: int) -> int:
    """Of an attempt at a process; not 0, which would be no id."""
    return int.from_bytes(blake2b(f"{pid}:{attempt}".encode(), digest_size=SPAN_BYTES).digest(), "big") or 1
