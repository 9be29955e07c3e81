"""A table that goes to the database with the question, as one bound value of JSON.

So the service needs no right to make tables, not even temporary ones.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import CTE, BindParameter, bindparam, column, text

from pipeline.sky.healpix import FEW_RANGES, few_ranges_of_cones
from services.vo.fields import Field, Kind
from services.vo.published.published_table import ROW
from services.vo.vo_errors import RefusedError

WIDENED = 1.000001  # radii: the database rounds distances otherwise
_SERVER_TYPES = {
    Kind.SHORT: "INT",
    Kind.INT: "INT",
    Kind.LONG: "BIGINT",
    Kind.FLOAT: "DOUBLE",
    Kind.DOUBLE: "DOUBLE",
    Kind.CHAR: "TEXT",
    Kind.TEXT: "TEXT",
}
Zone = tuple[str, str, float | str]


class SentTable:
    """Values by column; ``name`` is that of the table in SQL, and of its value."""

    def __init__(self, name: str, fields: tuple[Field, ...], values: list[list[Any]], *, is_sqlite: bool) -> None:
        self._name, self._fields, self._values, self._is_sqlite = name, fields, values, is_sqlite
        self._zones: dict[Zone, list[list[int | None]]] = {}
        self._made: CTE | None = None

    def zones(self, ra: str, dec: str, radius: float | str) -> Sequence[tuple[str, str]]:
        """Names of columns of ranges of cells, see ``ZonesOf``; they are among the columns of the next ``rows``.

        Raises:
            RefusedError: a declination is beyond a pole.
        """
        zone = ra, dec, radius
        if zone not in self._zones:
            self._zones[zone], self._made = self._ranges_of(zone), None
        number = list(self._zones).index(zone)
        return [(f"z{number}_{one}", f"z{number}_{one + 1}") for one in range(0, 2 * FEW_RANGES, 2)]

    def _ranges_of(self, zone: Zone) -> list[list[int | None]]:
        """Values of the columns of a zone; NULL in rows without a place."""
        ra, dec = self._column(zone[0]), self._column(zone[1])
        radius = self._column(zone[2]) if isinstance(zone[2], str) else np.full(ra.size, zone[2])
        there = np.isfinite(ra) & np.isfinite(dec) & np.isfinite(radius)
        beyond = np.flatnonzero(there & (np.abs(dec) > 90.0))
        if beyond.size:
            raise RefusedError(
                f"row {beyond[0] + 1} of an uploaded table has declination {dec[beyond[0]]:g}, which is beyond a pole: "
                "expected -90 to 90 degrees, or none"
            )
        places = np.column_stack([ra, dec])[there]
        found = few_ranges_of_cones(places, np.clip(radius[there] * WIDENED, 0.0, 180.0))
        rows: NDArray[Any] = np.full((ra.size, 2 * FEW_RANGES), None)
        rows[there] = found.reshape(-1, 2 * FEW_RANGES)
        return [list(one) for one in rows.T.tolist()]

    def _column(self, name: str) -> NDArray[np.float64]:
        [values] = [one for field, one in zip(self._fields, self._values, strict=True) if field.name == name]
        return np.array(values, dtype=np.float64)

    def rows(self) -> CTE:
        """The table in SQL: its columns, and behind them those of zones. Names and types in this text are ours."""
        if self._made is None:
            self._made = self._clause()
        return self._made

    def _clause(self) -> CTE:
        own = [
            (f"k{n}", one.kind, values) for n, (one, values) in enumerate(zip(self._fields, self._values, strict=True))
        ]
        ranges = [
            (f"z{number}_{n}", Kind.LONG, values)
            for number, columns in enumerate(self._zones.values())
            for n, values in enumerate(columns)
        ]
        number = [(ROW, Kind.LONG, list(range(len(self._values[0]))))] if ranges else []
        every = [*own, *ranges, *number]
        if self._is_sqlite:
            cells = ", ".join(f"json_extract(value, '$[{n}]') AS {name}" for n, (name, _, _) in enumerate(every))
            words = f"SELECT {cells} FROM json_each(:{self._name})"  # noqa: S608
        else:
            cells = ", ".join(f"{name} {_SERVER_TYPES[kind]} PATH '$[{n}]'" for n, (name, kind, _) in enumerate(every))
            words = f"SELECT j.* FROM JSON_TABLE(:{self._name}, '$[*]' COLUMNS ({cells})) AS j"  # noqa: S608
        rows = list(zip(*(values for _, _, values in every), strict=True))
        sent: BindParameter[str] = bindparam(self._name, json.dumps(rows, allow_nan=False))
        columns = [column(name, kind.sql_type) for name, kind, _ in every]
        made = text(words).bindparams(sent).columns(*columns).cte(self._name)
        return made.prefix_with("MATERIALIZED", dialect="sqlite")
