"""Names: kept ones first, then SIMBAD's, which are kept; and no network where none is wanted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.table import MaskedColumn, Table
from sqlalchemy import Engine

from schema import database
from services.errors import ConfigurationError
from services.results import targets
from services.settings import Settings
from services.sky.catalogue import CatalogueOutage
from tests.unit.catalogue.archive import Archive, send, serve, votable

HATP32 = (31.0427684, 46.6878514)


@pytest.fixture
def engine(ready_sqlite_url: str) -> Iterator[Engine]:
    engine = database.connect(ready_sqlite_url)
    yield engine
    engine.dispose()


def basic(count: int = 1, *, moves: bool = True) -> Table:
    """SIMBAD's answer."""
    table = Table({"main_id": ["HAT-P-32"] * count, "ra": [HATP32[0]] * count, "dec": [HATP32[1]] * count})
    table["pmra"] = MaskedColumn([-10.1] * count, mask=[not moves] * count)
    table["pmdec"] = MaskedColumn([3.6] * count, mask=[not moves] * count)
    return table


class Simbad(Archive):
    """Knows HAT-P-32 by two names."""

    def answer(self, query: str) -> bytes:
        known = "'hat-p-32'" in query.lower() or "'wasp''s friend'" in query.lower()
        return votable(self.stars if known else self.stars[:0])


@pytest.fixture
def simbad() -> Iterator[Simbad]:
    with serve(Simbad(basic())) as simbad:
        yield simbad  # type: ignore[misc]


def settings(tmp_path: Path, **more: object) -> Settings:
    return Settings(**({"catalog": "gaia", "root": tmp_path, "catalog_timeout_s": 5.0} | more))


def add(engine: Engine, name: str, radec: tuple[float, float], pm: tuple[float, float] | None = None) -> None:
    database.transact(
        database.session_factory(engine),
        lambda session: targets.remember(session, targets.named_object(name, radec, pm)),
    )


def test_simbads_answer_is_kept(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    for name in ("HAT-P-32", "hat-p-32", "  HAT-P-32 "):
        found = targets.resolve(engine, settings(tmp_path), name, simbad.url)
        assert (found.ra_deg, found.dec_deg) == HATP32
        assert (found.pm_ra_mas, found.pm_dec_mas) == (-10.1, 3.6)
        assert (found.shown_name, found.origin) == ("HAT-P-32", "simbad")
    assert len(simbad.queries) == 1


def test_a_users_word_stands_before_simbads(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    add(engine, "HAT-P-32", (10.0, -20.0), (1.0, 2.0))
    found = targets.resolve(engine, settings(tmp_path), "hat-p-32", simbad.url)
    assert (found.ra_deg, found.dec_deg, found.pm_dec_mas, found.origin) == (10.0, -20.0, 2.0, "user")
    assert simbad.queries == []


def test_what_a_user_says_replaces_what_was_known(engine: Engine) -> None:
    add(engine, "My  Star", (10.0, -20.0), (1.0, 2.0))
    add(engine, "my star", (11.0, -21.0))
    with database.reading_factory(engine)() as session:
        (kept,) = targets.listed(session)
    assert (kept.name, kept.shown_name) == ("my star", "my star")
    assert (kept.ra_deg, kept.dec_deg, kept.pm_ra_mas) == (11.0, -21.0, None)


def test_an_apostrophe_stays_within_the_name(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    targets.resolve(engine, settings(tmp_path), "WASP's friend", simbad.url)
    assert simbad.queries[0].endswith("WHERE ident.id = 'WASP''s friend'")


def test_a_star_without_motion_has_none(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    simbad.stars = basic(moves=False)
    found = targets.resolve(engine, settings(tmp_path), "HAT-P-32", simbad.url)
    assert (found.pm_ra_mas, found.pm_dec_mas) == (None, None)


def test_a_name_that_nobody_knows(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    with pytest.raises(ConfigurationError, match=r"nor SIMBAD knows the name 'X 1'.*`tianyu target add 'X 1' RA DEC`"):
        targets.resolve(engine, settings(tmp_path), "X 1", simbad.url)
    with database.reading_factory(engine)() as session:
        assert targets.listed(session) == []


def test_nobody_is_asked_where_no_catalogue_is_wanted(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    wanted = settings(tmp_path, catalog="none")
    with pytest.raises(ConfigurationError, match=r'catalog is "none": .*`tianyu target add HAT-P-32 RA DEC`'):
        targets.resolve(engine, wanted, "HAT-P-32", simbad.url)
    assert simbad.queries == []
    add(engine, "HAT-P-32", HATP32)
    assert targets.resolve(engine, wanted, "HAT-P-32", simbad.url).ra_deg == HATP32[0]


def test_simbad_is_away(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    simbad.spoil = lambda handler, body: send(handler, b"<html>down for maintenance</html>", code=404)
    with pytest.raises(CatalogueOutage, match=r"SIMBAD is away: .*down for maintenance.*`tianyu target add HAT-P-32"):
        targets.resolve(engine, settings(tmp_path), "HAT-P-32", simbad.url)


def test_another_table_is_an_outage(engine: Engine, tmp_path: Path, simbad: Simbad) -> None:
    simbad.stars = basic()["main_id", "ra"]
    with pytest.raises(CatalogueOutage, match="no number in column dec"):
        targets.resolve(engine, settings(tmp_path), "HAT-P-32", simbad.url)


@pytest.mark.parametrize("name", ["", " ", "x" * 129])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name: expected 1 to 128 characters"):
        targets.named_object(name, (1.0, 2.0))


@pytest.mark.parametrize("radec", [(-1.0, 2.0), (361.0, 2.0), (1.0, 91.0), (1.0, -90.1), (float("nan"), 2.0)])
def test_places_that_are_none_are_refused(radec: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot lie at .*expected 0 to 360 and -90 to 90 degrees"):
        targets.named_object("x", radec)
