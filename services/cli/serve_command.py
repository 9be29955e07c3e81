"""`tianyu serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import friendly, note, start
from services.deployment import LOOPBACK, PORT_MOST
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.settings import Settings

PORT = 8421


@friendly
def serve(
    workdir: Annotated[
        Path | None, typer.Argument(help="Of `tianyu run` or `watch`; without, database and root of the settings.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a token.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=PORT_MOST, help="Port; 0: any that is free.")] = PORT,
    proxy: Annotated[
        str | None,
        typer.Option("--behind-proxy", metavar="NAME", help="Host name of a reverse proxy that asks who people are."),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Take verdicts on candidates; with a server, by review_database_url.")
    ] = False,
) -> None:
    """Show nights, fields, light curves and candidates to a browser; it only reads.

    Where TIANYU_SERVE_TOKEN (or TIANYU_SERVE_TOKEN_FILE) is set, browsers ask for it as a password, of any user.

    Examples: `tianyu serve ~/reduced`, `tianyu serve --port 9000`, `tianyu serve --host 0.0.0.0`,
    `tianyu serve --behind-proxy tianyu.example.org`
    """
    settings = start() if workdir is None else _of_folder(workdir)
    from services.web.listening import listen, rules_for  # with Matplotlib, which takes 0.3 s
    from services.web.served import Served

    token = settings.serve_token
    rules = rules_for(host, None if token is None else token.get_secret_value(), proxy)
    served = Served.open(_with_review(settings) if review else settings)
    try:
        listen(served, host, port, rules, told=lambda address: note(f"open {address} in a browser; Ctrl-C ends"))
    finally:
        served.close()


def _with_review(settings: Settings) -> Settings:
    """Settings by which verdicts are written: with SQLite into the file itself.

    Raises:
        ConfigurationError: the database is a server's, and nothing says by which login.
    """
    if settings.review_database_url is not None:
        return settings
    if not settings.database_url.get_secret_value().startswith("sqlite"):
        raise ConfigurationError(
            "--review writes by a login of its own: set TIANYU_REVIEW_DATABASE_URL, such as "
            "mysql+pymysql://tianyu_reviewer@HOST/tianyu with TIANYU_REVIEW_DATABASE_PASSWORD_FILE"
        )
    return settings.model_copy(update={"review_database_url": settings.database_url})


def _of_folder(workdir: Path) -> Settings:
    """Settings of a folder of `tianyu run`, of which nothing is made.

    Raises:
        ConfigurationError: it has no database.
    """
    from services import log
    from services.engine.embedded import DATABASE_FILE, embedded_settings

    if not (workdir / DATABASE_FILE).is_file():
        raise ConfigurationError(
            f"folder {str(workdir)!r} has no {DATABASE_FILE}: expected a working folder of `tianyu run`; without a "
            "folder the settings' database is shown"
        )
    settings = embedded_settings(workdir)
    log.configure(settings.log_format, settings.log_level)
    return settings.model_copy(update={"review_database_url": None})  # verdicts go into the folder's own database
