"""`calibrate_relative`: fluxes relative to reference stars, by one method; several methods stand side by side."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.light_curves import LightCurves
from pipeline.relative import (
    Fixed,
    PickLimits,
    RelativeLightCurves,
    Relaxation,
    Roles,
    SharedLight,
    achieved_factors,
    calibrate_ensemble,
    calibrate_grouped,
    calibrate_manual,
    ensemble_candidates,
    hits_may_hide,
    pick_roles,
    reference_candidates,
    spikes,
)
from pipeline.statistics import row_median
from schema.observing import Observation
from schema.photometry import ReferenceStar, RelativeCalibration, RelativeFlux
from schema.queries.measurements import (
    RelativeFluxes,
    insert_relative_fluxes,
    insert_rows,
    none_for_nan,
)
from services.choices import Choices
from services.errors import DataError
from services.log import get_logger
from services.steps.shared.graph_fluxes import GraphAxes, graph_axes, keep_relative_fluxes, raw_fluxes
from services.steps.shared.named_stars import NamedStars, named_roles, stars_of
from services.steps.shared.needs import KNOWN, Each, optional, required, some_of
from services.steps.shared.shown_results import show
from services.steps.shared.step import Context, Method, Outputs, Parameters, Step

log = get_logger("calibrate_relative")
NOISE_MODEL, LIKE_STARS = "noise model", "like stars"  # where errors come from
TARGET, REFERENCE, CHECK = "target", "reference", "check"  # roles of a star


class CalibrateRelativeParameters(Parameters):
    """The method, and whether it is the one that the views show; for `manual` the stars, and how others are picked."""

    method: Literal["ensemble", "paper", "manual"]
    default: bool
    stars: NamedStars = NamedStars()
    limits: PickLimits = PickLimits()


@dataclass(frozen=True)
class Calibrated:
    """Relative light curves, how far the rules for references gave way, and who is target and check."""

    curves: RelativeLightCurves
    relaxation: Relaxation = Relaxation.NONE
    roles: Roles | None = None
    error_factor: NDArray[np.float64] | None = None  # [n], of errors after like stars; None for the model's
    takes_later: bool = True  # whether what it found holds for frames that it did not see

    @property
    def error_scale(self) -> float | None:
        """The median factor."""
        return None if self.error_factor is None else float(np.median(self.error_factor))


def _ensemble(raw: LightCurves, axes: GraphAxes, shared: SharedLight, _: CalibrateRelativeParameters) -> Calibrated:
    candidates = ensemble_candidates(raw, axes.gaia_variable, axes.gaia_ratio)
    curves = calibrate_ensemble(raw, candidates.mask, candidates.values, shared)
    # In a field so poor which flagged values count is told by the whole night.
    return Calibrated(curves, candidates.relaxation, takes_later=candidates.relaxation is not Relaxation.ALL)


def _paper(raw: LightCurves, axes: GraphAxes, shared: SharedLight, _: CalibrateRelativeParameters) -> Calibrated:
    candidates = reference_candidates(raw, axes.gaia_variable, axes.gaia_ratio)
    return Calibrated(calibrate_grouped(raw, candidates.mask, shared), candidates.relaxation)


def _manual(
    raw: LightCurves, axes: GraphAxes, shared: SharedLight, parameters: CalibrateRelativeParameters
) -> Calibrated:
    roles = pick_roles(raw, named_roles(parameters.stars, axes), parameters.limits)
    return Calibrated(calibrate_manual(raw, roles.reference, shared), roles=roles)


METHODS: dict[str, Callable[[LightCurves, GraphAxes, SharedLight, CalibrateRelativeParameters], Calibrated]] = {
    "ensemble": _ensemble,
    "paper": _paper,
    "manual": _manual,
}


def run(context: Context, parameters: CalibrateRelativeParameters) -> Outputs:
    """Calibrate each aperture by itself."""
    with context.reading() as session:
        axes = graph_axes(session, context.graph_pid, context.pid)
        if not axes.source_ids.size or not axes.good.any():
            raise DataError(
                f"process {context.pid}: observation {context.observation_id} has no good frame with sources"
            )
        raws = raw_fluxes(context, session, axes)
        found = {aperture: _calibrate(axes.light_curves(*raw), axes, aperture, parameters) for aperture, raw in raws}
    if not any(np.isfinite(calibrated.curves.flux).any() for calibrated in found.values()):
        raise DataError(
            f"process {context.pid}: no star of observation {context.observation_id} could be calibrated by "
            f"{parameters.method}: at least two stars must be measured on the same good frames"
        )

    curves = {
        aperture: RelativeFluxes(calibrated.curves.flux, calibrated.curves.error)
        for aperture, calibrated in found.items()
    }
    keep_relative_fluxes(context, axes, curves)

    def write(session: Session) -> None:
        insert_relative_fluxes(session, context.pid, axes.source_ids, axes.image_ids, curves)
        for aperture, calibrated in found.items():
            _write_stars(session, context.pid, parameters.method, aperture, axes, calibrated)
            session.add(_facts(context, parameters.method, aperture, calibrated))
        if parameters.default:
            # What was detrended before is of another calibration.
            show(session, context, Observation.calibration_pid, graph_pid=context.graph_pid, detrend_pid=None)

    return write


def _calibrate(raw: LightCurves, axes: GraphAxes, aperture: int, parameters: CalibrateRelativeParameters) -> Calibrated:
    shared = SharedLight.within(axes.xy, axes.light_reach[aperture])
    calibrated = METHODS[parameters.method](raw, axes, shared, parameters)
    if calibrated.relaxation is not Relaxation.NONE:
        log.warning("rules for reference stars relaxed", aperture=aperture, step=calibrated.relaxation.name)
    if not axes.gain_told:
        calibrated = _after_like_stars(calibrated, row_median(raw.flux[:, axes.good]))
    return _with_spikes_in_errors(calibrated) if hits_may_hide(axes.fwhm) else calibrated


def _after_like_stars(calibrated: Calibrated, brightness: NDArray[np.float64]) -> Calibrated:
    """With errors that no told gain vouches for scaled to the scatter of like stars."""
    curves = calibrated.curves
    factors = achieved_factors(curves, brightness)
    if factors is None:
        return calibrated
    scaled = replace(curves, error=curves.error * factors[:, None])
    return replace(calibrated, curves=scaled, error_factor=factors)


def _with_spikes_in_errors(calibrated: Calibrated) -> Calibrated:
    """With errors as large as what stands alone above a light curve: of these stars a hit may have gone unseen."""
    curves = calibrated.curves
    height = spikes(curves)
    if height.any():
        log.info("points that stand alone have larger errors", points=int(np.count_nonzero(height)))
    return replace(calibrated, curves=replace(curves, error=np.hypot(curves.error, height)))


def _facts(context: Context, method: str, aperture: int, calibrated: Calibrated) -> RelativeCalibration:
    curves = calibrated.curves
    return RelativeCalibration(
        pid=context.pid,
        aperture=aperture,
        observation_id=context.observation_id,
        method=method,
        reference_stars=int(curves.is_reference.sum()),
        reference_groups=int(np.unique(curves.group[curves.is_reference]).size),
        relaxation=calibrated.relaxation.name.lower(),
        error_source=NOISE_MODEL if calibrated.error_scale is None else LIKE_STARS,
        error_scale=calibrated.error_scale,
        takes_later=calibrated.takes_later,
    )


def _roles(calibrated: Calibrated) -> list[str | None]:
    """What each star is; None for all that are none of it."""
    names: list[str | None] = [REFERENCE if known else None for known in calibrated.curves.is_reference.tolist()]
    if calibrated.roles is not None:
        for role, mask in ((TARGET, calibrated.roles.target), (CHECK, calibrated.roles.check)):
            for place in np.flatnonzero(mask).tolist():
                names[place] = role
    return names


def _write_stars(
    session: Session, pid: int, method: str, aperture: int, axes: GraphAxes, calibrated: Calibrated
) -> None:
    curves = calibrated.curves
    n = axes.source_ids.size
    factor = np.ones(n) if calibrated.error_factor is None else calibrated.error_factor
    fixed = Fixed.of(curves, factor, by_weights=method == "ensemble")
    insert_rows(
        session,
        ReferenceStar.__table__,
        (
            *("pid", "source_id", "aperture", "method", "reference_group", "is_reference", "role", "weight"),
            *("level", "mean_level", "scatter", "error_factor"),
        ),
        zip(
            [pid] * n,
            axes.source_ids.tolist(),
            [aperture] * n,
            [method] * n,
            curves.group.tolist(),
            curves.is_reference.tolist(),
            _roles(calibrated),
            *map(none_for_nan, (fixed.weight, fixed.level, fixed.mean_level, fixed.scatter, fixed.error_factor)),
            strict=True,
        ),
    )


def _chosen(choices: Choices, method: Method | None) -> dict[str, Any]:
    assert method is not None
    parameters: dict[str, Any] = {"method": method.name, "default": method.shown}
    if method.name == "manual":
        parameters |= {"stars": stars_of(choices), "limits": _pick_limits(choices)}
    return parameters


def _pick_limits(choices: Choices) -> PickLimits:
    """What stars that nobody named must keep to."""
    return PickLimits(
        error_max=choices.pick_error_max,
        missing_max=choices.pick_missing_max,
        references=choices.pick_references,
        scatter_max=choices.pick_scatter_max,
        range_max=choices.pick_range_max,
        target_scatter_min=choices.pick_target_scatter_min,
        target_radius=choices.pick_target_radius,
    )


CALIBRATE_RELATIVE = Step(
    "calibrate_relative",
    CalibrateRelativeParameters,
    run,
    gives="reference stars, relative fluxes",
    each=Each.METHOD,
    needs=(
        required("detect"),
        required("select", template=KNOWN),  # which is behind `extract` elsewhere
        some_of("extract"),
        optional("crossmatch"),  # known variables are no reference stars
        optional("place_frames"),  # what follows sees the same airmass and times whenever they came
    ),
    chosen=_chosen,
    anywhere=True,
    tables=(RelativeFlux, ReferenceStar, RelativeCalibration),
    joins=True,
)
