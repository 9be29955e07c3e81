"""`tianyu target add`, `tianyu target list`, `tianyu target show`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, friendly, out, reading, start
from services.cli.listing import Column, records, table_for_people
from services.results.positions import parse_pair, parse_radec

if TYPE_CHECKING:
    from schema.skies import NamedObject

target = typer.Typer(
    name="target",
    help="Names of stars and where they point.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

# A declination such as -11:20:00 is no option.
NEGATIVE = {"ignore_unknown_options": True}


@target.command("add", context_settings=NEGATIVE)
@friendly
def add(
    name: Annotated[str, typer.Argument(help="Any name; upper and lower case are alike.")],
    ra: Annotated[str, typer.Argument(metavar="RA", help="Right ascension, ICRS: degrees, or hh:mm:ss.s.")],
    dec: Annotated[str, typer.Argument(metavar="DEC", help="Declination: degrees, or +dd:mm:ss.")],
    pm: Annotated[
        str | None,
        typer.Option(metavar="RA,DEC", help="Proper motion, mas a year, in right ascension times cos(declination)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a name points, at epoch 2000; what was known of the name before is replaced.

    Examples: `tianyu target add HAT-P-32 31.0428 46.6878`,
    `tianyu target add "Barnard's star" 17:57:48.5 +04:41:36 --pm -801.6,10362.4`
    """
    from schema import database
    from services.results.targets import named_object, remember
    from services.setup import open_database

    motion = None if pm is None else parse_pair(pm, "a proper motion in mas a year (-801.6,10362.4)")
    found = named_object(name, parse_radec(f"{ra},{dec}"), motion)
    settings = start()

    engine = open_database(settings)
    kept = database.transact(database.session_factory(engine), lambda session: remember(session, found))
    _print([kept], as_json)


@target.command("list")
@friendly
def list_names(as_json: JsonOption = False) -> None:
    """List the names that are known here.

    Examples: `tianyu target list`, `tianyu target list --json`
    """
    from services.results.targets import listed

    settings = start()

    with reading(settings) as session:
        _print(listed(session), as_json)


@target.command("show")
@friendly
def show(
    name: Annotated[str, typer.Argument(help="A name, as given or as SIMBAD knows it.")], as_json: JsonOption = False
) -> None:
    """Show where a name points: as it was given here, else as SIMBAD says, which is kept.

    Example: `tianyu target show HAT-P-32`
    """
    from services.results.targets import resolve
    from services.setup import open_database

    settings = start()

    _print([resolve(open_database(settings), settings, name)], as_json)


COLUMNS: tuple[Column[NamedObject], ...] = (
    Column("name", lambda one: one.shown_name, "name", wrapped=True),
    Column("ra_deg", lambda one: one.ra_deg, "RA deg", ".6f"),
    Column("dec_deg", lambda one: one.dec_deg, "Dec deg", "+.6f"),
    Column("pm_ra_mas_per_year", lambda one: one.pm_ra_mas, "pm RA mas/yr", ".2f"),
    Column("pm_dec_mas_per_year", lambda one: one.pm_dec_mas, "pm Dec mas/yr", ".2f"),
    Column("origin", lambda one: one.origin, "origin", wrapped=True),
)


def _print(objects: Sequence[NamedObject], as_json: bool) -> None:
    if as_json:
        out.print_json(data=records(COLUMNS, objects))
    else:
        out.print(table_for_people(COLUMNS, objects))
