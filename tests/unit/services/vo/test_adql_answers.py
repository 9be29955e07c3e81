"""Answers to ADQL on each database, beside what NumPy says of the same stars."""

import io
import threading
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema import database
from schema.skies import Source
from services.vo.adql.select_compiler import translate
from services.vo.published.published_table import Catalogue, PublishedTable
from services.vo.published.science_tables import SCIENCE_TABLES
from services.vo.query_limits import QueryLimits
from services.vo.query_running import Stop, asked
from services.vo.uploaded_tables import read_uploads
from services.vo.vo_errors import RefusedError, TooLongError
from tests.ready_databases import count_rows_anew
from tests.unit.services.vo.chunk_rows import rows_of
from tests.unit.services.vo.solved_night import CENTRE, FRAMES, STARS, reading_engine, solved_night

RA, DEC = CENTRE
FOUR = "light_curve AS a, light_curve AS b, light_curve AS c, light_curve AS d"
ENDLESS = f"SELECT COUNT(*) FROM {FOUR} WHERE a.flag + b.flag + c.flag + d.flag > 1e9"
# Of no more rows than a server lets pass, and seconds on the fastest machine.
SINES = " + ".join(f"SIN(a.jd_utc + b.flux_raw + {number})" for number in range(50))
LONG = f"SELECT COUNT(*) FROM light_curve AS a, light_curve AS b WHERE {SINES} > 100"


class Asked:
    """The database of one engine, with the night in it."""

    def __init__(self, session: Session) -> None:
        self.night = solved_night(session)
        rows = session.execute(select(Source.source_id, Source.ra_deg, Source.dec_deg).order_by(Source.source_id)).all()
        self.source_ids, self.ra, self.dec = (np.array(one) for one in zip(*rows, strict=True))
        count_rows_anew(session)
        self.engine = reading_engine(session.get_bind().engine.url.render_as_string(hide_password=False))
        session.close()

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def rows(
        self, adql: str, stop: Stop | None = None, uploads: tuple[PublishedTable, ...] = ()
    ) -> list[tuple[Any, ...]]:
        query = translate(adql, Catalogue((*SCIENCE_TABLES, *uploads)), is_sqlite=self.is_sqlite)
        with asked(self.engine, query, 10_000, stop or Stop(30.0)) as chunks:
            return [row for chunk in chunks for row in rows_of(chunk)]

    def ids(self, condition: str) -> list[int]:
        return [
            row[0] for row in self.rows(f"SELECT source_id FROM source_catalog WHERE {condition} ORDER BY source_id")
        ]

    def where(self, chosen: NDArray[np.bool_]) -> list[int]:
        return [int(one) for one in self.source_ids[chosen]]

    def distance(self, ra: float, dec: float) -> NDArray[np.float64]:
        a, b = np.radians(self.dec), np.radians(dec)
        half = np.sin((a - b) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.radians(self.ra - ra) / 2) ** 2
        return np.degrees(2 * np.arcsin(np.sqrt(half)))


def test_answers_are_those_of_the_stars(any_session: Session) -> None:
    """One test of all, since a database for each would take longer than the questions."""
    it = Asked(any_session)
    _places_on_the_sky(it)
    _words_of_adql(it)
    _queries_in_queries(it)
    _uploaded_stars(it)
    _limits(it)
    it.engine.dispose()


def _places_on_the_sky(it: Asked) -> None:
    near = it.distance(RA, DEC)
    radius = float(np.sort(near)[11:13].mean())
    inside = near <= radius
    circle = f"CIRCLE({RA}, {DEC}, {radius!r})"
    assert it.ids(f"1 = CONTAINS(POINT('ICRS', ra, dec), {circle})") == it.where(inside)
    assert it.ids(f"CONTAINS(POINT(ra, dec), {circle}) = 0") == it.where(~inside)
    assert it.ids(f"INTERSECTS({circle}, POINT(ra, dec)) = 1") == it.where(inside)
    assert it.ids(f"DISTANCE(ra, dec, {RA}, {DEC}) < {radius!r}") == it.where(inside)
    assert it.ids(f"{radius!r} >= DISTANCE(POINT({RA}, {DEC}), POINT(ra, dec))") == it.where(inside)
    assert it.ids(f"DISTANCE(ra, dec, {RA}, {DEC}) > {radius!r}") == it.where(~inside)
    ra, dec = round(float(it.ra.mean()), 4), round(float(it.dec.mean()), 4)
    x, y = it.ra - ra, it.dec - dec
    # A dart: the square about the centre, without the triangle between its right side and the centre.
    corners = ((-0.1, -0.1), (0.1, -0.1), (0, 0), (0.1, 0.1), (-0.1, 0.1))
    dart = ", ".join(f"{ra + across}, {dec + up}" for across, up in corners)
    in_dart = ~((x > 0) & (abs(y) < x))
    assert 0 < in_dart.sum() < STARS
    assert it.ids(f"CONTAINS(POINT(ra, dec), POLYGON({dart})) = 1") == it.where(in_dart)
    boxed = it.ids(f"CONTAINS(POINT(ra, dec), BOX({ra}, {dec}, 0.03, 0.02)) = 1")
    assert boxed == it.where((abs(x) * np.cos(np.radians(it.dec)) < 0.015) & (abs(y) < 0.01))
    assert 0 < len(boxed) < STARS
    found = it.rows(f"SELECT source_id, DISTANCE(ra, dec, {RA}, {DEC}) FROM source_catalog ORDER BY source_id")
    assert [row[1] for row in found] == pytest.approx(near, rel=1e-9)
    pairs = "a.source_id < b.source_id AND 1 = CONTAINS(POINT(a.ra, a.dec), CIRCLE(b.ra, b.dec, 0.01))"
    separations = np.array([it.distance(one, other) for one, other in zip(it.ra, it.dec, strict=True)])
    wanted = int(((separations <= 0.01).sum() - STARS) / 2)
    assert wanted > 0
    assert it.rows(f"SELECT COUNT(*) FROM source_catalog AS a, source_catalog AS b WHERE {pairs}") == [(wanted,)]


def _words_of_adql(it: Asked) -> None:
    good = int(it.night.good.sum())
    counted = it.rows("SELECT COUNT(*), COUNT(DISTINCT source_id), MIN(aperture) FROM light_curve")
    assert counted == [(STARS * FRAMES * 3, STARS, 0)]
    one = "SELECT COUNT(*) AS n FROM light_curve WHERE source_id = 4 AND aperture_best = 1 AND usable = 1"
    assert it.rows(one.replace("4", str(it.source_ids[3]))) == [(good,)]
    words = it.rows("SELECT target || '!', UPPER(filter), LOWER(target) FROM observation WHERE target LIKE 'HAT%'")
    assert words == [("HAT-P-32!", "R", "hat-p-32")]
    assert it.rows("SELECT target FROM observation WHERE target LIKE 'hat%'") == []
    ilike = "SELECT target FROM observation WHERE target ILIKE 'hAT-_-32' AND night >= '2024-03-04'"
    assert it.rows(ilike) == [("HAT-P-32",)]
    assert it.rows("SELECT target FROM observation WHERE target NOT ILIKE 'hat%' OR target IN ('x', 'y')") == []
    [numbers] = it.rows(
        "SELECT TOP 1 1/4, 7/2*2, ROUND(2.5), ROUND(-1234.5678, 2), ROUND(1250, -2), TRUNCATE(-1.79, 1), MOD(7, 4), "
        "LOG(EXP(2)), LOG10(1000), POWER(2, 10), COT(1), DEGREES(PI()), CEILING(1.2), FLOOR(-1.2), ABS(-3), SQRT(2), "
        "ATAN2(1, 1), COALESCE(gaia_g_mag, 99.5), IN_UNIT(ra, 'arcsec') / ra, 6 & 3, 6 | 1, 0.1 + 0.2, -(-2) "
        "FROM source_catalog ORDER BY source_id"
    )
    logarithms = (2, 3, 1024, 1 / np.tan(1), 180)
    rest = (2, -2, 3, 2**0.5, np.pi / 4, 99.5, 3600, 2, 7, 0.1 + 0.2, 2)
    assert [float(one) for one in numbers] == pytest.approx(
        [0.25, 7, 3, -1234.57, 1300, -1.7, 3, *logarithms, *rest], rel=1e-12
    )
    [(random,)] = it.rows("SELECT RAND() FROM observation")
    assert 0 <= random < 1


def _queries_in_queries(it: Asked) -> None:
    ids = it.where(np.ones(STARS, dtype=bool))
    both = "SELECT source_id FROM source_place {} SELECT source_id FROM source_catalog ORDER BY source_id"
    assert it.rows(both.format("UNION")) == it.rows(both.format("INTERSECT")) == [(one,) for one in ids]
    assert it.rows("SELECT source_id FROM source_catalog EXCEPT SELECT source_id FROM light_curve") == []
    some = "SELECT TOP 3 source_id FROM source_catalog UNION ALL SELECT source_id FROM source_catalog"
    assert len(it.rows(some)) == STARS + 3
    bright = "WITH b AS (SELECT source_id AS id, flux AS f FROM source_catalog WHERE flux > 1e6) SELECT COUNT(*) FROM b"
    assert it.rows(bright) == [(int((it.night.flux > 1e6).sum()),)]
    # Each star is asked of its own points: a subquery that lost the star outside would give all of them, or none.
    own = "(SELECT l.image_id FROM light_curve AS l WHERE l.source_id = s.source_id AND l.flag & 4 = 4)"
    assert it.rows(f"SELECT COUNT(*) FROM source_catalog AS s WHERE EXISTS {own}") == [(1,)]
    assert it.rows(f"SELECT COUNT(*) FROM source_catalog AS s WHERE NOT EXISTS {own}") == [(STARS - 1,)]
    brightest = (
        "SELECT s.source_id FROM source_catalog AS s WHERE s.flux = (SELECT MAX(c.flux) FROM source_catalog AS c)"
    )
    assert it.rows(brightest) == [(ids[0],)]
    joined = it.rows(
        "SELECT o.target, s.source_id, COUNT(*) AS points, AVG(l.flux_relative) FROM light_curve AS l "
        "JOIN source_catalog AS s USING (source_id) "
        "LEFT OUTER JOIN observation AS o ON o.observation_id = l.observation_id WHERE l.aperture = 0 AND l.usable = 1 "
        "GROUP BY o.target, s.source_id HAVING COUNT(*) > 10 ORDER BY points DESC, s.source_id"
    )
    assert len(joined) == STARS - 1
    assert joined[0][:3] == ("HAT-P-32", ids[2], int(it.night.good.sum()))
    natural = "SELECT a.source_id FROM source_catalog AS a NATURAL JOIN (SELECT source_id FROM source_place) AS b"
    assert len(it.rows(natural)) == STARS
    assert it.rows("SELECT q.n FROM (SELECT COUNT(*) AS n FROM source_catalog) AS q") == [(STARS,)]
    assert it.rows("SELECT DISTINCT aperture FROM light_curve ORDER BY aperture DESC") == [(2,), (1,), (0,)]
    rest = it.rows(f"SELECT source_id FROM source_catalog ORDER BY source_id OFFSET {STARS - 2}")
    assert [row[0] for row in rest] == ids[-2:]


def _uploaded_stars(it: Asked) -> None:
    """Values of all kinds come back as they were sent, and stars are matched."""
    big = 2**62 + 1
    sent = Table(
        {
            "name": ["öne", 'it\'s \\ "two"', "HAT-P-32"],
            "ra": [float(it.ra[0]), float(it.ra[5]), 200.0],
            "dec": [float(it.dec[0]), float(it.dec[5]), 0.1],
            "big": [big, -big, 0],
            "small": np.array([1, 2, 3], dtype=np.int16),
            "single": np.array([0.1, np.nan, 3], dtype=np.float32),
        }
    )
    content = io.BytesIO()
    sent.write(content, format="votable")
    files = {"t": content}
    uploads = tuple(read_uploads("mine,param:t", files, lambda _: None, QueryLimits(), is_sqlite=it.is_sqlite))
    back = it.rows("SELECT name, ra, dec, big, small, single FROM TAP_UPLOAD.mine ORDER BY small", uploads=uploads)
    assert [row[0] for row in back] == sent["name"].tolist()
    assert [row[1:5] for row in back] == [tuple(row)[1:5] for row in sent.iterrows()]
    assert [row[5] for row in back] == [float(np.float32(0.1)), None, 3.0]
    near = "1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(u.ra, u.dec, 1 / 3600.0))"
    joined = f"TAP_UPLOAD.mine AS u LEFT JOIN source_catalog AS s ON {near}"
    match = it.rows(f"SELECT u.small, s.source_id FROM {joined} ORDER BY u.small", uploads=uploads)
    assert match == [(1, it.source_ids[0]), (2, it.source_ids[5]), (3, None)]
    named = "SELECT o.observation_id FROM observation AS o JOIN TAP_UPLOAD.mine AS u ON u.name = o.target"
    assert len(it.rows(named, uploads=uploads)) == 1


@pytest.mark.filterwarnings("error::sqlalchemy.exc.SAWarning")
def test_all_pairs_of_three_tables_are_no_mistake(any_session: Session) -> None:
    it = Asked(any_session)
    assert it.rows("SELECT COUNT(*) FROM source_catalog AS a, observation AS b, source_catalog AS c") == [(STARS**2,)]


@pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)
def test_a_question_may_take_its_time_without_a_row(any_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a program waits for the server otherwise: jobs have ten minutes."""
    monkeypatch.setattr(database, "READ_TIMEOUT_S", 1)
    it = Asked(any_session)
    with pytest.raises(TooLongError, match=r"longer than 1\.5 s"):
        it.rows(LONG, Stop(1.5))
    assert it.rows("SELECT COUNT(*) FROM observation") == [(1,)]


def _limits(it: Asked) -> None:
    endless = ENDLESS if it.is_sqlite else LONG
    with pytest.raises(TooLongError, match=r"longer than 0\.3 s"):
        it.rows(endless, Stop(0.3))
    stop = Stop(120.0)
    teller = threading.Timer(0.3, stop.tell)
    teller.start()
    with pytest.raises(TooLongError, match="told to end"):
        it.rows(endless, stop)
    teller.join()
    assert it.rows("SELECT COUNT(*) FROM observation") == [(1,)]
    if not it.is_sqlite:  # which has infinity, and no estimate of rows
        with pytest.raises(RefusedError, match="looks at more rows than it may"):
            it.rows(ENDLESS)
        with pytest.raises(RefusedError, match="cannot compute"):
            it.rows("SELECT POWER(10, 300) * POWER(10, 300) FROM observation")
