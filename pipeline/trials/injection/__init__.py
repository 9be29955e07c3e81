"""Signals put into frames, and what was found of them: injection and recovery.

The frames' own pixels are scaled, so that the point spread function, its sampling and the flat stay those of the night.
"""

from pipeline.trials.injection.choice import Choice, choose_stars
from pipeline.trials.injection.recovered_signal import binomial_interval, fit_amplitude
from pipeline.trials.injection.scaling import REACH_FWHM, scale_stars
from pipeline.trials.injection.signals import KINDS, PULSATION, TRANSIT, Signal, draw_signals

__all__ = [
    "KINDS",
    "PULSATION",
    "REACH_FWHM",
    "TRANSIT",
    "Choice",
    "Signal",
    "binomial_interval",
    "choose_stars",
    "draw_signals",
    "fit_amplitude",
    "scale_stars",
]
