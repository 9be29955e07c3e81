"""Relative photometry: light curves freed of what all stars of a field share, by methods that stand side by side."""

from pipeline.relative.achieved import achieved_factors
from pipeline.relative.ensemble import calibrate_ensemble
from pipeline.relative.frame_terms import faint_error_factor, frame_terms
from pipeline.relative.grouped import calibrate_grouped
from pipeline.relative.later_frames import Fixed, calibrate_later
from pipeline.relative.lone_spikes import hits_may_hide, spikes
from pipeline.relative.manual import calibrate_manual
from pipeline.relative.reference_candidates import Candidates, Relaxation, ensemble_candidates, reference_candidates
from pipeline.relative.relative_light_curves import RelativeLightCurves
from pipeline.relative.role_picks import PickLimits, Roles, pick_roles
from pipeline.relative.shared_light import SharedLight

__all__ = [
    "Candidates",
    "Fixed",
    "PickLimits",
    "RelativeLightCurves",
    "Relaxation",
    "Roles",
    "SharedLight",
    "achieved_factors",
    "calibrate_ensemble",
    "calibrate_grouped",
    "calibrate_later",
    "calibrate_manual",
    "ensemble_candidates",
    "faint_error_factor",
    "frame_terms",
    "hits_may_hide",
    "pick_roles",
    "reference_candidates",
    "spikes",
]
