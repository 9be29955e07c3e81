"""Which star a user means, for all commands that take one."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from schema import database
from schema.skies import NamedObject
from services.cli.console import note
from services.errors import ConfigurationError, TianyuError
from services.results.lightcurves.observation_facts import (
    ObservationFacts,
    find_observation,
    observation_facts,
    with_light_curves,
)
from services.results.lightcurves.selection import SourceFacts, find_source, source_at
from services.results.lightcurves.sky_field import in_field, solved_field, why_not_on_sky
from services.results.lightcurves.star_nights import Seen, seen_as, seen_at
from services.results.positions import GaiaId, Named, Place, Position, SourceId, Star, parse_target
from services.results.targets import resolve
from services.results.variability.shown_star import shown_star
from services.settings import Settings
from services.steps.shared.first_frame import name_of_first_frame

PLAIN_NUMBERS = "write pixels as 424px,286px and degrees as 31.0428d,46.6878d where it could be either"


def located(engine: Engine, settings: Settings, star: Star) -> Place:
    """The star, a name replaced by its place. No transaction may be open: SIMBAD may be asked.

    Raises:
        ConfigurationError: nobody knows the name.
        TransientError: the name is not known here, and SIMBAD is away.
    """
    if not isinstance(star, Named):
        return star
    found = resolve(engine, settings, star.name)
    note(f"{found.shown_name} is at {found.ra_deg:.5f}, {found.dec_deg:+.5f} ({found.origin})")
    return position_of(found)


def position_of(found: NamedObject) -> Position:
    """Where a named object is, with its proper motion where that is known."""
    moves = found.pm_ra_mas is not None and found.pm_dec_mas is not None
    motion = (found.pm_ra_mas or 0.0, found.pm_dec_mas or 0.0) if moves else None
    return Position(found.ra_deg, found.dec_deg, "sky", motion)


def find_star(session: Session, observation: ObservationFacts, place: Place) -> SourceFacts:
    """The source of an observation that is meant.

    Raises:
        ConfigurationError: it has no such source.
        DataError: there are no sources yet.
    """
    match place:
        case SourceId(number):
            return find_source(session, observation, source_id=number)
        case GaiaId(number):
            return find_source(session, observation, gaia=number)
        case Position():
            return target_source(session, observation, place)


def target_source(session: Session, observation: ObservationFacts, place: Position) -> SourceFacts:
    """The source at a place on the sky, or at pixels of the observation's first frame.

    Two plain numbers are a place on the sky where that lies in the field, else pixels.

    Raises:
        ConfigurationError: no source lies there.
        DataError: there are no sources yet.
    """

    radec = place.on_night(observation.night) if place.may_be_on_sky else None
    on_sky = place.kind == "sky" or (radec is not None and in_field(session, observation, radec) is True)
    if radec is not None and on_sky:
        star = find_source(session, observation, radec=radec)
        if place.kind == "either":
            note(f"{place.first:g},{place.second:g} lies in the field as RA,DEC and is taken for that; {PLAIN_NUMBERS}")
    else:
        try:
            star = find_source(session, observation, xy=place.pair)
        except ConfigurationError as error:
            if radec is None:
                raise
            raise ConfigurationError(f"{error}; {why_not_on_sky(session, observation)}") from error
    frame = name_of_first_frame(session, observation.graph_pid)
    note(f"the target is source {star.source_id} at x = {star.x:.1f}, y = {star.y:.1f} on the first frame ({frame})")
    return star


def star_to_show(engine: Engine, settings: Settings, observation_id: int, star: Star | None) -> int | None:
    """The source that an observation's plots show, and say which and why; None where no star is fit to be shown.

    It is the one that the user names, else the object of the frames' headers where the field is solved, else the
    choice of `services.results.variability.shown_star`.

    Raises:
        ConfigurationError, DataError, TransientError: what the user names is not there, or not known.
    """

    reading = database.reading_factory(engine)
    with reading() as session:
        observation = observation_facts(session, observation_id)
    if star is not None:
        place = located(engine, settings, star)
        with reading() as session:
            return find_star(session, observation, place).source_id
    named = _object_of_headers(engine, settings, observation)
    if named is not None:
        note(f"the plots show source {named}: it is {observation.target}, the object of the frames' headers")
        return named
    with reading() as session:
        shown = shown_star(session, observation)
    if shown is None:
        note("no star is measured well enough to be shown")
        return None
    note(f"the plots show source {shown.source_id}: {shown.why}")
    return shown.source_id


def _object_of_headers(engine: Engine, settings: Settings, observation: ObservationFacts) -> int | None:
    """The source that OBJECT names; None where the field is not solved, nobody knows the name, or no source is there.

    Folders' names and abbreviations stand in OBJECT as often as stars' names: not knowing one is no fault.
    """

    reading = database.reading_factory(engine)
    with reading() as session:
        if not observation.target or solved_field(session, observation) is None:
            return None
    try:
        place = located(engine, settings, parse_target(observation.target))
    except TianyuError:
        return None
    if not isinstance(place, Position) or place.kind != "sky":
        return None
    with reading() as session:
        star = source_at(session, observation, place.on_night(observation.night))
    return None if star is None else star.source_id


def star_on_nights(session: Session, number: int | None, place: Place) -> list[Seen]:
    """The star in the observation of this number, or in all that have it.

    Raises:
        ConfigurationError: no observation has the star, or there is no such observation.
    """
    everywhere = with_light_curves(session) if number is None else []
    if len(everywhere) > 1:
        seen = _on_several(session, everywhere, place)
        if seen:
            return seen
        raise ConfigurationError(
            f"none of the {len(everywhere)} observations with light curves has this star: `tianyu status` lists "
            "them, and with --observation the reason is told"
        )
    observation = find_observation(session, number)
    return [(observation, find_star(session, observation, place))]


def _on_several(session: Session, observations: list[ObservationFacts], place: Place) -> list[Seen]:
    """The star in all observations that have it."""
    match place:
        case SourceId(number):
            return seen_as(session, source_id=number)
        case GaiaId(number):
            return seen_as(session, gaia=number)
        case Position():
            seen = seen_at(session, place.on_night) if place.may_be_on_sky else []
            if seen and place.kind == "either":
                note(f"{place.first:g},{place.second:g} is taken for RA,DEC; {PLAIN_NUMBERS}")
            if seen or place.kind == "sky":
                return seen
            return seen_as(session, source_id=_on_first_night(session, observations, place.pair))


def _on_first_night(session: Session, observations: list[ObservationFacts], xy: tuple[float, float]) -> int:
    """Id of the source at pixels of the first frame of the first of several nights."""

    first = min(observations, key=lambda one: (one.night, one.observation_id))
    note(
        f"{xy[0]:g},{xy[1]:g} is taken for pixels of the first frame of observation {first.observation_id} "
        f"({first.title}); for another night's choose one (--observation)"
    )
    return find_source(session, first, xy=xy).source_id
