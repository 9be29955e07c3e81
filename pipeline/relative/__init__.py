"""Relative photometry: light curves freed of what all stars of a field share, by two methods side by side."""

from pipeline.relative.candidates import Candidates, Relaxation, ensemble_candidates, reference_candidates
from pipeline.relative.ensemble import calibrate_ensemble
from pipeline.relative.grouped import calibrate_grouped
from pipeline.relative.light_curves import RelativeLightCurves

__all__ = [
    "Candidates",
    "RelativeLightCurves",
    "Relaxation",
    "calibrate_ensemble",
    "calibrate_grouped",
    "ensemble_candidates",
    "reference_candidates",
]
