"""Transits of a planet: each night's detrended light curve with the model, and O - C beside the ephemeris."""

from pathlib import Path

import numpy as np

from pipeline.units import HOURS_PER_DAY, MINUTES_PER_DAY
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
    save,
    tidy,
)
from services.results.variability.joint_transits import PlanetTransits
from services.shown import shown

COLOURS = BLUE, GREEN, ORANGE, PURPLE, SKY, BLACK  # of filters; red is the model's
MOST_NIGHTS = 12  # in one picture


def draw_transits(found: PlanetTransits, path: Path) -> Path:
    """Nights one below the other, over the hours from their own mid-times."""
    nights = found.nights[-MOST_NIGHTS:]
    filters = list(dict.fromkeys(night.curve.observation.filter for night in found.nights))
    scatter = max(night.fit.residual_scatter for night in nights)
    depth = max(1.0 - float(np.min(night.fit.model)) for night in nights)
    step = depth + 5.0 * scatter
    figure = new_figure(9.0, 2.6 + 1.7 * len(nights))
    axes = figure.subplots()
    for row, night in enumerate(nights):
        fit, name = night.fit, night.curve.observation.filter
        hours = (night.time - fit.mid_time.median) * HOURS_PER_DAY
        colour = COLOURS[filters.index(name) % len(COLOURS)]
        used = fit.used
        error = (night.error / fit.trend)[used]
        axes.errorbar(
            hours[used], (fit.detrended - row * step)[used], error, fmt="o", color=colour, markersize=3, elinewidth=0.5
        )
        order = np.argsort(hours)
        axes.plot(hours[order], (fit.model - row * step)[order], color=RED, linewidth=1.6, zorder=5)
        epoch = found.residuals.epoch[len(found.nights) - len(nights) + row]
        said = shown(f"{night.curve.observation.night.isoformat()}, {name or 'no filter'}, epoch {epoch}")
        axes.annotate(said, (hours.min(), 1.0 - row * step - 0.6 * depth), fontsize=8.5, parse_math=False)
    tidy(axes, "hours from mid-transit", "detrended flux, nights set apart")
    k = found.fit.radius_ratio
    which = "" if len(nights) == len(found.nights) else f", the latest {len(nights)} of {len(found.nights)} nights"
    head(figure, f"{found.planet.name}: radius ratio {k.median:.4f} ± {k.error:.4f}{which}")
    return save(figure, path)


def draw_differences(found: PlanetTransits, path: Path) -> Path:
    """O - C of each night in minutes, and one standard deviation of the ephemeris."""
    oc, by = found.residuals, found.planet.ephemeris
    figure = new_figure(8.5, 4.6)
    axes = figure.subplots()
    margin = max(0.1 * float(np.ptp(oc.epoch)), 1.0)
    epochs = np.linspace(oc.epoch.min() - margin, oc.epoch.max() + margin, 200)
    error = by.predicted(epochs)[1] * MINUTES_PER_DAY
    axes.fill_between(epochs, -error, error, color=GREY, alpha=0.25, label="given ephemeris, one standard deviation")
    axes.axhline(0.0, color=GREY, linewidth=1.0)
    if found.refined is not None:
        new = found.refined
        line = (new.mid_time - by.mid_time + epochs * (new.period - by.period)) * MINUTES_PER_DAY
        axes.plot(epochs, line, color=RED, linewidth=1.4, label="with these mid-times")
    axes.errorbar(
        oc.epoch,
        oc.difference * MINUTES_PER_DAY,
        oc.observed_error * MINUTES_PER_DAY,
        fmt="o",
        color=BLUE,
        markersize=4,
        label="observed",
    )
    axes.legend(**LEGEND)
    axes.locator_params(axis="x", integer=True)
    tidy(axes, "epoch", "O − C (min)")
    head(figure, f"{found.planet.name}: mid-times beside BJD (TDB) {by.mid_time:.5f} + {by.period:.7f} d × epoch")
    return save(figure, path)
