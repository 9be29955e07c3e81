"""How large the template of a graph is, and where a place lies across it."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from schema.image import TEMPLATE
from schema.queries import images
from services.errors import DataError

Floats = NDArray[np.float64]


def template_shape(session: Session, graph_pid: int) -> tuple[int, int]:
    """(ny, nx), pixels.

    Raises:
        DataError: there is no template, or nobody knows its size.
    """
    template = next(iter(images.of_graph(session, graph_pid, TEMPLATE)), None)
    if template is None or not template.nx or not template.ny:
        raise DataError(f"graph {graph_pid} has no template of a known size, of which sources were measured")
    return template.ny, template.nx


def across(shape: tuple[int, int], xy: Floats) -> tuple[Floats, Floats]:
    """Template pixels float64[n, 2] as u and v, -1 to 1 across the template's longer side."""
    ny, nx = shape
    half = 0.5 * max(shape)
    return (xy[:, 0] - 0.5 * (nx - 1)) / half, (xy[:, 1] - 0.5 * (ny - 1)) / half
