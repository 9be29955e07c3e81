"""Places of a list of stars, for `forced_places`: wherever each is, found or not."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from pipeline.sky.healpix import ORDER, middle_of_cell
from pipeline.sky.proper_motion import J2000_JD
from schema import database
from schema.skies import Source
from services.errors import ConfigurationError
from services.results.lists.list_file import Wanted
from services.results.positions import GaiaId, Named, Position, SourceId, on_sphere
from services.results.targets import resolve
from services.settings import Settings
from services.sky.catalogue import faintest_mag, open_catalogue
from services.sky.catalogue.gaia_archive import IDS_PER_CELL, reach_of_cell_deg
from services.sky.catalogue.own_table import FileCatalogue
from services.star_names import PLACES_MOST, NamedPlace

NAME_MOST = 128  # characters


def asked_places(engine: Engine, settings: Settings, wanted: Sequence[Wanted]) -> tuple[str, ...]:
    """Each star of a list as `forced_places` names it. No transaction may be open: catalogues may be asked.

    Raises:
        ConfigurationError: the place of a star is not known, two stars have one name, or there are too many.
        TransientError: who knows the place is away.
    """
    if len(wanted) > PLACES_MOST:
        raise ConfigurationError(f"{len(wanted)} places are asked for: give at most {PLACES_MOST} at a time")
    found: dict[str, NamedPlace] = {}
    for one in wanted:
        name = " ".join(one.label.split())[:NAME_MOST]
        place = _place(engine, settings, name, one)
        if found.setdefault(name, place) != place:
            raise ConfigurationError(f"two places are called {name!r}: give each a name of its own")
    return tuple(map(str, found.values()))


def _place(engine: Engine, settings: Settings, name: str, one: Wanted) -> NamedPlace:
    match one.star:
        case Named(text):
            known = resolve(engine, settings, text)
            return NamedPlace(name, (known.ra_deg, known.dec_deg), (known.pm_ra_mas or 0.0, known.pm_dec_mas or 0.0))
        case SourceId(number):
            with database.reading_factory(engine)() as session:
                return NamedPlace(name, _of_source(session, number))
        case GaiaId(number):
            return _of_gaia(settings, name, number)
        case Position() as place if place.may_be_on_sky and on_sphere(place.pair):
            return NamedPlace(name, (place.first % 360.0, place.second), place.motion or (0.0, 0.0))
        case _:
            raise ConfigurationError(
                f"{one.label!r} is no place on the sky: flux is measured at a right ascension and declination"
            )


def _of_source(session: Session, number: int) -> tuple[float, float]:
    row = session.execute(select(Source.ra_deg, Source.dec_deg).where(Source.source_id == number)).one_or_none()
    if row is None or row.ra_deg is None or row.dec_deg is None:
        why = "there is no such source" if row is None else "its field is not solved"
        raise ConfigurationError(f"the place of source {number} is not known: {why}")
    return row.ra_deg, row.dec_deg


def _of_gaia(settings: Settings, name: str, number: int) -> NamedPlace:
    """Of a star of the catalogue, moved to the year 2000; whether a source was matched to it does not matter."""
    catalogue = open_catalogue(settings.deployment, settings.choices)
    if catalogue is None:
        raise ConfigurationError(f"the place of Gaia DR3 {number} is not known without a catalogue: give its place")
    if isinstance(catalogue, FileCatalogue):
        stars = catalogue.all()
    else:
        middle = middle_of_cell(number // IDS_PER_CELL)
        stars = catalogue.cone(*middle, reach_of_cell_deg(ORDER), faintest_mag(settings.choices))
    stars = stars.take(stars.source_id == number)
    if not len(stars):
        raise ConfigurationError(
            f"the catalogue has no star Gaia DR3 {number} brighter than G = {faintest_mag(settings.choices):g} "
            "(catalog_mag_limit): give its place"
        )
    [(ra, dec)] = stars.at_epoch(J2000_JD)
    motion = np.nan_to_num([stars.pm_ra_mas[0], stars.pm_dec_mas[0]])
    return NamedPlace(name, (float(ra), float(dec)), (float(motion[0]), float(motion[1])))
