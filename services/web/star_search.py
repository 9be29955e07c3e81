"""Which stars a question means; nobody outside of this database is asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from schema.skies import Source
from services.errors import ConfigurationError
from services.results import targets
from services.results.lightcurves.observation_facts import with_light_curves
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.star_nights import Seen, seen_as, seen_at
from services.results.positions import Named, Position, parse_target
from services.whole_numbers import LARGEST, whole_number

LONGEST = 200  # characters of a question
GAIA_FROM = 10**9  # numbers that are Gaia's; sources count from 1
GAIA_NAME = re.compile(r"gaia(?:\s*e?dr[23])?\s*(\d{1,19})", re.IGNORECASE)
MOST_SHOWN = 50


@dataclass(frozen=True)
class Found:
    """Stars of an answer, each with the nights that have it, and what is to be said of the question."""

    stars: dict[int, list[Seen]]
    words: str = ""


def found_stars(session: Session, question: str) -> Found:
    """Stars that a question means: a number, a name, or a place."""
    if not question:
        return Found({})
    if len(question) > LONGEST:
        return Found({}, f"the question has {len(question)} characters: expected at most {LONGEST}")
    gaia = GAIA_NAME.fullmatch(question)
    number = whole_number(gaia[1] if gaia else question)
    if number is not None:
        return _by_number(session, number, is_gaia=gaia is not None)
    if gaia:
        return Found({}, f"{question!r} is no number of Gaia's: they are at most {LARGEST}")
    try:
        meant = parse_target(question)
    except ConfigurationError as error:
        return Found({}, str(error))
    return _by_name(session, meant.name) if isinstance(meant, Named) else _at_place(session, meant)


def _by_number(session: Session, number: int, *, is_gaia: bool) -> Found:
    if is_gaia or number >= GAIA_FROM:
        return _grouped(seen_as(session, gaia=number), f"no star here is Gaia DR3 {number}")
    if session.get(Source, number) is None:
        return Found({}, f"there is no star {number}")
    return Found({number: seen_as(session, source_id=number)})


def _by_name(session: Session, name: str) -> Found:
    known = targets.find(session, name)
    if known is None:
        return Found(
            {},
            f"the name {name!r} is not known here: give coordinates, or have it looked up by `tianyu target show`",
        )
    moves = known.pm_ra_mas is not None and known.pm_dec_mas is not None
    motion = (known.pm_ra_mas or 0.0, known.pm_dec_mas or 0.0) if moves else None
    return _at_place(session, Position(known.ra_deg, known.dec_deg, "sky", motion))


def _at_place(session: Session, place: Position) -> Found:
    where = f"{place.first:g},{place.second:g}"
    if place.may_be_on_sky and (seen := seen_at(session, place.on_night)):
        return _grouped(seen, "")
    if place.kind == "sky":
        return Found({}, f"no star with light curves lies at RA, Dec {where}")
    found: list[Seen] = []
    for observation in with_light_curves(session)[-MOST_SHOWN:]:
        try:
            found.append((observation, find_source(session, observation, xy=place.pair)))
        except ConfigurationError:
            continue
    return _grouped(found, f"no star lies at pixels {where} of a first frame, nor at RA, Dec {where}")


def _grouped(seen: Sequence[Seen], if_none: str) -> Found:
    stars: dict[int, list[Seen]] = {}
    for one in seen:
        stars.setdefault(one[1].source_id, []).append(one)
    return Found(dict(list(stars.items())[:MOST_SHOWN]), "" if stars else if_none)
