"""The step `crossmatch`: rows of a sky's sources, whatever the catalogue and the solution are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from pipeline.sky.proper_motion import moved
from schema import database
from schema.image import Image
from schema.processes import FAILED
from schema.skies import PlateSolution, Source, SourceCrossmatch, SourcePosition
from services.errors import DataError
from services.image_store import LocalImageStore
from services.settings import Settings
from services.sky.catalogue import CatalogueOutage, CatalogueStars
from services.sky.catalogue.gaia_columns import stars_of
from services.steps.crossmatch import CROSSMATCH, CrossmatchParameters
from services.steps.shared.step import Context
from tests.unit.catalogue.archive import Archive
from tests.unit.services import made_up
from tests.unit.services.conftest import open_session
from tests.unit.services.made_up import GRAPH_PID, MadeUp

SCALE = 1.2  # arcsec a pixel
CENTRE = (0.01, 46.0)  # the field crosses 0 h
ZERO_POINT = 22.0
SOLVE_PID, CROSSMATCH_PID = GRAPH_PID + 900_001, GRAPH_PID + 900_002
YEARS = (made_up.JD0 - 2451545.0) / 365.25 - 16.0
FAR_BELOW = 25.0  # G of stars that no image here shows


@pytest.fixture
def session(ready_sqlite_url: str) -> Iterator[Session]:
    yield from open_session(ready_sqlite_url)


@pytest.fixture
def any_session(each_ready_url: str) -> Iterator[Session]:
    yield from open_session(each_ready_url)


@pytest.fixture
def made(session: Session) -> MadeUp:
    return prepared(session)


def prepared(session: Session) -> MadeUp:
    """Sources with coordinates, and a solved template."""
    made = made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1))
    for source_id, (x, y), (ra, dec) in zip(made.source_ids.tolist(), made.xy, truth_of(made), strict=True):
        place = {"ra_deg": ra, "dec_deg": dec, "x": x, "y": y}
        session.execute(update(Source).where(Source.source_id == source_id).values(**place))
    session.add(PlateSolution(pid=SOLVE_PID, image_id=1, observation_id=made.observation_id, solved=True))
    session.commit()
    return made


def truth_of(made: MadeUp) -> np.ndarray:
    """float64[n, 2]: where the sources are on the night; north is up and east to the left."""
    offset = (made.xy - made.xy.mean(axis=0)) * SCALE / 3600.0
    return np.column_stack(
        [(CENTRE[0] - offset[:, 0] / np.cos(np.radians(CENTRE[1]))) % 360.0, CENTRE[1] + offset[:, 1]]
    )


def gaia(made: MadeUp, pm_mas: float = 2000.0) -> Table:
    """Every source at its place of 2016, all moving north; and faint stars between them."""
    n = made.source_ids.size
    motion = np.full(n, pm_mas)
    then = moved(truth_of(made), np.zeros(n), motion, np.full(n, 2016.0 + 2.0 * YEARS), made_up.JD0)
    table = Table({"source_id": 1_000_000 + np.arange(n), "ra": then[:, 0], "dec": then[:, 1]})
    table["pmra"], table["pmdec"] = np.zeros(n), motion
    table["parallax"] = np.where(np.arange(n) == 3, np.nan, 2.5)
    table["phot_g_mean_mag"] = ZERO_POINT - 2.5 * np.log10(made.flux)
    table["phot_variable_flag"] = np.where(np.arange(n) == made_index(made), "VARIABLE", "CONSTANT")
    for row in range(n):
        faint = {"source_id": 2_000_000 + row, "ra": table["ra"][row], "dec": table["dec"][row] + 0.5 / 3600.0}
        table.add_row({**faint, "pmra": 0.0, "pmdec": pm_mas, "parallax": 1.0, "phot_g_mean_mag": FAR_BELOW})
    return table


def made_index(made: MadeUp) -> int:
    return made.source_ids.tolist().index(made.variable)


def run(session: Session, made: MadeUp, tmp_path: Path, pid: int = CROSSMATCH_PID, **settings: Any) -> None:
    reading = database.reading_factory(session.get_bind())  # type: ignore[arg-type]
    chosen = Settings(**({"catalog": "none", "root": tmp_path, "catalog_mag_limit": 30.0} | settings))
    context = Context(
        pid, GRAPH_PID, made.observation_id, reading, LocalImageStore(tmp_path), chosen.deployment, chosen.choices
    )
    detected = session.scalar(select(func.max(SourcePosition.pid)))
    session.commit()
    write = CROSSMATCH.run(context, CrossmatchParameters(detected=detected, solved=SOLVE_PID))
    if write is not None:
        write(session)
    session.commit()


def rows(session: Session, rank: int = 1) -> list[SourceCrossmatch]:
    query = select(SourceCrossmatch).where(SourceCrossmatch.match_rank == rank).order_by(SourceCrossmatch.source_id)
    return list(session.scalars(query))


@pytest.fixture
def catalog_file(made: MadeUp, tmp_path: Path) -> Path:
    path = tmp_path / "gaia.fits"
    gaia(made).write(path)
    return path


def test_each_source_is_its_star_where_that_stood_on_the_night(
    session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path
) -> None:
    """The stars have moved 16 arcsec since 2016, and a star that nobody can see lies half an arcsec from each."""
    assert abs(YEARS * 2.0) > 10.0
    run(session, made, tmp_path, catalog_file=catalog_file)
    found = rows(session)
    assert [row.source_id for row in found] == made.source_ids.tolist()
    assert [row.gaia_source_id for row in found] == [1_000_000 + number for number in range(made.source_ids.size)]
    assert all(row.is_match for row in found)
    assert max(row.distance_arcsec for row in found) < 1e-3
    place = np.array([(row.ra_deg, row.dec_deg) for row in found])
    np.testing.assert_allclose(place, truth_of(made), atol=1e-3 / 3600.0)
    mags = [row.g_mag for row in found]
    np.testing.assert_allclose(mags, ZERO_POINT - 2.5 * np.log10(made.flux), rtol=1e-12)
    assert [row.parallax_mas for row in found][2:5] == [2.5, None, 2.5]
    assert {row.bp_mag for row in found} == {None}
    assert [row.source_id for row in found if row.variable] == [made.variable]
    assert {row.pid for row in found} == {CROSSMATCH_PID}
    assert not any(row.is_match for rank in (2, 3) for row in rows(session, rank))


def test_ones_own_table_is_not_cut_at_the_archives_limit(
    session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path
) -> None:
    limit = float(np.median(ZERO_POINT - 2.5 * np.log10(made.flux)))
    run(session, made, tmp_path, catalog_file=catalog_file, catalog_mag_limit=limit)
    assert [row.source_id for row in rows(session) if row.is_match] == made.source_ids.tolist()


def test_the_second_and_third_are_farther(session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path) -> None:
    run(session, made, tmp_path, catalog_file=catalog_file)
    first, second, third = ([row.distance_arcsec for row in rows(session, rank)] for rank in (1, 2, 3))
    assert len(first) == len(second) == len(third) == made.source_ids.size
    assert np.all(np.array(first) < second)
    assert np.all(np.array(second) < third)
    gaps = np.linalg.norm(made.xy[:, None] - made.xy[None], axis=2) * SCALE
    np.testing.assert_allclose(second, np.sort(gaps, axis=1)[:, 1], rtol=2e-3)  # the tangent plane is flat


def test_the_view_shows_matched_stars(session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path) -> None:
    run(session, made, tmp_path, catalog_file=catalog_file)
    shown = session.execute(text("SELECT gaia_source_id, gaia_variable FROM source_catalog ORDER BY source_id")).all()
    assert [row[0] for row in shown] == [1_000_000 + number for number in range(made.source_ids.size)]
    assert sum(bool(row[1]) for row in shown) == 1


def test_a_second_run_replaces_the_first(any_session: Session, tmp_path: Path) -> None:
    """And a star that has left the catalogue leaves no row behind."""
    session, made = any_session, prepared(any_session)
    gaia(made).write(tmp_path / "gaia.fits")
    run(session, made, tmp_path, catalog_file=tmp_path / "gaia.fits")
    assert all(row.is_match for row in rows(session))
    assert len(rows(session, 3)) == made.source_ids.size
    few = tmp_path / "few.fits"
    gaia(made)[:2].write(few)
    run(session, made, tmp_path, pid=CROSSMATCH_PID + 1, catalog_file=few)
    assert {row.pid for row in session.scalars(select(SourceCrossmatch))} == {CROSSMATCH_PID + 1}
    assert [row.source_id for row in rows(session) if row.is_match] == made.source_ids[:2].tolist()
    assert rows(session, 3) == []


def test_a_failed_solution_is_no_matter_where_the_sky_has_coordinates(
    session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path
) -> None:
    session.execute(update(PlateSolution).values(solved=False, reason="no match"))
    run(session, made, tmp_path, catalog_file=catalog_file)
    assert all(row.is_match for row in rows(session))
    assert len(rows(session)) == made.source_ids.size


def test_without_coordinates_nothing_is_written(
    session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path
) -> None:
    session.execute(update(Source).values(ra_deg=None, dec_deg=None))
    session.execute(update(PlateSolution).values(solved=False, reason="no match"))
    run(session, made, tmp_path, catalog_file=catalog_file)
    assert rows(session) == []
    session.execute(delete(PlateSolution))  # it failed: a retry of both gives names
    made_up.add_process(session, SOLVE_PID, "solve_archive", FAILED, made.observation_id)
    with pytest.raises(DataError, match=r"`solve_archive` .* failed: `tianyu retry --failed`"):
        run(session, made, tmp_path, catalog_file=catalog_file)


def test_without_a_catalogue_nothing_is_written(session: Session, made: MadeUp, tmp_path: Path) -> None:
    run(session, made, tmp_path)
    assert rows(session) == []


def test_sources_without_a_place_or_a_flux_are_borne(
    session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path
) -> None:
    ids = made.source_ids.tolist()
    session.execute(update(Source).where(Source.source_id == ids[0]).values(ra_deg=None, dec_deg=None))
    session.execute(update(SourcePosition).where(SourcePosition.source_id == ids[1]).values(flux=None))
    run(session, made, tmp_path, catalog_file=catalog_file)
    assert [row.source_id for row in rows(session) if row.is_match] == ids[1:]


def test_without_times_stars_stand_where_the_catalogue_has_them(session: Session, made: MadeUp, tmp_path: Path) -> None:
    session.execute(update(Image).values(jd_utc=None))
    path = tmp_path / "gaia.fits"
    gaia(made, pm_mas=0.0).write(path)
    run(session, made, tmp_path, catalog_file=path)
    assert all(row.is_match for row in rows(session))


def test_an_outage_is_transient_and_leaves_what_was_known(
    session: Session, made: MadeUp, tmp_path: Path, catalog_file: Path
) -> None:
    run(session, made, tmp_path, catalog_file=catalog_file)
    with pytest.raises(CatalogueOutage):
        run(session, made, tmp_path, catalog="gaia", catalog_url="http://127.0.0.1:9/tap", catalog_timeout_s=1.0)
    assert len(rows(session)) == made.source_ids.size


def test_the_archive_is_asked_through_the_cache(
    session: Session, made: MadeUp, tmp_path: Path, archive: Archive
) -> None:
    """The stand-in's stars are elsewhere but for chance: neighbours are found, and a second night asks nobody."""
    settings = {"catalog": "gaia", "catalog_url": archive.url, "catalog_mag_limit": 18.0}
    run(session, made, tmp_path, **settings)
    assert len(rows(session)) == made.source_ids.size
    asked = len(archive.queries)
    assert asked == 1
    run(session, made, tmp_path, **settings)
    assert len(archive.queries) == asked
    assert list((tmp_path / "catalog" / "gaia-dr3").rglob("*.parquet"))


class WideSky:
    """A catalogue of the made-up sources' own stars that remembers how deep it was asked."""

    def __init__(self, made: MadeUp, radec: np.ndarray) -> None:
        table = gaia(made, pm_mas=0.0)[: made.source_ids.size]
        table["ra"], table["dec"] = radec.T
        self.stars = stars_of({name: table[name] for name in table.colnames})
        self.depths: list[float] = []

    def cone(self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float) -> CatalogueStars:
        self.depths.append(mag_limit)
        return self.stars.within(ra_deg, dec_deg, radius_deg, mag_limit)


def test_a_wide_field_is_asked_no_deeper_than_its_image(
    session: Session, made: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six degrees wide: its bright stars tell how deep it is, and nothing fainter is fetched."""
    offset = (made.xy - made.xy.mean(axis=0)) / np.ptp(made.xy) * 6.0
    radec = np.column_stack([(CENTRE[0] + offset[:, 0]) % 360.0, CENTRE[1] + offset[:, 1]])
    for source_id, (ra, dec) in zip(made.source_ids.tolist(), radec, strict=True):
        session.execute(update(Source).where(Source.source_id == source_id).values(ra_deg=ra, dec_deg=dec))
    faintest = ZERO_POINT - 2.5 * np.log10(np.percentile(made.flux, 1.0))
    assert faintest + 2.0 > 12.0
    wide = WideSky(made, radec)
    monkeypatch.setattr("services.steps.crossmatch.open_catalogue", lambda *_: wide)
    run(session, made, tmp_path, catalog_mag_limit=18.0)
    assert wide.depths == [12.0, pytest.approx(faintest + 2.0, abs=0.05)]
    assert all(row.is_match for row in rows(session))
    assert len(rows(session)) == made.source_ids.size
