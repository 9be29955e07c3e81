"""Python's search for cycles of objects, which goes through all that there are again and again while a graph grows."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    """Search for none inside: processes of a graph make no cycles and live to its end. It took a fifth of the CPU."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
