"""What stands beside a panel with a grid of the sky."""

from typing import Any

from astropy.visualization.wcsaxes import WCSAxes

Name = tuple[tuple[float, float], float, str]  # pixels, degrees, text


def names_on(axes: WCSAxes) -> tuple[list[Name], list[Name]]:
    """The names of lines below and those to the left of the axes, which it draws for that."""
    axes.figure.draw_without_rendering()
    return _on(axes, "b"), _on(axes, "l")


def _on(axes: WCSAxes, side: str) -> list[Name]:
    found: list[Name] = []
    for coordinate in axes.coords:
        labels: Any = coordinate._ticklabels
        if side in labels.get_visible_axes():
            found += zip(map(tuple, labels.data[side]), labels.world[side], labels.text[side], strict=True)
    return found
