"""`tianyu transit` with a planet's table: all nights of the star in one fit."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli.console import note, out, print_paths, table_of
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.results.variability.joint_transits import PlanetTransits
    from services.results.variability.planet_table import PlanetFacts

FILES = ("transits.json", "mid_times.ecsv", "transits.png", "o_minus_c.png")
TIMES = (
    *("observation", "filter", "epoch", "mid-time, BJD (TDB)", "±, min", "O-C, min", "of ephemeris ±, min"),
    "red noise, mmag",
)
ROWS = (
    ("radius ratio", "radius_ratio", 1.0, 4),
    ("a / R*", "axis_ratio", 1.0, 3),
    ("impact", "impact", 1.0, 3),
    ("inclination, °", "inclination_deg", 1.0, 2),
    ("duration, h", "duration", 24.0, 3),
)


def given_coefficients(given: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Limb darkening as it was typed, ``FILTER=U,V``.

    Raises:
        ConfigurationError: it is something else, or no star's.
    """
    found = {}
    for one in given:
        name, sign, pair = one.rpartition("=")
        try:
            u, v = (float(part) for part in pair.split(","))
        except ValueError:
            u = v = math.nan
        if not (sign and math.isfinite(u) and math.isfinite(v)):
            raise ConfigurationError(f"--limb-darkening {one!r}: expected FILTER=U,V, such as V=0.42,0.28")
        if not (u >= 0.0 and u + v <= 1.0 and u + 2.0 * v >= 0.0):
            raise ConfigurationError(
                f"--limb-darkening {one!r} is no star's: expected U >= 0, U + V <= 1 and U + 2 V >= 0"
            )
        found[name] = (u, v)
    return found


def by_table(
    table: Path | None, planet: PlanetFacts, filters: Sequence[str], given: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Limb darkening as it was given, and of other filters from the table.

    Raises:
        ConfigurationError: the planet's table tells neither temperature nor gravity, or the table has no such models.
    """
    if table is None:
        return given
    from services.results.variability.limb_table import coefficients_of

    if planet.teff is None or planet.logg is None:
        raise ConfigurationError(f"--limb-table needs teff and logg of {planet.name} in the table of --planets")
    missing = [name for name in filters if name not in given]
    return given | {name: coefficients_of(table, name, planet.teff, planet.logg) for name in missing}


def show(found: PlanetTransits, output: Path | None, *, as_json: bool) -> None:
    """Print the fit, and write its files if a folder is given."""
    for line in found.notes:
        note(line)
    files = [] if output is None else write(found, output)
    if as_json:
        out.print_json(data=found.to_json() | {"files": [str(path) for path in files]})
        return
    fit = found.fit
    out.print(
        f"{found.planet.name}: {len(found.nights)} {'transit' if len(found.nights) == 1 else 'transits in one fit'}",
        markup=False,
    )
    table = table_of("", "median", "−", "+", right=("median", "−", "+"))

    def add(name: str, value: Any, factor: float, decimals: int) -> None:
        numbers = (value.median, value.median - value.lower, value.upper - value.median)
        table.add_row(name, *(f"{number * factor:.{decimals}f}" for number in numbers))

    for name, attribute, factor, decimals in ROWS:
        add(name, getattr(fit, attribute), factor, decimals)
    for band, (u, v) in fit.limb_darkening.items():
        add(f"depth, %, {band or 'no filter'}", fit.depth[band], 100.0, 3)
        add(f"limb darkening u, {band or 'no filter'}", u, 1.0, 2)
        add(f"limb darkening v, {band or 'no filter'}", v, 1.0, 2)
    out.print(table)
    times = table_of(*TIMES, right=TIMES[2:])
    for row in found.rows():
        times.add_row(
            str(row["observation_id"]),
            str(row["filter"]),
            str(row["epoch"]),
            f"{row['mid_time']:.5f}",
            f"{row['o_minus_c_error_min']:.2f}",
            f"{row['o_minus_c_min']:+.2f}",
            f"{row['predicted_error_min']:.2f}",
            f"{1000.0 * row['red_noise_mag']:.2f}",
        )
    out.print(times)
    if found.refined is not None:
        new = found.refined
        out.print(
            f"ephemeris with these  BJD (TDB) {new.mid_time:.6f} ± {new.mid_time_error:.6f} + "
            f"({new.period:.8f} ± {new.period_error:.8f}) d × epoch",
            markup=False,
            soft_wrap=True,
        )
    print_paths(files)


def write(found: PlanetTransits, folder: Path) -> list[Path]:
    """Write all files; each night's light curve is one."""
    from services.results.lightcurves.export import write_file
    from services.results.plots.joint_transits_plot import draw_differences, draw_transits  # with Matplotlib
    from services.whole_files import make_folder, whole_file

    make_folder(folder)
    files = [folder / name for name in FILES]
    with whole_file(files[0]) as temporary:
        temporary.write_text(json.dumps(found.to_json(), indent=2) + "\n", encoding="utf-8")
    write_file(found.mid_times(), files[1], "ecsv")
    draw_transits(found, files[2])
    draw_differences(found, files[3])
    for night in found.nights:
        path = folder / night_file(night.curve.observation.observation_id)
        write_file(night.table(), path, "ecsv")
        files.append(path)
    return files


def night_file(observation_id: int) -> str:
    """The name of a night's light curve."""
    return f"transit_{observation_id}.ecsv"
