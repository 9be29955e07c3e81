"""Tianyu as a user runs it: one command."""

from pathlib import Path

import numpy as np

from bench.photometry.light_curves import LightCurves, RawFluxes
from bench.photometry.night import Night
from tests.acceptance.measured_night import MeasuredNight, read_nights
from tests.acceptance.programs import Programs


def run(night: Night, work: Path) -> tuple[LightCurves, RawFluxes, MeasuredNight]:
    """Run it (once for a working folder); its light curves and raw fluxes by stars of the truth."""
    if not (work / "tianyu.db").exists():
        Programs({}, work.parent).run("run", str(night.folder), "--workdir", str(work), "--consumers", "2")
    *_, measured = read_nights(work)  # one before it may have lent its template
    jd = night.truth.frames.jd_mid
    frame = np.array([int(np.argmin(np.abs(measured.jd - jd[i]))) for i in night.epochs])
    epoch, alignment = next(
        (epoch, measured.alignments[i]) for epoch, i in enumerate(frame) if measured.alignments[i] is not None
    )
    star = night.stars_of(epoch, alignment.to_frame(measured.xy))
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
