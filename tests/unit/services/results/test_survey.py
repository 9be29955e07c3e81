"""Nights as Parquet and skies as HATS: the rows of the views, read by the programs that they are for."""

from pathlib import Path

import duckdb
import numpy as np
import polars
import pytest
from pyarrow import dataset
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from schema import database
from schema.observing import Filter, Observation
from schema.photometry import LightCurveStatistics
from schema.skies import Source
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import ObservationFacts, observation_facts
from services.results.survey import hats_layout, night_files
from services.results.survey.hats_catalog import write_catalog
from services.results.survey.hats_layout import pixels_of
from services.results.survey.night_files import write_night
from tests.unit.services.made_up import MadeUp, base_rows
from tests.unit.services.vo.solved_night import FRAMES, STARS, solved_night


@pytest.fixture
def made(ready_sqlite_url: str) -> tuple[Session, MadeUp]:
    session = database.session_factory(database.connect(ready_sqlite_url))()
    base_rows(session)
    return session, solved_night(session)


def facts_of(session: Session, made: MadeUp) -> ObservationFacts:
    return observation_facts(session, made.observation_id)


def view(session: Session) -> list[tuple[object, ...]]:
    """What the view has in best apertures."""
    query = "SELECT source_id, image_id, flux_relative, mag, usable FROM light_curve WHERE aperture_best = 1"
    return sorted(tuple(row) for row in session.execute(text(query)))


def test_a_night_has_the_rows_of_the_view(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    told: list[tuple[int, int]] = []
    path, points, without = write_night(
        session, facts_of(session, truth), tmp_path / "nights", told=lambda *one: told.append(one)
    )
    assert path == tmp_path / "nights" / "night=2024-03-04" / "filter=R" / f"observation-{truth.observation_id}.parquet"
    assert (points, without) == (STARS * FRAMES, 0)
    assert told[-1] == (STARS, STARS)
    found = dataset.dataset(tmp_path / "nights", partitioning="hive").to_table()
    names = ("source_id", "image_id", "flux_relative", "mag", "usable")
    assert sorted(zip(*(found[name].to_pylist() for name in names), strict=True)) == view(session)
    assert found["ra"].null_count == 0
    flux = found.schema.field("flux_raw").metadata
    assert (flux[b"unit"], flux[b"ucd"]) == (b"adu", b"phot.count")
    assert found.schema.metadata[b"calibration_pid"] == str(truth.calibration_pid).encode()
    assert [file.name for file in (tmp_path / "nights").rglob("*.part")] == []


def test_a_second_export_replaces_its_own_night_alone(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    """Also where the headers' filter was corrected since; a file of others stays."""
    session, truth = made
    first, _, _ = write_night(session, facts_of(session, truth), tmp_path / "nights")
    other = first.with_name("observation-999.parquet")
    other.write_bytes(first.read_bytes())
    session.execute(update(Filter).values(name="../r'"))
    session.commit()
    second, points, _ = write_night(session, facts_of(session, truth), tmp_path / "nights")
    assert second.parent.name == "filter=..%2Fr%27"
    assert not first.exists()
    assert other.exists()
    night = dataset.dataset(second.parents[2], partitioning="hive").to_table(filter=dataset.field("filter") == "../r'")
    assert len(night) == points


def test_a_night_that_cannot_be_written_stays_as_it_was(
    made: tuple[Session, MadeUp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, truth = made
    path, _, _ = write_night(session, facts_of(session, truth), tmp_path / "nights")
    before = path.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(night_files.parquet.ParquetWriter, "write_table", full_disk)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        write_night(session, facts_of(session, truth), tmp_path / "nights")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_stars_without_points_are_counted(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    lost = int(truth.source_ids[5])
    session.execute(
        update(LightCurveStatistics).where(LightCurveStatistics.source_id == lost).values(best_aperture=False)
    )
    assert write_night(session, facts_of(session, truth), tmp_path / "nights")[1:] == ((STARS - 1) * FRAMES, 1)
    _, points, without = write_night(session, facts_of(session, truth), tmp_path / "nights", aperture=0)
    assert (points, without) == (STARS * FRAMES, 0)
    with pytest.raises(DataError, match="has no points"):
        write_night(session, facts_of(session, truth), tmp_path / "nights", aperture=17)


def test_a_night_that_is_not_analysed_is_refused(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    session.execute(update(Observation).values(analysis_pid=None))
    with pytest.raises(DataError, match="has no analysed light curves yet: `tianyu status"):
        write_night(session, facts_of(session, truth), tmp_path / "nights")
    assert not (tmp_path / "nights").exists()


def test_duckdb_and_polars_take_folders_for_columns(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    write_night(session, facts_of(session, truth), tmp_path / "nights")
    query = (
        f"SELECT night, filter, count(*) FROM read_parquet('{tmp_path}/nights/**/*.parquet', hive_partitioning = true)"
    )
    [(night, band, points)] = duckdb.sql(f"{query} GROUP BY ALL").fetchall()
    assert (str(night), band, points) == ("2024-03-04", "R", STARS * FRAMES)
    lazy = polars.scan_parquet(tmp_path / "nights" / "**" / "*.parquet", hive_partitioning=True)
    one = lazy.filter(polars.col("source_id") == truth.variable, polars.col("filter") == "R").collect()
    assert len(one) == FRAMES


def test_lsdb_opens_the_catalogue(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    import lsdb  # 3 s and 300 MB: for the tests that need it
    from hats.io.validation import is_valid_catalog

    session, truth = made
    folder = tmp_path / "sky"
    stars, points, without = write_catalog(session, [facts_of(session, truth)], folder)
    assert (stars, points, without) == (STARS, STARS * FRAMES, 0)
    assert is_valid_catalog(folder, strict=True)
    catalog = lsdb.open_catalog(folder)
    assert len(catalog) == STARS
    place = session.get_one(Source, truth.variable)
    near = catalog.cone_search(place.ra_deg, place.dec_deg, radius_arcsec=5.0).compute()
    assert near["source_id"].tolist() == [truth.variable]
    curve = near["light_curve"].iloc[0]
    expected = [row for row in view(session) if row[0] == truth.variable]
    assert dict(zip(curve["image_id"], curve["flux_relative"], strict=True)) == {row[1]: row[2] for row in expected}
    assert (np.diff(curve["jd_utc"]) > 0).all()
    assert set(curve["filter"]) == {"R"}
    usable = near["light_curve.usable"].sum()
    assert usable == sum(bool(row[4]) for row in expected)


def test_a_star_that_was_two_is_one(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    """Its points are those of both, and the stars without a place are counted."""
    session, truth = made
    one, other, lost = (int(number) for number in truth.source_ids[:3])
    session.execute(update(Source).where(Source.source_id == other).values(same_as=one))
    session.execute(update(Source).where(Source.source_id == lost).values(ra_deg=None, dec_deg=None))
    stars, points, without = write_catalog(session, [facts_of(session, truth)], tmp_path / "sky")
    assert (stars, points, without) == (STARS - 2, (STARS - 1) * FRAMES, 1)
    rows = dataset.dataset(tmp_path / "sky" / "dataset", partitioning=None).to_table(columns=["source_id", "points"])
    assert dict(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True))[one] == 2 * FRAMES


def test_pixels_are_as_coarse_as_points_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(2)
    index = np.sort(numbers.integers(0, 12 * 4**29, 1000))
    weight = numbers.integers(1, 50, 1000)
    found = pixels_of(index, weight, 500)
    rows = [row for _, chosen in found for row in range(chosen.start, chosen.stop)]
    assert rows == list(range(1000))
    for (order, number), chosen in found:
        assert (index[chosen] >> (2 * (29 - order)) == number).all()
        assert weight[chosen].sum() <= 500
        beside = index >> (2 * (29 - order + 1)) == number >> 2
        assert order == 0 or weight[beside].sum() > 500, "its three neighbours and it would fit in one"
    assert len(pixels_of(np.zeros(9, dtype=np.int64), np.full(9, 10**9))) == 1


def test_many_pixels_are_one_catalogue(
    made: tuple[Session, MadeUp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lsdb  # 3 s and 300 MB: for the tests that need it
    from hats.io.validation import is_valid_catalog

    session, truth = made
    monkeypatch.setattr(hats_layout, "pixels_of", lambda index, weight: pixels_of(index, weight, 5 * FRAMES))
    write_catalog(session, [facts_of(session, truth)], tmp_path / "sky")
    assert is_valid_catalog(tmp_path / "sky", strict=True)
    catalog = lsdb.open_catalog(tmp_path / "sky")
    assert len(catalog.get_healpix_pixels()) >= 5
    assert sorted(catalog.compute()["source_id"].tolist()) == sorted(truth.source_ids.tolist())


def test_only_a_catalogue_of_tianyus_is_replaced(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    facts, folder = [facts_of(session, truth)], tmp_path / "sky"
    write_catalog(session, facts, folder)
    (folder / "left").touch()
    write_catalog(session, facts, folder)
    assert not (folder / "left").exists()
    assert [one.name for one in tmp_path.iterdir() if not one.name.startswith("night.db")] == ["sky"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match="no HATS catalogue of Tianyu"):
        write_catalog(session, facts, mine)
    assert (mine / "thesis.txt").read_text() == "years of work"
