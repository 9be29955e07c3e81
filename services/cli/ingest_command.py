"""`tianyu ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, counting, friendly, note, out, start
from services.cli.given_names import (
    FilterOption,
    InstrumentOption,
    LogOption,
    ObjectOption,
    PatternOption,
    how_to_read,
    log_of,
)
from services.cli.listing import Column, records, table_for_people

if TYPE_CHECKING:
    from services.ingest.register import IngestedObservation

COLUMNS: tuple[Column[IngestedObservation], ...] = (
    Column("observation_id", lambda one: one.observation_id, "id", wrapped=True),
    Column("kind", lambda one: one.key.kind, "kind", wrapped=True),
    Column("target", lambda one: one.key.target, "target", wrapped=True),
    Column("filter", lambda one: one.key.filter, "filter", wrapped=True),
    Column("instrument", lambda one: one.key.instrument, "instrument", wrapped=True),
    Column("exposure_s", lambda one: one.key.exposure, "exposure s", "g"),
    Column("night", lambda one: one.key.night, "night"),
    Column("new_frames", lambda one: one.new, "new", "d"),
    Column("rejected_frames", lambda one: one.rejected, "rejected", "d"),
    Column("corrected_frames", lambda one: one.corrected),
    Column("published_before", lambda one: one.published),
)


@friendly
def ingest(
    raw_dir: Annotated[Path, typer.Argument(help="Folder of FITS frames; searched with its subfolders.")],
    object_name: ObjectOption = None,
    filter_name: FilterOption = None,
    instrument: InstrumentOption = None,
    pattern: PatternOption = None,
    observing_log: LogOption = None,
    as_json: JsonOption = False,
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
    if as_json:
        rejected = [{"file": file, "reason": reason} for file, reason in result.rejected]
        observations = records(COLUMNS, result.observations)
        out.print_json(data={"observations": observations, "known_files": result.known, "rejected_files": rejected})
    else:
        out.print(table_for_people(COLUMNS, result.observations))
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
