"""A table beside a chart: what its stars are called in Gaia, and how bright they are there."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from services.results.lightcurves.sky_field import GaiaName
from services.results.plots.style import BLACK, GREY

COLUMNS = (("", 0.0, "left"), ("G", 0.24, "right"), ("BP−RP", 0.44, "right"), ("Gaia DR3", 1.0, "right"))
LINES = 26  # that fit into the panel's height
UNKNOWN = "–"


def draw_gaia_names(
    axes: Axes, stars: Mapping[str, int], gaia: Mapping[int, GaiaName], colours: Mapping[str, str]
) -> None:
    """One line a star, in the order given; ``stars`` are source ids by the names on the chart.

    Colours are by a name's first letter. Stars that Gaia's names are not known of stay in the table.
    """
    axes.set_axis_off()
    _line(axes, 0, tuple(heading for heading, _, _ in COLUMNS), BLACK, BLACK)
    for number, (name, source_id) in enumerate(stars.items(), 1):
        star = gaia.get(source_id)
        if star is None:
            words = (name, UNKNOWN, UNKNOWN, "not matched")
        else:
            varies = "*" if star.variable else ""
            words = (name, _magnitude(star.g_mag), _magnitude(star.colour), f"{star.gaia_source_id}{varies}")
        _line(axes, number, words, colours[name[0]], GREY if star is None else BLACK)
    if any(star.variable for source_id, star in gaia.items() if source_id in stars.values()):
        _line(axes, len(stars) + 1, ("* variable in Gaia", "", "", ""), GREY, GREY)


def _line(axes: Axes, number: int, words: tuple[str, ...], first: str, others: str) -> None:
    for place, ((_, x, side), word) in enumerate(zip(COLUMNS, words, strict=True)):
        colour = others if place else first
        weight = "bold" if place == 0 and number else "normal"
        axes.text(
            x,
            1.0 - (number + 0.5) / LINES,
            word,
            transform=axes.transAxes,
            ha=side,
            va="center",
            fontsize=8,
            color=colour,
            fontweight=weight,
        )


def _magnitude(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"
