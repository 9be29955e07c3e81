"""A star's light curves as data for plots: the columns that `tianyu lightcurve` reads, and no others."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.flags import OF_THE_STAR, SPOILING, Flag
from schema.frame import Frame
from schema.image import CALIBRATED, Image
from schema.light_curve_rows import ApertureChoice
from schema.queries.measurements import relative_matrix
from services.results.lightcurves.calibrations import calibrations
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.reading import LightCurve, aperture_name, read_apertures
from services.results.lightcurves.star_nights import Seen, read_nights
from services.web.answers import WrongQuestionError
from services.whole_numbers import whole_number

APERTURES_MOST = 9999  # that an index is looked for
MOST_POINTS = 200_000  # of one answer; older nights are left out and named
COLUMNS = (
    *("jd_utc", "flux_relative", "flux_relative_error", "flux_detrended", "flux_detrended_error"),
    *("mag", "mag_error", "flux_raw", "flux_raw_error"),
)
EXACT = ("image_id", "flag", "aperture")
FLAG_WORDS = {
    Flag.CROWDED: "neighbours in the aperture",
    Flag.BLENDED: "deblended from a neighbour",
    Flag.SATURATED: "saturated",
    Flag.EDGE: "leaves the image",
    Flag.BAD_PIXEL: "bad pixel",
    Flag.NO_SKY: "too few sky pixels: the frame's level",
    Flag.COSMIC_RAY: "cosmic ray",
    Flag.TRAIL: "trail of a satellite",
    Flag.NONLINEAR: "detector not linear",
    Flag.BAD_FRAME: "frame rejected",
    Flag.MISSING: "not measured",
    Flag.FORCED: "at a place that was asked for",
}


def aperture_of(text: str) -> ApertureChoice:
    """An aperture of the query: best, or an index.

    Raises:
        WrongQuestionError: it is neither.
    """
    if text in ("", "best"):
        return "best"
    number = whole_number(text, APERTURES_MOST)
    if number is not None:
        return number
    raise WrongQuestionError(f"aperture {text[:30]!r} is neither best nor an index such as 0")


def within_limit(session: Session, seen: Sequence[Seen]) -> tuple[list[Seen], list[ObservationFacts]]:
    """The newest nights that give at most `MOST_POINTS`, and the observations that are left out."""
    graphs = [facts.graph_pid for facts, _ in seen]
    rows = session.execute(
        select(Image.graph_pid, func.count().label("frames"))
        .where(Image.graph_pid.in_(graphs), Image.kind == CALIBRATED)
        .group_by(Image.graph_pid)
    )
    counted = {row.graph_pid: row.frames for row in rows}
    taken: list[Seen] = []
    left_out: list[ObservationFacts] = []
    points = 0
    for one in sorted(seen, key=lambda one: (one[0].night, one[0].observation_id), reverse=True):
        points += counted.get(one[0].graph_pid, 0)
        if points <= MOST_POINTS or not taken:
            taken.append(one)
        else:
            left_out.append(one[0])
    return sorted(taken, key=lambda one: (one[0].night, one[0].observation_id)), left_out


def curves_data(session: Session, seen: Sequence[Seen], aperture: ApertureChoice, method: str = "") -> dict[str, Any]:
    """Light curves of a star as lists, one a night; NULL and NaN are None.

    ``method``: of the relative flux; a night without it, and an empty one, has that which the views show.

    Raises:
        ConfigurationError: there is no such aperture.
        DataError: a night has no light curves yet.
    """
    taken, left_out = within_limit(session, seen)
    nights = read_nights(session, taken, aperture)
    notes = [*nights.notes, *(f"observation {one.observation_id} ({one.title}) is left out" for one in left_out)]
    return {
        "curves": [_curve(session, curve, method) for curve in nights.curves],
        "apertures": apertures_of(session, [facts for facts, _ in taken]),
        "flags": [
            {"bit": int(flag), "words": words, "spoils": bool(flag & SPOILING), "of_star": bool(flag & OF_THE_STAR)}
            for flag, words in FLAG_WORDS.items()
        ],
        "notes": notes,
    }


def apertures_of(session: Session, observations: Sequence[ObservationFacts]) -> dict[int, str]:
    """Names of the apertures of all these nights, by index."""
    names: dict[int, set[str]] = {}
    for facts in observations:
        for number, aperture in read_apertures(session, facts).items():
            names.setdefault(number, set()).add(aperture_name(aperture))
    return {number: names[number].pop() if len(names[number]) == 1 else "each night's own" for number in sorted(names)}


def _curve(session: Session, curve: LightCurve, method: str) -> dict[str, Any]:
    facts, bjd = curve.observation, curve.bjd
    shown = str(curve.table.meta["calibration_method"])
    other = calibrations(session, facts).get(method) if method not in ("", shown) else None
    return {
        "observation": facts.observation_id,
        "title": facts.title,
        "filter": facts.filter,
        "night": facts.night.isoformat(),
        "instrument": facts.instrument,
        "aperture_name": ", ".join(curve.aperture_names.values()),
        "method": shown if other is None else method,
        "bjd": numbers(bjd),
        **{name: numbers(curve.values(name)) for name in COLUMNS},
        **({} if other is None else _relative(session, curve, other)),
        **{name: curve.values(name).tolist() for name in EXACT},
        "usable": curve.usable.tolist(),
        "reasons": _why_rejected(session, facts),
    }


def _relative(session: Session, curve: LightCurve, pid: int) -> dict[str, list[float | None]]:
    """Relative fluxes of another calibration, for the same points."""
    star, images, apertures = curve.source.source_id, curve.values("image_id"), curve.values("aperture")
    flux, error = np.full(images.shape, np.nan), np.full(images.shape, np.nan)
    for aperture in np.unique(apertures).tolist():
        of_aperture = apertures == aperture
        found = relative_matrix(session, pid, aperture, np.array([star]), images[of_aperture])
        flux[of_aperture], error[of_aperture] = found.flux[0], found.error[0]
    return {"flux_relative": numbers(flux), "flux_relative_error": numbers(error)}


def _why_rejected(session: Session, facts: ObservationFacts) -> dict[int, str]:
    """Why frames of a night are rejected, by image."""
    query = select(Frame.image_id, Frame.reject_reason).where(Frame.graph_pid == facts.graph_pid, Frame.good.is_(False))
    return {image_id: reason or "no reason was kept" for image_id, reason in session.execute(query)}


def numbers(values: Any) -> list[float | None]:
    """As JSON has them: NaN, and what is infinite, is None."""
    return [value if isfinite(value) else None for value in values.tolist()]
