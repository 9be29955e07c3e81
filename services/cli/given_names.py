"""Options that name all frames of a folder."""

from typing import Annotated

import typer

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
