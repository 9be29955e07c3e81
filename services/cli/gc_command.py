"""`tianyu gc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, friendly, note, out, show_error, start, table_of

if TYPE_CHECKING:
    from services.operating.housekeeping import Collection

MB = 1e6


@friendly
def gc(
    observation_id: Annotated[
        int | None, typer.Argument(metavar="OBSERVATION", help="One observation; else all.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    keep_calibrated: Annotated[
        bool | None, typer.Option("--keep-calibrated/--no-keep-calibrated", help="Default: as in the settings.")
    ] = None,
    keep_partial: Annotated[
        bool | None, typer.Option("--keep-partial/--no-keep-partial", help="Default: as in the settings.")
    ] = None,
    older_than: Annotated[float, typer.Option(min=0, metavar="DAYS", help="Only what was made longer ago.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Delete intermediate images that nothing needs any more. Safe while consumers run.

    Partial stacks, and all images of graphs that a later one has replaced; with --no-keep-calibrated also calibrated
    images. Never frames, masters or templates, and nothing that a process needs which may still run or be retried.

    Examples: `tianyu gc --dry-run`, `tianyu gc 4 --no-keep-calibrated`, `tianyu gc --older-than 30`
    """
    from services.operating.housekeeping import collect, policy_of
    from services.setup import open_database

    given = {"keep_calibrated": keep_calibrated, "keep_partial": keep_partial}
    settings = start(**{name: value for name, value in given.items() if value is not None})

    collection = collect(
        open_database(settings), settings, policy_of(settings, older_than), observation_id, dry_run=dry_run
    )
    if as_json:
        _print_json(collection, dry_run)
    else:
        _print(collection, dry_run)
    for line in collection.notes:
        note(line)
    for line in collection.failures:
        show_error(line)
    if collection.failures:
        raise typer.Exit(1)


def _print_json(collection: Collection, dry_run: bool) -> None:
    out.print_json(
        data={
            "dry_run": dry_run,
            "removed": [vars(removed) for removed in collection.removed],
            "failures": collection.failures,
            "notes": collection.notes,
        }
    )


def _print(collection: Collection, dry_run: bool) -> None:
    table = table_of("observation", "kind", "why", "files", "MB", right=("files", "MB"))
    for removed in collection.removed:
        table.add_row(
            str(removed.observation_id or ""),
            removed.kind,
            removed.what,
            str(removed.files),
            f"{removed.size_bytes / MB:.1f}",
        )
    if collection.removed:
        out.print(table)
    files = sum(removed.files for removed in collection.removed)
    size = sum(removed.size_bytes for removed in collection.removed)
    out.print(f"{files} files, {size / MB:.1f} MB {'would be' if dry_run else 'were'} deleted", soft_wrap=True)
