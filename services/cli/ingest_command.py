"""`tianyu ingest`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import counting, friendly, note, out, start, table_of
from services.cli.given_names import (
    FilterOption,
    InstrumentOption,
    LogOption,
    ObjectOption,
    PatternOption,
    how_to_read,
    log_of,
)


@friendly
def ingest(
    raw_dir: Annotated[Path, typer.Argument(help="Folder of FITS frames; searched with its subfolders.")],
    object_name: ObjectOption = None,
    filter_name: FilterOption = None,
    instrument: InstrumentOption = None,
    pattern: PatternOption = None,
    observing_log: LogOption = None,
) -> None:
    """Register frames and group them into observations; frames registered before are left alone.

    A frame whose header has changed is read again. Names, patterns and a log that are given here hold for
    all of the folder, and only for this call: give them again when frames come.

    Examples: `tianyu ingest /data/2026-11-20`, `tianyu ingest /data/M67 --object M67 --filter V`,
    `tianyu ingest /data/2018-03-01 --log /data/2018-03-01/log.csv`
    """
    from schema import database
    from services.ingest.given import Given
    from services.ingest.raw_folder import read_folder
    from services.ingest.register import register
    from services.setup import open_database, require_site

    settings = start()
    given = Given(object_name, filter_name, instrument)
    reading, observations_told = how_to_read(settings.reading, pattern), log_of(observing_log)

    engine = open_database(settings)
    require_site(settings, engine)
    with counting("reading headers") as count:
        folder = read_folder(raw_dir, count, settings.frame_bounds, given, reading, observations_told)
    result = database.transact(
        database.session_factory(engine),
        lambda session: register(session, folder, site=settings.site, root=settings.root),
    )
    words, numbers = ("id", "kind", "target", "filter", "instrument"), ("exposure s", "night", "new", "rejected")
    table = table_of(*words, *numbers, right=numbers, wrapped=words)
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
        if item.corrected:
            note(f"observation {item.observation_id}: {item.corrected} frames read again: their headers have changed")
        if item.published and item.new + item.corrected > item.rejected:
            note(
                f"observation {item.observation_id} was published before these frames: "
                f"`tianyu publish {item.observation_id}` takes them in"
            )
    for file, reason in result.rejected:
        note(f"rejected {file!r}: {reason}")
