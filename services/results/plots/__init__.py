"""Plots of an observation: its field, noise and frames, and a star's light curve, place and shape."""

from services.results.plots.all_plots import make_plots

__all__ = ["make_plots"]
