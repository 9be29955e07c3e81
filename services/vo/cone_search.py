"""Simple Cone Search 1.03: stars about a place."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from services.vo.fields import Kind
from services.vo.questions import Question, maxrec_of
from services.vo.tap_routes import TapService
from services.vo.vo_errors import RefusedError
from services.vo.vo_requests import LINKS_PATH, base_url, told

BRIEF = "source_id, ra, dec, gaia_source_id, gaia_g_mag"
FULL = "*"
MOST_DEG = 180.0
# The standard has names of before UCD1+ for the three columns that it asks for.
SAID: Mapping[str, Mapping[str, Any]] = {
    "source_id": {"ucd": "ID_MAIN", "kind": Kind.CHAR},
    "ra": {"ucd": "POS_EQ_RA_MAIN"},
    "dec": {"ucd": "POS_EQ_DEC_MAIN"},
}


@dataclass(frozen=True)
class Cone:
    """What is asked; degrees."""

    ra: float
    dec: float
    radius: float


def cone_of(values: Mapping[str, str]) -> Cone:
    """Of parameters by names in capitals.

    Raises:
        RefusedError: one is missing, or no number that it can be.
    """
    found = []
    for name, least, most in (("RA", -360.0, 360.0), ("DEC", -90.0, 90.0), ("SR", 0.0, MOST_DEG)):
        words = values.get(name, "")
        try:
            number = float(words)
        except ValueError:
            number = float("nan")
        if not (isfinite(number) and least <= number <= most):
            raise RefusedError(f"{name} is {words[:40]!r}: expected degrees from {least:g} to {most:g}")
        found.append(number)
    return Cone(*found)


class ConeSearch:
    """Asks the catalogue of stars as TAP does."""

    def __init__(self, tap: TapService) -> None:
        self._tap = tap

    @told
    async def search(self, request: Request) -> Response:
        """Stars about a place, the nearest first; VERB=1 gives few columns, VERB=3 all."""
        values = {name.upper(): value for name, value in request.query_params.items()}
        cone = cone_of(values)
        verbosity = values.get("VERB", "2")
        if verbosity not in ("1", "2", "3"):
            raise RefusedError(f"VERB is {verbosity[:40]!r}: expected 1, 2 or 3")
        columns = FULL if verbosity == "3" else BRIEF
        place = f"{cone.ra!r}, {cone.dec!r}"
        question = Question(
            # ADQL of numbers and words of our own, which is translated as any other.
            f"SELECT {columns}, DISTANCE(ra, dec, {place}) AS distance FROM tianyu.source_catalog "  # noqa: S608
            f"WHERE CONTAINS(POINT(ra, dec), CIRCLE({place}, {cone.radius!r})) = 1 ORDER BY distance",
            0 if cone.radius == 0 else maxrec_of(values.get("MAXREC", "")),
            values.get("RESPONSEFORMAT", ""),
            links=f"{base_url(request)}{LINKS_PATH}",
            protocol="ivo://ivoa.net/std/ConeSearch",
            said=SAID,
        )
        return await self._tap.answer(question)


def cone_routes(tap: TapService) -> list[BaseRoute]:
    """The address `/scs`."""
    return [Route("/scs", ConeSearch(tap).search)]
