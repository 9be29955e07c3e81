"""Throughput by the number of consumers, over that of one: figure 5 of the paper, by these machines."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure


def draw(speed: Mapping[str, Sequence[tuple[float, float, float]]], cores: int, file: Path) -> None:
    """``speed``: of each step and number of consumers from one on, the median and the range of rounds."""
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (step, values) in enumerate(speed.items()):
        consumers = [1 + index + 0.03 * (number - len(speed) / 2) for index in range(len(values))]
        middle, low, high = zip(*values, strict=True)
        errors = [[m - a for m, a in zip(middle, low, strict=True)], [b - m for m, b in zip(middle, high, strict=True)]]
        axes.errorbar(consumers, middle, yerr=errors, marker="o", capsize=2, label=step)
    most = len(next(iter(speed.values())))
    axes.plot(range(1, most + 1), [min(n, cores) for n in range(1, most + 1)], "k--", lw=1, label=f"{cores} cores")
    axes.set_xticks(range(1, most + 1))
    axes.set_xlabel("consumers")
    axes.set_ylabel("throughput over that of one consumer")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)
