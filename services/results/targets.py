"""Where a name points: what users have said, else what SIMBAD answers, which is kept."""

import shlex
from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from schema import database
from schema.base import utc_now
from schema.skies import NamedObject
from services.errors import ConfigurationError
from services.settings import Settings
from services.sky.catalogue.catalogue_protocol import CatalogueOutage
from services.sky.catalogue.tap import TapService

USER, SIMBAD = "user", "simbad"  # origins
SIMBAD_URL = "https://simbad.cds.unistra.fr/simbad/sim-tap"
NAME_MAX = 128  # characters


def resolve(engine: Engine, settings: Settings, name: str, url: str = SIMBAD_URL) -> NamedObject:
    """The object of a name: as table named_object has it, else SIMBAD's, which is then kept.

    No transaction is open while SIMBAD is asked: on SQLite it would hold up every consumer.

    Raises:
        ConfigurationError: nobody knows the name; or it is not known here and the settings want no catalogue.
        CatalogueOutage: it is not known here and SIMBAD is away.
    """
    with database.reading_factory(engine)() as session:
        known = find(session, name)
    if known is not None:
        return known
    if settings.catalog == "none":
        raise ConfigurationError(f'name {name!r} is not known here, and catalog is "none": {_remedy(name)}')
    try:
        found = _ask_simbad(TapService(url, settings.catalog_timeout_s), name)
    except CatalogueOutage as outage:
        raise CatalogueOutage(
            f"name {name!r} is not known here, and SIMBAD is away: {outage}; {_remedy(name)}"
        ) from outage
    return database.transact(database.session_factory(engine), lambda session: remember(session, found))


def find(session: Session, name: str) -> NamedObject | None:
    """What is known of a name here."""
    return session.get(NamedObject, normalised(name))


def listed(session: Session) -> Sequence[NamedObject]:
    """All names that are known here, in order."""
    return session.scalars(select(NamedObject).order_by(NamedObject.name)).all()


def named_object(
    name: str,
    radec: tuple[float, float],
    pm_mas: tuple[float, float] | None = None,
    origin: str = USER,
) -> NamedObject:
    """A name's place (ICRS, epoch 2000, degrees) and its proper motion (mas a year), not yet kept.

    Raises:
        ConfigurationError: the name is empty or too long, or the place is nowhere on the sky.
    """
    shown = " ".join(name.split())
    if not shown or len(shown) > NAME_MAX:
        raise ConfigurationError(f"{name!r} is no name: expected 1 to {NAME_MAX} characters")
    ra, dec = radec
    if not (np.isfinite([ra, dec, *(pm_mas or ())]).all() and 0.0 <= ra <= 360.0 and abs(dec) <= 90.0):
        raise ConfigurationError(
            f"{shown!r} cannot lie at right ascension {ra}, declination {dec}: expected 0 to 360 and -90 to 90 degrees"
        )
    pm_ra, pm_dec = (None, None) if pm_mas is None else pm_mas
    return NamedObject(
        name=normalised(shown),
        shown_name=shown,
        ra_deg=ra % 360.0,
        dec_deg=dec,
        pm_ra_mas=pm_ra,
        pm_dec_mas=pm_dec,
        origin=origin,
    )


def remember(session: Session, found: NamedObject) -> NamedObject:
    """Keep a named object in the place of what was known of the name."""
    found.created_at = utc_now()
    kept = session.merge(found)
    session.flush()
    session.refresh(kept)
    return kept


def normalised(name: str) -> str:
    """Lower case, single blanks: HAT-P-32, hat-p-32 and  "HAT-P-32 " are one name."""
    return " ".join(name.split()).lower()


def _ask_simbad(service: TapService, name: str) -> NamedObject:
    """SIMBAD itself knows that HD 1, hd1 and "HD      1" are one name."""
    quoted = " ".join(name.split()).replace("'", "''")
    answer = service.query(
        "SELECT basic.main_id, basic.ra, basic.dec, basic.pmra, basic.pmdec "  # noqa: S608 - quotes are doubled
        f"FROM basic JOIN ident ON ident.oidref = basic.oid WHERE ident.id = '{quoted}'",
        max_rows=2,
    )
    if not answer.rows:
        raise ConfigurationError(f"neither this database nor SIMBAD knows the name {name!r}: {_remedy(name)}")
    numbers = [_number(answer.columns, column, service.url) for column in ("ra", "dec", "pmra", "pmdec")]
    ra, dec, pm_ra, pm_dec = numbers
    if ra is None or dec is None:
        raise ConfigurationError(f"SIMBAD knows {name!r} but not where it is: {_remedy(name)}")
    return named_object(name, (ra, dec), None if pm_ra is None or pm_dec is None else (pm_ra, pm_dec), SIMBAD)


def _number(columns: object, name: str, url: str) -> float | None:
    try:
        value = np.ma.asarray(columns[name])[0]  # type: ignore[index]
        return None if value is np.ma.masked or not np.isfinite(value) else float(value)
    except (KeyError, TypeError, ValueError) as error:
        raise CatalogueOutage(f"{url} sent another table than was asked for: no number in column {name}") from error


def _remedy(name: str) -> str:
    return f"check its spelling, or run `tianyu target add {shlex.quote(name)} RA DEC`"
