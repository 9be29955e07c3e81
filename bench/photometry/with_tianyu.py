"""Tianyu as a user runs it: one command."""

from pathlib import Path

import numpy as np

from bench.photometry.light_curves import LightCurves, RawFluxes
from bench.photometry.night import Night
from pipeline.trials.simulation.conditions import to_reference
from tests.acceptance.measured_night import MeasuredNight, read_night
from tests.acceptance.noise_limit import nearest_stars
from tests.acceptance.programs import Programs


def run(night: Night, work: Path) -> tuple[LightCurves, RawFluxes, MeasuredNight]:
    """Run it (once for a working folder); its light curves and raw fluxes by stars of the truth."""
    if not (work / "tianyu.db").exists():
        Programs({}, work.parent).run("run", str(night.folder), "--workdir", str(work), "--consumers", "2")
    measured = read_night(work)
    jd = night.truth.frames.jd_mid
    frame = np.array([int(np.argmin(np.abs(measured.jd - jd[i]))) for i in night.epochs])
    reference = int(np.argmin(np.abs(jd - measured.jd[measured.reference])))
    x, y = to_reference(*measured.xy.T, night.truth.frames, reference, night.truth.spec.shape)
    star = nearest_stars(np.column_stack([night.truth.stars.x, night.truth.stars.y]), np.column_stack([x, y]))
    seen = star >= 0
    shape = (night.truth.stars.id.size, night.epochs.size, measured.radii.size)

    def by_star(values: np.ndarray) -> np.ndarray:
        table = np.full(shape, np.nan)
        table[star[seen]] = values[seen][:, frame]
        return table

    radii = tuple(measured.radii / night.fwhm)
    return (
        LightCurves("Tianyu", by_star(measured.relative), radii),
        RawFluxes("Tianyu", by_star(measured.raw), by_star(measured.raw_error), radii),
        measured,
    )
