"""Options that say what headers lack or tell wrongly, of all frames of a folder or by their names and numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.header_reading import Reading
    from services.ingest.observing_log import ObservingLog

ObjectOption = Annotated[
    str | None, typer.Option("--object", metavar="NAME", help="Target of all light frames, against headers.")
]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="NAME", help="Filter of all flats and light frames, against headers."),
]
InstrumentOption = Annotated[
    str | None, typer.Option("--instrument", metavar="NAME", help="Camera of all frames, against headers.")
]
PatternOption = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        metavar="REGEX",
        help="Names of files, with the groups obj, band and sn: goes before headers; repeatable, before the setting's.",
    ),
]
LogOption = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Observing log: first,last,name or kind,exposure,RA,Dec[,filter]."),
]

OnlyObject = Annotated[
    list[str] | None, typer.Option("--only-object", metavar="NAME", help="Reduce this target alone; repeatable.")
]
OnlyFilter = Annotated[
    list[str] | None, typer.Option("--only-filter", metavar="NAME", help="Reduce this filter alone; repeatable.")
]


def how_to_read(reading: "Reading", patterns: list[str] | None) -> "Reading":
    """The settings of reading, with the patterns of this call before theirs.

    Raises:
        ConfigurationError: a pattern is none.
    """
    from services.ingest.name_patterns import NamePatterns

    together = (*(patterns or ()), *reading.patterns)
    NamePatterns(together)
    return reading.model_copy(update={"patterns": together})


def log_of(path: Path | None) -> "ObservingLog | None":
    """The log, if there is one.

    Raises:
        ConfigurationError: it is none; the message names line and column.
    """
    from services.ingest.observing_log import read_log

    return None if path is None else read_log(path)
