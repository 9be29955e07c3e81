"""`tianyu ingest`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from schema import database
from services.cli.console import counting, friendly, note, out, start
from services.ingest.register import read_folder, register
from services.setup import open_database, require_site


@friendly
def ingest(
    raw_dir: Annotated[Path, typer.Argument(help="Folder of FITS frames; searched with its subfolders.")],
) -> None:
    """Register frames and group them into observations; frames registered before are left alone.

    Example: `tianyu ingest /data/2026-11-20`
    """
    settings = start()

    engine = open_database(settings)
    require_site(settings, engine)
    with counting("reading headers") as count:
        folder = read_folder(raw_dir, count)
    result = database.transact(
        database.session_factory(engine),
        lambda session: register(session, folder, site=settings.site, root=settings.root),
    )
    table = Table("id", "kind", "target", "filter", "instrument", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("exposure s", "night", "new", "rejected"):
        table.add_column(heading, justify="right")
    for item in result.observations:
        key = item.key
        cells = (item.observation_id, key.kind, key.target or "", key.filter or "", key.instrument, key.exposure or "")
        table.add_row(*map(str, (*cells, key.night, item.new, item.rejected)))
    out.print(table)
    if result.known:
        note(f"{result.known} files were registered before")
    for line in result.notes:
        note(line)
    for item in result.observations:
        if item.published and item.new > item.rejected:
            note(
                f"observation {item.observation_id} was published before these frames: "
                f"`tianyu publish {item.observation_id}` takes them in"
            )
    for file, reason in result.rejected:
        note(f"rejected {file!r}: {reason}")
