"""Which apertures an observation has, and what they are on one frame."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from pipeline.aperture.aperture_flux import Apertures, default_apertures
from pipeline.aperture.kron import KRON_FACTOR, Ellipses
from schema.frame import Frame
from schema.photometry import Aperture
from services.choices import Choices
from services.steps.shared.image_columns import column

APERTURE_CHOICES = ("aperture_radii", "aperture_sky", "kron")
CIRCLE, KRON = "circle", "kron"
ANNULUS = "annulus"


def choose_apertures(choices: Choices, frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """Rows of table aperture, without their graph: those of the settings, else multiples of the stars' median FWHM.

    A negative radius in the settings is a multiple of each frame's own FWHM.
    """
    fwhm = float(np.nanmedian(column(frames, "fwhm")))
    default = default_apertures(fwhm, _smallest(frames))
    inner, outer = default.annulus
    circles: list[tuple[float, float | None]] = [(radius, None) for radius in default.radii]
    if choices.aperture_radii is not None:
        circles = [(r, None) if r > 0 else (round(-r * fwhm, 2), -r) for r in choices.aperture_radii]
        # The sky begins outside the largest aperture, as it does by default.
        shift = max(0.0, max(radius for radius, _ in circles) + fwhm - inner)
        inner, outer = inner + shift, outer + shift
    rows: list[dict[str, Any]] = [{"kind": CIRCLE, "radius": radius, "factor": factor} for radius, factor in circles]
    if choices.kron:
        rows.append({"kind": KRON, "radius": KRON_FACTOR, "factor": None})
    shared = {"annulus_inner": inner, "annulus_outer": outer, "sky": choices.aperture_sky, "fwhm": fwhm}
    return [row | shared | {"aperture": number} for number, row in enumerate(rows)]


def _smallest(frames: Sequence[Frame]) -> tuple[int, int] | None:
    """Rows and columns of the frames, the fewest where they differ; None where unknown."""
    known = [(frame.ny, frame.nx) for frame in frames if frame.ny and frame.nx]
    return (min(ny for ny, _ in known), min(nx for _, nx in known)) if known else None


def write_apertures(
    session: Session, graph_pid: int, observation_id: int | None, apertures: Sequence[dict[str, Any]]
) -> None:
    """Fix the apertures of a graph."""
    whose = {"graph_pid": graph_pid, "observation_id": observation_id}
    session.execute(insert(Aperture), [whose | row for row in apertures])


def radius_on(aperture: Aperture, fwhm: float | None) -> float:
    """Radius (px) of a circle on a frame of this FWHM (px); a frame without stars gets that of the observation's."""
    return aperture.radius if aperture.factor is None or not fwhm else aperture.factor * fwhm


def on_frame(apertures: Sequence[Aperture], fwhm: float | None, ellipses: Ellipses | None) -> Apertures:
    """The apertures on a frame of this FWHM (px); ``ellipses`` are those of the Kron aperture there.

    The annulus is the observation's; it gives way to circles that a bad night's FWHM makes larger.
    """
    radii = tuple(radius_on(aperture, fwhm) for aperture in apertures if aperture.kind == CIRCLE)
    first = apertures[0]
    shift = max(0.0, max(radii) + (fwhm or 0.0) - first.annulus_inner) if _follow(apertures) else 0.0
    return Apertures(
        radii,
        (first.annulus_inner + shift, first.annulus_outer + shift),
        ellipses=ellipses if any(aperture.kind == KRON for aperture in apertures) else None,
        local=first.sky == ANNULUS,
    )


def seeing_change(apertures: Sequence[Aperture], fwhm: float | None) -> float:
    """ln of a frame's FWHM over the observation's; 0 where one of them is unknown."""
    typical = apertures[0].fwhm
    return float(np.log(fwhm / typical)) if fwhm and typical else 0.0


def _follow(apertures: Sequence[Aperture]) -> bool:
    return any(aperture.factor is not None for aperture in apertures)
