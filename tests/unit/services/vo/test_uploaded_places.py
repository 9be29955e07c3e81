"""Uploaded places are joined with the stars near to them: the pairs that NumPy finds, on each database."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
from astropy.table import Table
from numpy.typing import NDArray
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from pipeline.sky.healpix import cells
from schema.base import table_of
from schema.database import READ_ONLY
from schema.skies import Sky, Source
from services.vo.adql.select_compiler import translate
from services.vo.adql.typed import Compiled
from services.vo.published.published_table import Catalogue
from services.vo.published.science_tables import SCIENCE_TABLES
from services.vo.query_limits import QueryLimits
from services.vo.query_running import Stop, asked
from services.vo.uploaded_tables import read_uploads
from services.vo.vo_errors import RefusedError
from tests.unit.services import made_up
from tests.unit.services.vo.chunk_rows import rows_of
from tests.unit.services.vo.solved_night import reading_engine

Floats = NDArray[np.float64]
Pairs = set[tuple[int, int | None]]
RADII = (0.0, 0.0005, 0.05, 1.3, 33.0, 100.0, 179.0, 180.0)  # degrees
# Where cells are of other shapes, and numbers start anew.
MIDDLES = ((0.0, 90.0), (200.0, -90.0), (0.0, 10.0), (359.99999, -41.8103), (45.0, 41.8103), (31.0, 46.7))
JOINED = "SELECT u.n, s.source_id FROM {uploaded} AS u {kind} JOIN source_catalog AS s ON {condition}"
ALIKE = (
    "1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(u.ra, u.dec, {radius}))",
    "1 = CONTAINS(POINT('ICRS', u.ra, u.dec), CIRCLE('ICRS', s.ra, s.dec, {radius}))",
    "(DISTANCE(s.ra, s.dec, u.ra, u.dec) <= {radius} AND s.source_id > 0)",
    "INTERSECTS(CIRCLE(u.ra, u.dec, {radius}), POINT(s.ra, s.dec)) <> 0",
)


def around(numbers: np.random.Generator, count: int) -> Floats:
    """Places about the middles, some beyond 24 h, and others all over the sphere; float64[n, 2], degrees."""
    near = [np.add(middle, numbers.normal(0, size, (count, 2))) for middle in MIDDLES for size in (0.0004, 0.05, 1.0)]
    found = np.vstack([*near, np.column_stack([numbers.uniform(-360, 720, count), numbers.uniform(-90, 90, count)])])
    over = np.abs(found[:, 1]) > 90.0
    found[over] = np.column_stack([found[over, 0] + 180.0, np.sign(found[over, 1]) * 180.0 - found[over, 1]])
    return found


def distances(one: Floats, other: Floats) -> Floats:
    """Degrees, float64[n, m], by unit vectors and not as SQL has them."""

    def vectors(places: Floats) -> Floats:
        ra, dec = np.radians(places.T)
        return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])

    chord = np.linalg.norm(vectors(one)[:, None] - vectors(other)[None], axis=2)
    return np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


@dataclass(frozen=True)
class Field:
    """Stars of a database, and a table that is uploaded; ``radius``: of its rows, NaN where there is none."""

    engine: Engine
    ids: NDArray[np.int64]
    stars: Floats
    places: Floats
    radius: Floats

    def compiled(self, adql: str, table: Table) -> Compiled:
        sent = io.BytesIO()
        table.write(sent, format="votable")
        is_sqlite = self.engine.dialect.name == "sqlite"
        uploads = read_uploads("mine,param:t", {"t": sent}, lambda _: None, QueryLimits(), is_sqlite=is_sqlite)
        return translate(adql, Catalogue((*SCIENCE_TABLES, *uploads)), is_sqlite=is_sqlite)

    @property
    def table(self) -> Table:
        ra, dec = self.places.T
        return Table({"n": np.arange(len(ra)), "ra": ra, "dec": dec, "r": self.radius})

    def pairs(self, adql: str) -> Pairs:
        with asked(self.engine, self.compiled(adql, self.table), 1_000_000, Stop(60.0)) as chunks:
            rows = [row for chunk in chunks for row in rows_of(chunk)]
        assert len(set(rows)) == len(rows)
        return set(rows)

    def near(self, radius: float | Floats) -> Pairs:
        """What NumPy finds; no pair is so near to the edge that rounding could decide."""
        apart, limit = distances(self.places, self.stars), np.broadcast_to(radius, len(self.places))[:, None]
        at_the_edge = np.abs(apart - limit) < 1e-9
        assert not (at_the_edge & (apart > 1e-9)).any()
        rows, stars = np.nonzero(apart <= limit + 1e-9)
        return set(zip(rows.tolist(), self.ids[stars].tolist(), strict=True))


@pytest.fixture
def field(any_session: Session) -> Field:
    numbers = np.random.default_rng(7)
    stars = around(numbers, 15)
    stars[:, 0] %= 360.0
    any_session.add(Sky(sky_id=1, name="all", created_at=made_up.BEGAN))
    any_session.flush()
    ids = np.arange(1, len(stars) + 1)
    found = zip(ids.tolist(), stars.tolist(), cells(stars).tolist(), strict=True)
    rows = [
        {"source_id": one, "sky_id": 1, "pid": 1, "x": 0.0, "y": 0.0, "ra_deg": ra, "dec_deg": dec, "healpix": cell}
        for one, (ra, dec), cell in found
    ]
    unsolved = {"source_id": len(rows) + 1, "sky_id": 1, "pid": 1, "x": 0.0, "y": 0.0}
    any_session.execute(insert(table_of(Source)), rows)
    any_session.execute(insert(table_of(Source)), [unsolved])
    any_session.commit()
    engine = reading_engine(any_session.get_bind().engine.url.render_as_string(hide_password=False))
    any_session.close()
    places = np.vstack([around(numbers, 3), stars[::40], [[0, 90], [77, -90], [360, 0]]])
    radius = 10 ** numbers.uniform(-4, 2, len(places))
    radius[:3] = np.nan, -1.0, 500.0
    return Field(engine, ids, stars, places, radius)


def test_pairs_are_those_of_the_sphere(field: Field) -> None:
    """One test of all, since a database for each would take longer than the questions."""
    for radius in RADII:
        wanted = field.near(radius)
        assert 0 < len(wanted) <= len(field.places) * len(field.ids)
        for condition in ALIKE:
            adql = JOINED.format(uploaded="TAP_UPLOAD.mine", kind="", condition=condition.format(radius=radius))
            assert field.pairs(adql) == wanted, (radius, condition)
    wanted = field.near(0.05)
    comma = "SELECT u.n, s.source_id FROM source_catalog AS s, TAP_UPLOAD.mine AS u WHERE "
    assert field.pairs(comma + ALIKE[0].format(radius=0.05)) == wanted
    everything = {(row, one) for row in range(len(field.places)) for one in field.ids.tolist()}
    far = "0 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(u.ra, u.dec, 0.05))"
    assert field.pairs(JOINED.format(uploaded="TAP_UPLOAD.mine", kind="", condition=far)) == everything - wanted
    of_rows = ALIKE[0].format(radius="u.r")
    wanted = field.near(np.nan_to_num(field.radius, nan=-1.0))
    assert field.pairs(JOINED.format(uploaded="TAP_UPLOAD.mine", kind="", condition=of_rows)) == wanted
    _left_joins(field)
    _stars_with_and_without(field)
    _tables_in_tables(field)
    field.engine.dispose()


def _left_joins(field: Field) -> None:
    alone = {(row, None) for row in range(len(field.places))}

    def with_the_rest(pairs: Pairs) -> Pairs:
        return pairs | {one for one in alone if one[0] not in {row for row, _ in pairs}}

    for radius in (0.0005, 0.05, 33.0):
        near = field.near(radius)
        for condition in ALIKE:
            adql = JOINED.format(uploaded="TAP_UPLOAD.mine", kind="LEFT", condition=condition.format(radius=radius))
            assert field.pairs(adql) == with_the_rest(near), (radius, condition)
    few = {(row, one) for row, one in field.near(1.3) if one is not None and one % 2 and row > 5}
    condition = f"u.n > 5 AND ({ALIKE[0].format(radius=1.3)} AND s.source_id & 1 = 1)"
    adql = JOINED.format(uploaded="TAP_UPLOAD.mine", kind="LEFT OUTER", condition=condition)
    assert field.pairs(adql) == with_the_rest(few)
    # A circle that need not hold does not choose the rows.
    either = {(row, one) for row, one in field.near(0.05)} | {(row, 7) for row in range(len(field.places))}
    condition = f"{ALIKE[0].format(radius=0.05)} OR s.source_id = 7"
    assert field.pairs(JOINED.format(uploaded="TAP_UPLOAD.mine", kind="LEFT", condition=condition)) == either


def _stars_with_and_without(field: Field) -> None:
    """LEFT JOIN of an uploaded table behind the stars: each star at least once, one without a place too."""
    for radius in (0.0005, 1.3):
        near = field.near(radius)
        alone = {*field.ids.tolist(), len(field.ids) + 1} - {star for _, star in near}
        for condition in ALIKE:
            joined = f"source_catalog AS s LEFT JOIN TAP_UPLOAD.mine AS u ON {condition.format(radius=radius)}"
            found = field.pairs(f"SELECT u.n, s.source_id FROM {joined}")
            assert found == near | {(None, star) for star in alone}, (radius, condition)


def _tables_in_tables(field: Field) -> None:
    """Two circles in one query, an uploaded table twice, and one within a query, whose rows' cells nobody knows."""
    inner = "(SELECT n, ra, dec FROM TAP_UPLOAD.mine)"
    adql = JOINED.format(uploaded=inner, kind="", condition=ALIKE[0].format(radius=0.05))
    assert field.pairs(adql) == field.near(0.05)
    rings = (
        "SELECT u.n, s.source_id FROM TAP_UPLOAD.mine AS u JOIN source_catalog AS s "
        "ON 1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(u.ra, u.dec, 1.3)) "
        "WHERE 0 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(u.ra, u.dec, 0.05))"
    )
    assert field.pairs(rings) == field.near(1.3) - field.near(0.05)
    twice = (
        "SELECT u.n, s.source_id FROM TAP_UPLOAD.mine AS u JOIN TAP_UPLOAD.mine AS v ON u.n = v.n "
        "LEFT JOIN source_catalog AS s ON 1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(v.ra, v.dec, 180)) "
    )
    assert len(field.pairs(twice)) == len(field.places) * len(field.ids)


def test_stars_are_looked_for_by_their_index(ready_sqlite_url: str) -> None:
    """On SQLite, whose plans do not hang on how many rows there are."""
    field = Field(reading_engine(ready_sqlite_url), np.zeros(0), np.zeros((0, 2)), np.zeros((2, 2)), np.ones(2))

    def plan(joined: str, condition: str) -> str:
        adql = f"SELECT u.n, s.source_id FROM {joined} ON {condition}"
        made = field.compiled(adql, field.table).select.compile(field.engine)
        values = [made.params[name] for name in made.positiontup or ()]
        with field.engine.execution_options(**READ_ONLY).connect() as connection:
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {made}", tuple(values)).all()
        return "\n".join(row[3] for row in found)

    uploaded, stars = "TAP_UPLOAD.mine AS u", "source_catalog AS s"
    for condition in ALIKE:
        for radius in ("2 / 3600.0", "u.r"):
            near = condition.format(radius=radius)
            for words in (plan(f"{uploaded} JOIN {stars}", near), plan(f"{uploaded} LEFT JOIN {stars}", near)):
                assert "SEARCH s USING INDEX ix_source_healpix" in words, words
                assert "SCAN s" not in words
            words = plan(f"{stars} LEFT JOIN {uploaded}", near)
            assert "SEARCH s USING INDEX ix_source_healpix" in words, words
            assert words.count("SCAN s") == 1, "each star once, and none for each row"
    field.engine.dispose()


def test_a_place_beyond_a_pole_is_refused_with_its_row(ready_sqlite_url: str) -> None:
    field = Field(reading_engine(ready_sqlite_url), np.zeros(0), np.zeros((0, 2)), np.zeros((3, 2)), np.ones(3))
    field.places[1] = 10.0, 95.0
    adql = JOINED.format(uploaded="TAP_UPLOAD.mine", kind="", condition=ALIKE[0].format(radius=1))
    with pytest.raises(RefusedError, match="row 2 of an uploaded table has declination 95"):
        field.compiled(adql, field.table)
    field.engine.dispose()
