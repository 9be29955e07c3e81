"""`tianyu gc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, friendly, note, out, show_error, start
from services.cli.listing import Column, records, table_for_people
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.operating.housekeeping import Collection, Pruned, Removed
    from services.operating.housekeeping.retention import Gone
    from services.settings import Settings

MB = 1e6

IMAGES: tuple[Column[Removed], ...] = (
    Column("observation_id", lambda one: one.observation_id, "observation"),
    Column("kind", lambda one: one.kind, "kind"),
    Column("what", lambda one: one.what, "why"),
    Column("files", lambda one: one.files, "files", "d"),
    Column("size_bytes", lambda one: one.size_bytes, "MB", ".1f", scale=MB),
)
ROWS: tuple[Column[Pruned], ...] = (
    Column("observation_id", lambda one: one.observation_id, "observation"),
    Column("graph_pid", lambda one: one.graph_pid, "graph"),
    Column("what", lambda one: one.what, "what"),
    Column("processes", lambda one: one.processes, "processes", lambda number: str(number or "interrupted")),
    Column("rows", lambda one: one.rows, "rows, at most", "d"),
)
POLICY: tuple[Column[Gone], ...] = (
    Column("rule", lambda one: one.rule, "rule"),
    Column("observation_id", lambda one: one.observation_id, "observation"),
    Column("what", lambda one: one.what, "what"),
    Column("files", lambda one: one.files, "files", "d"),
    Column("size_bytes", lambda one: one.size_bytes, "MB", ".1f", scale=MB),
    Column("rows", lambda one: one.rows, "rows", "d"),
)


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
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Only what was made longer ago; of rows the default is the setting."),
    ] = None,
    rows: Annotated[
        bool, typer.Option("--rows", help="Replaced rows instead of images; only said without --yes.")
    ] = False,
    keep_graphs: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="With --rows: replaced graphs to keep; default: the setting.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --rows: delete them.")] = False,
    by_policy: Annotated[
        bool, typer.Option("--policy", help="What the settings' table [retention] lets go, and nothing else.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete intermediate images, or rows, that nothing needs any more. Safe while consumers run.

    Partial stacks, and all images of graphs that a later one has replaced; with --no-keep-calibrated also calibrated
    images. Never frames, masters or templates, and nothing that a process needs which may still run or be retried.

    With --rows: fluxes, light curves and what was made of them, of graphs and calibrations that later ones have
    replaced, with their processes. What the views show stays as it is.

    With --policy: images of this site, rows and attempts that are older than the days of `[retention]`, which the
    active manager removes by itself where it can.

    Examples: `tianyu gc --dry-run`, `tianyu gc 4 --no-keep-calibrated`, `tianyu gc --older-than 30`,
    `tianyu gc --rows --keep-graphs 0 --yes`, `tianyu gc --policy --dry-run`
    """
    from services.operating.housekeeping import collect, policy_of
    from services.setup import open_database

    given: dict[str, bool | float | None] = {
        "keep_calibrated": keep_calibrated,
        "keep_partial": keep_partial,
        "keep_graphs": keep_graphs,
    }
    if by_policy:
        if (
            rows
            or yes
            or observation_id is not None
            or older_than is not None
            or any(x is not None for x in given.values())
        ):
            raise ConfigurationError(
                "--policy goes by the settings alone: give it with --dry-run and --json, no others"
            )
        _carry_out_policy(start(), dry_run, as_json)
        return
    if rows:
        given["keep_rows_days"] = older_than
    settings = start(**{name: value for name, value in given.items() if value is not None})
    if rows:
        _prune(settings, observation_id, dry_run or not yes, as_json)
        return
    collection = collect(
        open_database(settings), settings, policy_of(settings, older_than or 0.0), observation_id, dry_run=dry_run
    )
    if as_json:
        _print_json(collection, dry_run)
    else:
        _print(collection, dry_run)
    _tell(collection.notes, collection.failures)


def _carry_out_policy(settings: Settings, dry_run: bool, as_json: bool) -> None:
    from services.operating.housekeeping.retention import carry_out, require_retention
    from services.setup import open_database

    require_retention(settings)
    outcome = carry_out(open_database(settings), settings, dry_run=dry_run)
    if as_json:
        told = {"gone": records(POLICY, outcome.gone), "failures": outcome.failures, "notes": outcome.notes}
        out.print_json(data={"dry_run": dry_run} | told)
    else:
        if outcome.gone:
            out.print(table_for_people(POLICY, outcome.gone))
        files, size = (sum(getattr(one, name) for one in outcome.gone) for name in ("files", "size_bytes"))
        number = sum(one.rows for one in outcome.gone)
        words = "would be" if dry_run else "were"
        out.print(f"{files} files, {size / MB:.1f} MB, and {number} rows {words} deleted", soft_wrap=True)
    _tell(outcome.notes, outcome.failures)


def _tell(notes: Sequence[str], failures: Sequence[str]) -> None:
    for line in notes:
        note(line)
    for line in failures:
        show_error(line)
    if failures:
        raise typer.Exit(1)


def _prune(settings: Settings, observation_id: int | None, dry_run: bool, as_json: bool) -> None:
    from services.operating.housekeeping import prune
    from services.operating.housekeeping.prune import Policy
    from services.setup import open_database

    deleted = 0

    def count(number: int) -> None:
        nonlocal deleted
        deleted += number

    policy = Policy(settings.keep_graphs, settings.keep_rows_days)
    pruned = prune(open_database(settings), policy, observation_id, dry_run=dry_run, on_rows=count)
    if as_json:
        out.print_json(data={"dry_run": dry_run, "pruned": records(ROWS, pruned), "rows": deleted})
        return
    if pruned:
        out.print(table_for_people(ROWS, pruned))
    if dry_run:
        out.print(
            f"{sum(one.rows for one in pruned)} rows at most would be deleted; --yes deletes them", soft_wrap=True
        )
    else:
        out.print(f"{deleted} rows were deleted", soft_wrap=True)


def _print_json(collection: Collection, dry_run: bool) -> None:
    out.print_json(
        data={
            "dry_run": dry_run,
            "removed": records(IMAGES, collection.removed),
            "failures": collection.failures,
            "notes": collection.notes,
        }
    )


def _print(collection: Collection, dry_run: bool) -> None:
    if collection.removed:
        out.print(table_for_people(IMAGES, collection.removed))
    files = sum(removed.files for removed in collection.removed)
    size = sum(removed.size_bytes for removed in collection.removed)
    out.print(f"{files} files, {size / MB:.1f} MB {'would be' if dry_run else 'were'} deleted", soft_wrap=True)
