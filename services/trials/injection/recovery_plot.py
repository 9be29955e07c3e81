"""Recovered fraction against magnitude, and recovered against injected amplitude."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from services.results.plots.magnitudes import INSTRUMENTAL_LABEL
from services.results.plots.style import (
    BLACK,
    BLUE,
    GREEN,
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
from services.trials.injection.plan import Plan
from services.trials.injection.recovery import Recovery
from services.trials.injection.recovery_report import Cell, Fraction, Report

PLOT_FILE = "recovery.png"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
STEP_ASIDE = 0.06  # of a bin, between amplitudes that share it
PERCENT = 100.0


def draw_recovery(plan: Plan, recovery: Recovery, report: Report, out_dir: Path) -> Path:
    """Draw the plot.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    figure = new_figure(12.0, 7.5)
    ((known, blind), (ratio, legend)) = figure.subplots(2, 2)
    amplitudes = [cell.amplitude for cell in report.totals]
    colours = {value: COLOURS[number % len(COLOURS)] for number, value in enumerate(amplitudes)}
    for number, value in enumerate(amplitudes):
        aside = STEP_ASIDE * (number - (len(amplitudes) - 1) / 2)
        cells = [cell for cell in report.cells if cell.amplitude == value]
        _fractions(known, cells, [cell.known for cell in cells], aside, colours[value])
        _fractions(blind, cells, [cell.blind for cell in cells], aside, colours[value])
        those = plan.choice.amplitude == value
        ratio.errorbar(
            plan.magnitude[those],
            recovery.amplitude[those] / value,
            recovery.error[those] / value,
            fmt="o",
            markersize=4,
            linewidth=0.9,
            color=colours[value],
        )
    ratio.axhline(1.0, color=BLACK, linewidth=0.8)
    _limit(ratio, recovery.amplitude / plan.choice.amplitude)
    tidy(known, INSTRUMENTAL_LABEL, "recovered, %", "at the known moment, 5 sigma")
    tidy(blind, INSTRUMENTAL_LABEL, "recovered, %", "put forward as variable, nothing known")
    tidy(ratio, INSTRUMENTAL_LABEL, "recovered over injected amplitude", "each star")
    _words(legend, report, colours)
    head(figure, f"{report.title}: {plan.source_id.size} stars with a {report.kind}")
    return save(figure, out_dir / PLOT_FILE)


def _fractions(axes: Axes, cells: list[Cell], fractions: list[Fraction], aside: float, colour: str) -> None:
    """Shares with their intervals at the middle of each bin."""
    width = np.array([cell.magnitude_to - cell.magnitude_from for cell in cells])
    at = np.array([cell.magnitude_from for cell in cells]) + (0.5 + aside) * width
    share = PERCENT * np.array([one.found / one.tried for one in fractions])
    low, high = (PERCENT * np.array([getattr(one, end) for one in fractions]) for end in ("low", "high"))
    errors = np.stack([share - low, high - share]).clip(0)
    axes.errorbar(at, share, errors, fmt="o-", markersize=5, linewidth=1.2, capsize=3, color=colour)
    axes.set_ylim(-4, 104)


def _limit(axes: Axes, ratio: NDArray[np.float64]) -> None:
    """Faint stars' errors of many hundred percent shall not hide the others."""
    known = ratio[np.isfinite(ratio)]
    if known.size:
        low, high = np.percentile(known, [5, 95])
        room = max(0.2, 0.3 * (high - low))
        axes.set_ylim(min(low, 1.0) - room, max(high, 1.0) + room)


def _words(axes: Axes, report: Report, colours: dict[float, str]) -> None:
    """The key, with the numbers of all magnitudes."""
    axes.set_axis_off()
    for cell in report.totals:
        loss = "" if cell.loss is None else f", {PERCENT * cell.loss:.1f} % of it lost"
        axes.plot(
            [],
            [],
            "o-",
            color=colours[cell.amplitude],
            label=f"{cell.amplitude:g}: known {cell.known.found}, blind {cell.blind.found} of {cell.known.tried}{loss}",
        )
    axes.plot(
        [],
        [],
        " ",
        label=f"false candidates: {report.false_candidates} of {report.not_injected} stars without a signal,\n"
        f"{report.candidates_before} of them candidates before injection",
    )
    axes.legend(**LEGEND, loc="upper left", title="amplitude: stars recovered", alignment="left")
