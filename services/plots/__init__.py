"""Plots of an observation: its template, its noise, its frames' offsets, and a light curve."""

from services.plots.make import make_plots
from services.plots.variables import most_variable

__all__ = ["make_plots", "most_variable"]
