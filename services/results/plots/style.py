"""How all plots look, and how they become files."""

import textwrap
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from services.errors import ConfigurationError
from services.shown import shown
from services.whole_files import whole_file

DOTS_PER_INCH = 130
OTHER_PICTURES = frozenset((".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".eps", ".ps"))
COMPRESSION = 3  # of PNG: half the time of the usual 6, and files a tenth larger
# Okabe and Ito's colours, which the colour-blind tell apart too; red is their vermilion.
BLUE, ORANGE, RED, GREEN, PURPLE, SKY = "#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
BROWN = "#8c510a"  # beside theirs, where seven lines need a colour each
GREY, BLACK = "#8d949c", "#24282e"
LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 9}
PAPER: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2.0}
PPT = 1000.0  # parts per thousand
TITLE_LETTERS_PER_INCH = 12.5  # at 11 points; long titles get further lines, none is cut


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure, inches; drawn by Agg without a display and without pyplot's global state.

    The constrained layout measures all texts twice: a third of the time of a figure of many panels.
    """
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Labels, a faint grid, and no box; a panel's title must be short, a figure's is `head`."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if title:
        axes.set_title(shown(title), fontsize=11, loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def head(figure: Figure, text: str, y: float | None = None) -> None:
    """Title of a figure of several panels; names from headers are text, never formulas. y: None for the layout's."""
    text = shown(text)  # a font that lacks a control character prints it in a warning
    width = int(TITLE_LETTERS_PER_INCH * figure.get_figwidth())
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, width) or [""]]
    figure.suptitle("\n".join(lines), fontsize=11, x=0.01, y=y, ha="left", parse_math=False)


def note(axes: Axes, text: str, x: float = 0.99, y: float = 0.985) -> None:
    """A remark in the corner at the right of a panel, in shares of it."""
    axes.text(
        x,
        y,
        shown(text),
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=8.5,
        color=BLACK,
        parse_math=False,
        bbox=PAPER,
    )


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, or a PDF or SVG where the name ends in it, replacing an old one when it is whole.

    Raises:
        ConfigurationError: the file cannot be written, or its name is another picture's.
    """
    if path.suffix.lower() in OTHER_PICTURES:
        raise ConfigurationError(f"plots are written as PNG, PDF or SVG: {str(path)!r} should end so")
    engine = figure.get_layout_engine()
    if engine is not None:
        # With an engine set, matplotlib draws all once more before, only to have it laid out.
        engine.execute(figure)
        figure.set_layout_engine(None)
    with whole_file(path) as temporary:
        if path.suffix.lower() == ".pdf":
            figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
        elif path.suffix.lower() == ".svg":
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        else:
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": COMPRESSION})
    return path
