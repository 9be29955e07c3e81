"""`tianyu doctor`."""

import typer
from rich.table import Table
from rich.text import Text

from services.cli.console import friendly, out, start
from services.errors import ConfigurationError


@friendly
def doctor() -> None:
    """Look at settings, database, broker and disk, and say what is wrong and what to do.

    Each queue of this site is sent a message that means nothing, to see whether the broker takes it.

    Exit code 0 only when everything is as it should be.

    Example: `tianyu doctor`
    """
    from services.operating.doctor import Finding, examine

    try:
        findings = examine(start())
    except ConfigurationError as error:
        findings = [Finding("settings", str(error), "correct tianyu.toml and the environment, then look again")]
    table = Table("", "subject", "found", "what to do")
    for finding in findings:
        mark = Text("ok", "green") if finding.ok else Text("wrong", "bold red")
        table.add_row(mark, finding.subject, finding.found, finding.remedy)
    out.print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
