"""Transits in single light curves: a quick trapezoid by least squares, and a Bayesian fit with its evidence."""

from pipeline.transit.single import Estimate, TransitFit, fit_transit
from pipeline.transit.trapezoid import TrapezoidFit, fit_trapezoid, trapezoid

__all__ = ["Estimate", "TransitFit", "TrapezoidFit", "fit_transit", "fit_trapezoid", "trapezoid"]
