"""One star over all nights: its periodogram and the light curve folded with the best period."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from services.results.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LEGEND,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    head,
    new_figure,
    note,
    save,
    tidy,
)
from services.results.plots.time_bins import view_limits
from services.results.variability.candidates import LEAST_CHANCE
from services.results.variability.periods import SHOWN_ALTERNATIVES, StarPeriods

COLOURS = BLUE, RED, GREEN, ORANGE, PURPLE, SKY, GREY  # of nights, in turn
PHASES_SHOWN = 1.5  # so that what happens at phase 0 is seen whole
SMOOTH_POINTS = 400  # of the model's line
NAMED_NIGHTS = 14  # in the legend
SPECTRUM_COLUMNS = 4000  # of the drawn periodogram: the highest of the frequencies that share one
LEAST_POWER = 0.05  # height of the periodogram's axis, at least


def draw_periods(found: StarPeriods, path: Path) -> Path:
    """Draw the light curve folded with the best period, the levels of the nights taken off, and the periodogram."""
    figure = new_figure(9.5, 8.4)
    folded, residuals, spectrum = figure.subplots(3, 1, height_ratios=(2.2, 1.0, 1.4))
    _draw_folded(folded, residuals, found)
    _draw_spectrum(spectrum, found)
    best, star = found.search.best, found.curves[0].source
    place = "" if star.ra_deg is None else f", RA {star.ra_deg:.5f}, Dec {star.dec_deg:+.5f}"
    chance = f"false alarm {max(found.search.false_alarm, LEAST_CHANCE):.2g}"
    nights = f"{found.time.size} points of {len(found.curves)} night{'s' * (len(found.curves) > 1)}"
    period = f"period {best.period:.8g} ± {best.period_error:.2g} d, ±{best.amplitude:.4f} mag"
    head(figure, f"source {star.source_id}{place}: {nights}\n{period}, {chance}")
    return save(figure, path)


def _draw_folded(axes: Axes, below: Axes, found: StarPeriods) -> None:
    best = found.search.best
    phase = ((found.time - best.epoch) / best.period + 0.5) % 1.0
    level = found.magnitude - best.levels[found.night]
    residual = level - best.curve(found.time)
    for number, curve in enumerate(found.curves):
        own = found.night == number
        observation = curve.observation
        label = f"{observation.observation_id}: {observation.night.isoformat()}, {observation.filter or 'no filter'}"
        named = label if number < NAMED_NIGHTS else None
        colour = COLOURS[number % len(COLOURS)]
        for panel, values in ((axes, level), (below, residual)):
            twice = np.concatenate([phase[own], phase[own] + 1.0])
            shown = twice <= PHASES_SHOWN
            panel.errorbar(
                twice[shown],
                np.tile(values[own], 2)[shown],
                np.tile(found.error[own], 2)[shown],
                fmt="o",
                color=colour,
                markersize=3,
                elinewidth=0.6,
                alpha=0.7,
                label=named if panel is axes else None,
            )
    smooth = np.linspace(0.0, PHASES_SHOWN, SMOOTH_POINTS)
    axes.plot(smooth, best.curve(best.epoch + (smooth - 0.5) * best.period), color=BLACK, linewidth=1.4, zorder=4)
    below.axhline(0.0, color=BLACK, linewidth=1.0, zorder=4)
    order = np.argsort(phase)
    for panel, values in ((axes, level), (below, residual)):
        low, high = view_limits(values[order], found.error[order])
        panel.set_ylim(high, low)
        panel.set_xlim(0.0, PHASES_SHOWN)
    axes.legend(**LEGEND, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    tidy(axes, "", "mag − night's level")
    tidy(below, f"phase of {best.period:.8g} d; the star is faintest at 0.5", "residual (mag)")


def _draw_spectrum(axes: Axes, found: StarPeriods) -> None:
    search = found.search
    group = -(-search.frequencies.size // SPECTRUM_COLUMNS)
    padded = np.pad(search.power, (0, -search.power.size % group))
    axes.plot(search.frequencies[::group], padded.reshape(-1, group).max(axis=1), color=BLACK, linewidth=0.8)
    axes.axvline(1.0 / search.best.period, color=RED, linewidth=1.4, zorder=0, label="best")
    for number, other in enumerate(search.alternatives[1 : SHOWN_ALTERNATIVES + 1]):
        axes.axvline(
            1.0 / other.fit.period, color=ORANGE, linewidth=0.9, zorder=0, label=None if number else "alternatives"
        )
    axes.set_xlim(search.frequencies[0], search.frequencies[-1])
    axes.set_xscale("log")
    axes.set_ylim(0.0, max(1.1 * float(search.power.max()), LEAST_POWER))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    note(axes, f"highest {search.power.max():.3f}")
    axes.legend(**LEGEND, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    tidy(axes, "frequency (cycles a day)", "power")
