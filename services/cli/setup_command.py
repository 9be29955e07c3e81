"""`tianyu init`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import friendly, out, start


@friendly
def init(
    roles: Annotated[
        bool, typer.Option("--roles", help="Also make the database's roles, or give them the rights of this version.")
    ] = False,
    passwords: Annotated[
        Path | None,
        typer.Option(help="With --roles: a folder of files named as roles, each with the password of a login."),
    ] = None,
    print_sql: Annotated[
        bool, typer.Option("--print", help="With --roles: change nothing, and write the SQL for an administrator.")
    ] = False,
) -> None:
    """Make or upgrade the schema, and register site and groups. Safe to repeat.

    Example: `TIANYU_DATABASE_URL=mysql+pymysql://tianyu:…@db/tianyu tianyu init`
    """
    from services import database_roles
    from services.errors import ConfigurationError
    from services.setup import initialise, open_engine

    settings = start()
    if not roles and (print_sql or passwords is not None):
        raise ConfigurationError("--print and --passwords say something of roles: add --roles")
    engine = open_engine(settings)
    if print_sql:
        for line in database_roles.write_down(engine):
            out.print(line, markup=False, soft_wrap=True)
        return
    done = initialise(settings, engine)
    if roles:
        done += database_roles.make(engine, passwords)
    for line in done:
        out.print(line, markup=False)
