"""`tianyu db`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.console import JsonOption, friendly, note, out, start

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from schema.queries.services import AliveService
    from schema.versions import Plan

ADDS, CHANGES = "adds", "changes"

db = typer.Typer(
    name="db",
    help="The database's schema: what an upgrade would do, and the upgrade.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@db.command("status")
@friendly
def show_status(as_json: JsonOption = False) -> None:
    """Which schema the database has, which one this Tianyu needs, and which programs are alive.

    Exit code 0 if this Tianyu can use the database as it is.

    Examples: `tianyu db status`, `tianyu db status --json`
    """
    from schema import revisions

    engine = _engine()
    refused, plan, alive = _look(engine)
    if as_json:
        out.print_json(
            data={
                "usable": refused is None,
                "refusal": refused,
                "found": plan.found,
                "needed": revisions.NEWEST,
                "is_cut": plan.is_cut,
                "migrations": [_json(step) for step in plan.steps],
                "services": [_json(one) for one in alive],
            }
        )
    else:
        _print(engine, plan, alive)
    if refused is not None:
        if not as_json:
            note(refused)
        raise typer.Exit(1)


@db.command("upgrade")
@friendly
def upgrade_database(
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and do nothing.")] = False,
    ended: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A manager or consumer that has ended, though the database still waits to hear from it.",
        ),
    ] = None,
) -> None:
    """Upgrade the schema of a database that is there to the one that this Tianyu needs. Safe to repeat.

    Migrations that only add are made beside running programs, which go on. Others change what these use: while a
    manager or consumer is alive such an upgrade is refused, and nothing is changed. One that was cut is continued.

    Examples: `tianyu db upgrade --plan`, `tianyu db upgrade`
    """
    from services import setup
    from services.errors import ConfigurationError

    engine = _engine()
    _, wanted, alive = _look(engine)
    if wanted.found is None:
        name = engine.url.render_as_string(hide_password=True)
        raise ConfigurationError(f"database {name} has no Tianyu schema: run `tianyu init`")
    if plan:
        _print(engine, wanted, alive)
        return
    for step in wanted.steps:
        note(f"{step.revision} {ADDS if step.older_may_run else CHANGES}: {step.title}")
    for line in (*setup.upgrade(start(), engine, ended=ended or ()), "schema is up to date"):
        out.print(line, markup=False)
    if wanted.steps and engine.dialect.name != "sqlite":
        note("where programs log in by roles, `tianyu init --roles` gives these the rights of this version")


def _engine() -> Engine:
    from services.setup import open_engine

    return open_engine(start())


def _look(engine: Engine) -> tuple[str | None, Plan, list[AliveService]]:
    """Why this Tianyu cannot use the database, if so; what an upgrade would do; who is alive."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import DBAPIError

    from schema import revisions, versions
    from schema.database import READ_ONLY
    from schema.queries.services import alive_services
    from services.errors import ConfigurationError
    from services.setup import database_failure

    try:
        with engine.connect().execution_options(**READ_ONLY) as connection:
            refused = revisions.refusal(connection, engine.url.render_as_string(hide_password=True))
            alive = alive_services(connection) if inspect(connection).has_table("service") else []
            try:
                return refused, versions.plan(connection), alive
            except versions.UnknownRevisionError as error:  # a later one
                if refused is not None:
                    raise ConfigurationError(refused) from error
                return None, versions.Plan(revisions.found(connection), (), revisions.is_cut(connection)), alive
    except DBAPIError as error:
        raise database_failure(engine, error) from error


def _print(engine: Engine, plan: Plan, alive: list[AliveService]) -> None:
    from schema import revisions

    out.print(f"database   {engine.url.render_as_string(hide_password=True)}", soft_wrap=True)
    out.print(f"schema     {plan.found or 'none'}; this Tianyu needs {revisions.NEWEST}", soft_wrap=True)
    if plan.is_cut:
        out.print("an upgrade is on its way, or was cut: `tianyu db upgrade` goes on where it was", soft_wrap=True)
    if plan.found is not None:
        for step in plan.steps:
            beside = f"{ADDS}, running programs go on" if step.older_may_run else f"{CHANGES}, stop programs first"
            out.print(f"migration  {step.revision} {beside}: {step.title}", soft_wrap=True)
    for one in alive:
        out.print(f"alive: {one}", soft_wrap=True)


def _json(one: Any) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str | bool | float | None) else str(value) for name, value in vars(one).items()
    }
