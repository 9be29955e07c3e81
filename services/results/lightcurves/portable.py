"""What files of all kinds say of themselves, and text as narrow formats can hold it."""

import importlib.metadata
from typing import Any

from services.results.view_columns import FORCED_LIGHT_CURVE, LIGHT_CURVE, Column

ORIGIN = "Tianyu"
# Clock, and where it is counted, of columns of a system of time (FITS: Rots et al. 2015; VOTable 1.4, TIMESYS).
TIME_SYSTEMS = {"tdb": ("TDB", "BARYCENTER"), "utc": ("UTC", "TOPOCENTER")}
FILTER = Column("filter", "str", None, "filter of the observation", "meta.id;instr.filter")
_MEANINGS = {column.name: column for column in (*FORCED_LIGHT_CURVE, *LIGHT_CURVE, FILTER)}


def creator() -> str:
    """The program and its version."""
    return f"Tianyu {importlib.metadata.version('tianyu')}"


def meaning_of(name: str) -> Column | None:
    """What a column of a light curve means; None of one that no view has."""
    return _MEANINGS.get(name)


def ascii_text(value: Any) -> Any:
    """Text as FITS and old readers can hold it: printable ASCII, the rest as backslash escapes; else the value."""
    if not isinstance(value, str):
        return value
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in value)
