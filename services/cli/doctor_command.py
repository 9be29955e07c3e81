"""`tianyu doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.text import Text

from services.cli.console import JsonOption, friendly, out, start
from services.cli.listing import Column, records, table_for_people
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.operating.finding import Finding

COLUMNS: tuple[Column[Finding], ...] = (
    Column("ok", lambda one: one.ok, "", lambda ok: Text("ok", "green") if ok else Text("wrong", "bold red")),
    Column("subject", lambda one: one.subject, "subject", wrapped=True),
    Column("found", lambda one: one.found, "found", wrapped=True),
    Column("remedy", lambda one: one.remedy or None, "what to do", wrapped=True),
)


@friendly
def doctor(as_json: JsonOption = False) -> None:
    """Look at settings, database, broker and disk, and say what is wrong and what to do.

    Each queue of this site is sent a message that means nothing, to see whether the broker takes it.

    Exit code 0 only when everything is as it should be.

    Examples: `tianyu doctor`, `tianyu doctor --json`
    """
    from services.operating.doctor import examine
    from services.operating.finding import Finding

    try:
        findings = examine(start())
    except ConfigurationError as error:
        findings = [Finding("settings", str(error), "correct tianyu.toml and the environment, then look again")]
    if as_json:
        out.print_json(data=records(COLUMNS, findings))
    else:
        out.print(table_for_people(COLUMNS, findings))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
