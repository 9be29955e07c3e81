"""Points of view `light_curve`, of many stars at once, into arrays.

The client (`client/tianyu`) has this file too: it knows no other of this package but its neighbours.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, Double, Integer, MetaData, Table, select

from .bulk_values import bulk_values

WHOLE = ("observation_id", "source_id", "image_id", "aperture", "flag")  # never NULL, as is `usable`
TRUTHS = ("is_reference", "image_good", "aperture_best", "usable")
REALS = (
    *("jd_utc", "bjd_tdb", "flux_raw", "flux_raw_error", "flux_relative", "flux_relative_error", "reference_group"),
    *("flux_detrended", "flux_detrended_error", "mag", "mag_error", "bjd_tdb_source"),
)
NUMBERS = (*WHOLE, *TRUTHS, *REALS)  # all but `method`, a text, which a calibration has one of
VIEW = Table(
    "light_curve",
    MetaData(),
    *(Column(name, Integer, nullable=False) for name in (*WHOLE, "usable")),
    *(Column(name, Integer) for name in TRUTHS if name != "usable"),
    *(Column(name, Double) for name in REALS),
)
SOURCES_AT_FIRST, SOURCES_MOST = 20, 800  # named in a statement
OBSERVATIONS_MOST = 100  # named in a statement; of more, rows of others are dropped here
ROWS_AT_A_TIME = 100_000  # about: 20 MB

Points = Mapping[str, NDArray[Any]]  # columns of one length; NULL is NaN, and False where it is no number
ApertureChoice = int | Literal["best", "all"]


def points(
    connection: Connection,
    sources: Sequence[int],
    observations: Sequence[int] | None = None,
    *,
    aperture: ApertureChoice = "all",
    usable_only: bool = False,
) -> Iterator[tuple[Sequence[int], Points]]:
    """Points of some stars at a time, in the order of ``sources``: their ids, and all their points in any order.

    Args:
        connection: to the database.
        sources: ids, each once.
        observations: ids; None: all.
        aperture: ``best`` (as `analyze` found it; there are no points where it has not run), ``all``, or an index.
        usable_only: those alone that may be used.
    """
    conditions = []
    if aperture != "all":
        conditions = [VIEW.c.aperture_best == 1 if aperture == "best" else VIEW.c.aperture == int(aperture)]
    if usable_only:
        conditions.append(VIEW.c.usable == 1)
    wanted = None if observations is None else np.unique(np.array(observations, dtype=np.int64))
    if wanted is not None and wanted.size <= OBSERVATIONS_MOST:
        conditions.append(VIEW.c.observation_id.in_(wanted.tolist()))
        wanted = None
    query = select(*(VIEW.c[name] for name in NUMBERS)).where(*conditions)
    start, step = 0, SOURCES_AT_FIRST
    while start < len(sources):
        few = [int(one) for one in sources[start : start + step]]
        found = columns_of(bulk_values(connection, query.where(VIEW.c.source_id.in_(few))))
        rows = found["source_id"].size
        if wanted is not None:
            kept = np.isin(found["observation_id"], wanted)
            found = {name: values[kept] for name, values in found.items()}
        yield few, found
        start += len(few)
        step = max(1, min(SOURCES_MOST, len(few) * ROWS_AT_A_TIME // max(1, rows)))


def together(parts: Sequence[Points]) -> Points:
    """The points of several parts as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in NUMBERS} if parts else columns_of(_NOTHING)


def columns_of(values: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Points of ``float64[n, len(NUMBERS)]``."""
    columns: dict[str, NDArray[Any]] = {}
    for name, column in zip(NUMBERS, values.T, strict=True):
        if name in WHOLE:
            columns[name] = column.astype(np.int64)
        else:
            # An image that nobody judged is not good; a source without a part in the calibration is no reference.
            columns[name] = np.nan_to_num(column) != 0 if name in TRUTHS else np.ascontiguousarray(column)
    return columns


_NOTHING = np.empty((0, len(NUMBERS)))
