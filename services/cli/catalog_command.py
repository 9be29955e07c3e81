"""`tianyu catalog fetch`, `tianyu catalog status`."""

from typing import Annotated, NamedTuple

import typer

from services.cli.console import JsonOption, counting, friendly, note, out, start
from services.cli.listing import Column, records, table_for_people
from services.errors import ConfigurationError
from services.results.positions import parse_radec

MB = 1e6
RADIUS_MAX_DEG = 30.0  # a sixteenth of the sky; to G = 18 its stars are 2 GB

catalog = typer.Typer(
    name="catalog",
    help="The catalogue of stars that is kept on this site's disk.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@catalog.command("fetch")
@friendly
def fetch(
    radec: Annotated[str, typer.Option(metavar="RA,DEC", help="Middle of the field: degrees, or hh:mm:ss,+dd:mm:ss.")],
    radius: Annotated[float, typer.Option(metavar="DEG", help="Of the field, to its farthest corner, degrees.")],
    mag_limit: Annotated[
        float | None, typer.Option(metavar="G", help="Faintest stars; default catalog_mag_limit of the settings.")
    ] = None,
) -> None:
    """Fetch the stars around a place from Gaia's archive, so that a run needs no network there.

    What is there and deep enough is not fetched again.

    Examples: `tianyu catalog fetch --radec 31.0428,46.6878 --radius 0.5`,
    `tianyu catalog fetch --radec 02:04:10.3,+46:41:16 --radius 1 --mag-limit 19`
    """
    from services.sky.catalogue.opening import catalogue_folder, open_gaia

    ra, dec = parse_radec(radec)
    if not (0.0 <= ra <= 360.0 and abs(dec) <= 90.0 and 0.0 < radius <= RADIUS_MAX_DEG):
        raise ConfigurationError(
            f"there is no field at {ra}, {dec} with a radius of {radius} degrees: expected 0 to 360, -90 to 90, and a "
            f"radius above 0 and up to {RADIUS_MAX_DEG:g}"
        )
    settings = start()
    if settings.catalog_file is not None:
        raise ConfigurationError(
            f"catalog_file is set ({str(settings.catalog_file)!r}): the archive is not asked; unset it to use the cache"
        )
    if settings.catalog == "none":
        raise ConfigurationError('catalog is "none": the network is not asked; set it to "gaia" to fetch stars')

    depth = settings.catalog_mag_limit if mag_limit is None else mag_limit
    with counting("fetching cells") as count:
        found = open_gaia(settings).fetch(ra, dec, radius, depth, count)
    out.print(
        f"{found.cells} cells with {found.stars} stars to G = {depth:g}, {found.fetched} of them fetched now, "
        f"are in {catalogue_folder(settings)}",
        soft_wrap=True,
        markup=False,
    )


class Depth(NamedTuple):
    """What is kept to one magnitude."""

    mag_limit: float
    cells: int
    stars: int
    size_bytes: int


COLUMNS: tuple[Column[Depth], ...] = (
    Column("mag_limit", lambda one: one.mag_limit, "G to", "g"),
    Column("cells", lambda one: one.cells, "cells", "d"),
    Column("stars", lambda one: one.stars, "stars", "d"),
    Column("size_bytes", lambda one: one.size_bytes, "MB", ".1f", scale=MB),
)


@catalog.command("status")
@friendly
def status(as_json: JsonOption = False) -> None:
    """Show what the cache holds: cells, stars and bytes, by depth.

    Example: `tianyu catalog status`
    """
    from services.sky.catalogue.cells import ORDER
    from services.sky.catalogue.opening import catalogue_folder, open_cells

    settings = start()

    depths: dict[float, list[int]] = {}
    for cell in open_cells(settings).all():
        sums = depths.setdefault(cell.mag_limit, [0, 0, 0])
        for place, number in enumerate((1, cell.stars, cell.size_bytes)):
            sums[place] += number
    folder = str(catalogue_folder(settings))
    found = [Depth(depth, *sums) for depth, sums in sorted(depths.items())]
    if as_json:
        out.print_json(data={"folder": folder, "order": ORDER, "depths": records(COLUMNS, found)})
        return
    if not found:
        out.print(f"no cells in {folder}: `tianyu catalog fetch` brings some", soft_wrap=True, markup=False)
        return
    out.print(table_for_people(COLUMNS, found))
    note(f"in {folder}; cells of HEALPix order {ORDER}, 0.84 square degrees each")
