"""Comparison stars chosen by hand: the curve is drawn anew at once, and the choice is saved as settings for a rerun."""

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.flags import usable
from schema.photometry import LightCurveStatistics
from schema.queries.measurements import flux_matrix
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts, observation_facts
from services.results.lightcurves.reading import LightCurve, read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.sky_field import gaia_names
from services.results.plots.roles import Roles, read_roles
from services.web.answers import WrongQuestionError, data, file, id_of, page
from services.web.served import served
from services.web.star_curves import numbers
from services.whole_numbers import whole_number

OFFERED = 60  # stars to choose among
MOST_CHOSEN = 200  # that a saved choice may name


def comparison(request: Request) -> Response:
    """The page; fluxes come by themselves."""
    number, star = id_of(request, "observation"), id_of(request, "star")
    with served(request).reading() as session:
        facts = observation_facts(session, number)
        _, roles, offered = _to_choose(session, facts, star)
        gaia = gaia_names(session, [one.source_id for one in offered])
    return page(request, "comparison.html", facts=facts, star=star, offered=offered, roles=roles, gaia=gaia)


def fluxes_json(request: Request) -> Response:
    """Raw fluxes (ADU) of the star and of the stars that are offered, in the star's own best aperture."""
    number, star = id_of(request, "observation"), id_of(request, "star")
    with served(request).reading() as session:
        curve, _, stars = _to_choose(session, observation_facts(session, number), star)
        offered = [one.source_id for one in stars]
        [aperture] = np.unique(curve.values("aperture"))
        images = curve.values("image_id")
        raw = flux_matrix(session, int(aperture), np.array(offered, dtype=np.int64), images)
    good = curve.values("image_good").astype(np.bool_)
    known = usable(raw.flux, raw.flag, good)
    return data(
        request,
        {
            "time": numbers(curve.bjd if np.isfinite(curve.bjd).any() else curve.values("jd_utc")),
            "is_bjd": bool(np.isfinite(curve.bjd).any()),
            "image_id": images.tolist(),
            "flux": _known(curve.values("flux_raw"), curve.usable),
            "error": _known(curve.values("flux_raw_error"), curve.usable),
            "shown": _known(curve.values("flux_relative"), curve.usable),
            "stars": {
                source_id: {"flux": _known(raw.flux[k], known[k]), "error": _known(raw.error[k], known[k])}
                for k, source_id in enumerate(offered)
            },
        },
    )


def _known(values: NDArray[np.float64], known: NDArray[np.bool_]) -> list[float | None]:
    return numbers(np.where(known, values, np.nan))


def _to_choose(session: Session, facts: ObservationFacts, star: int) -> tuple[LightCurve, Roles, list[Any]]:
    """Light curve of a star, the roles of others in it, and stars to choose among."""
    curve = read_light_curve(session, facts, find_source(session, facts, source_id=star))
    roles = read_roles(session, facts, curve.source)
    return curve, roles, _offered(session, facts, curve, roles)


def _offered(session: Session, facts: ObservationFacts, curve: LightCurve, roles: Roles) -> list[Any]:
    """Stars of known scatter: reference and check stars first, then those nearest in brightness."""
    apertures = np.unique(curve.values("aperture"))
    if apertures.size != 1:
        raise DataError(f"star {curve.source.source_id} has no aperture of its own yet: its night is not analysed")
    table = LightCurveStatistics  # its columns: twenty thousand objects would take two seconds
    rows = session.execute(
        select(table.source_id, table.scatter, table.flux_median).where(
            table.pid == facts.analysis_pid,
            table.aperture == int(apertures[0]),
            table.scatter.is_not(None),
            table.flux_median > 0,
            table.source_id != curve.source.source_id,
        )
    ).all()
    own = float(np.nanmedian(curve.values("flux_raw")[curve.usable])) if curve.usable.any() else 1.0

    def order(one: Any) -> tuple[float, float, int]:
        weight = roles.references.get(one.source_id) or 0.0
        apart = abs(float(np.log((one.flux_median or 1.0) / max(own, 1.0))))
        return -weight, -1.0 if one.source_id in roles.checks else apart, one.source_id

    return heapq.nsmallest(OFFERED, rows, key=order)


def choice_file(request: Request) -> Response:
    """The choice as settings of the method `manual`, for `tianyu rerun`."""
    number, star = id_of(request, "observation"), id_of(request, "star")
    references, checks = _ids(request, "references"), _ids(request, "checks")
    with served(request).reading() as session:
        facts = observation_facts(session, number)
        for one in (star, *references, *checks):
            find_source(session, facts, source_id=one)
    lines = [
        "# Comparison stars that were chosen by hand. With these lines in tianyu.toml, light curves are made by",
        f"#   tianyu rerun --from calibrate_relative {number}",
        'relative_methods = ["manual", "ensemble"]',
        f"manual_targets = {_listed([star])}",
        f"manual_references = {_listed(references)}",
        *([f"manual_checks = {_listed(checks)}"] if checks else []),
    ]
    return file("".join(f"{line}\n" for line in lines).encode(), f"stars-of-{star}.toml", "application/toml")


def _listed(source_ids: list[int]) -> str:
    return "[" + ", ".join(f'"{one}"' for one in source_ids) + "]"


def _ids(request: Request, name: str) -> list[int]:
    text = request.query_params.get(name, "")
    found = [number for part in text.split(",") if (number := whole_number(part)) is not None]
    if len(found) > MOST_CHOSEN or (text and len(found) <= text.count(",")):
        raise WrongQuestionError(f"{name} is {text[:30]!r}: expected at most {MOST_CHOSEN} numbers of stars")
    return found


_PLACE = "/observation/{observation:int}/star/{star:int}"
ROUTES = (
    Route(f"{_PLACE}/comparison", comparison),
    Route(f"{_PLACE}/fluxes.json", fluxes_json),
    Route(f"{_PLACE}/choice.toml", choice_file),
)
