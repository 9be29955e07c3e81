"""How all plots look, and how they become files."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from services.lightcurves.files import whole_file

DOTS_PER_INCH = 130
BLUE, ORANGE, RED, GREEN, GREY, BLACK = "#2f6db3", "#e0861a", "#c8352b", "#2a8c57", "#9aa0a8", "#24282e"
LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 9}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches; drawn by Agg without a display and without pyplot's global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Labels, a faint grid, and no box."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if title:
        axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, replacing an old one when it is whole.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
    return path
