"""A table of one's own as the catalogue, in every format, and what is said of tables that are none."""

import os
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from astropy.table import Table
from pyarrow import parquet

from services.choices import Choices
from services.deployment import Deployment
from services.errors import ConfigurationError
from services.sky.catalogue import CatalogueStars, open_catalogue
from services.sky.catalogue.cached import CachedCatalogue
from services.sky.catalogue.own_table import FileCatalogue, numbers_of, read_columns
from tests.unit.catalogue.archive import sky

ALL_SKY = (0.0, 0.0, 180.0, 30.0)
STARS = sky(0.0, 46.0, 1.0, 200)


def write(table: Table, path: Path) -> Path:
    """A file in the format of its name."""
    kind = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".vot": "votable", ".fits": "fits", ".gz": "ascii.csv"}
    if path.suffix == ".parquet":
        columns = {name: pyarrow.array(table[name].tolist()) for name in table.colnames}
        parquet.write_table(pyarrow.table(columns), path)
    else:
        table.write(path, format=kind[path.suffix], overwrite=True)
    return path


@pytest.mark.parametrize("name", ["gaia.fits", "gaia.vot", "gaia.ecsv", "gaia.csv", "gaia.parquet", "GAIA.csv.gz"])
def test_every_format_gives_the_same_stars(tmp_path: Path, name: str) -> None:
    found = FileCatalogue(write(STARS, tmp_path / name)).cone(*ALL_SKY)
    order = np.argsort(found.source_id)
    truth = STARS[np.argsort(STARS["source_id"])]
    np.testing.assert_array_equal(found.source_id[order], truth["source_id"])
    np.testing.assert_allclose(found.ra_deg[order], truth["ra"], rtol=1e-12)
    motion = np.ma.asarray(truth["pmra"]).filled(np.nan)
    assert np.isnan(motion).any()
    np.testing.assert_allclose(found.pm_ra_mas[order], motion, rtol=1e-12)
    np.testing.assert_allclose(found.g_mag[order], truth["phot_g_mean_mag"], rtol=1e-6)
    np.testing.assert_array_equal(found.variable[order], truth["phot_variable_flag"] == "VARIABLE")
    assert found.variable.any()


def test_four_columns_are_enough(tmp_path: Path) -> None:
    few = Table({name.upper(): STARS[name] for name in ("source_id", "ra", "dec", "phot_g_mean_mag")})
    found = FileCatalogue(write(few, tmp_path / "few.fits")).cone(*ALL_SKY)
    assert len(found) == 200
    assert np.isnan(found.parallax_mas).all()
    assert not found.variable.any()
    assert set(found.ref_epoch.tolist()) == {2016.0}
    np.testing.assert_allclose(found.at_epoch(2460000.5), found.radec, rtol=1e-13)


def test_a_cone_ends_at_its_radius_and_its_limit(tmp_path: Path) -> None:
    table = Table({"source_id": [1, 2, 3, 4], "ra": [0.0, 0.0, 0.0, 359.95], "dec": [0.0, 0.1, 0.2, 0.0]})
    table["phot_g_mean_mag"] = [10.0, 11.0, 10.0, np.nan]
    catalogue = FileCatalogue(write(table, tmp_path / "four.ecsv"))

    def ids(*cone: float) -> list[int]:
        return sorted(catalogue.cone(*cone).source_id.tolist())

    assert ids(0.0, 0.0, 0.1000001, 12.0) == [1, 2]
    assert ids(0.0, 0.0, 0.0999999, 12.0) == [1]
    assert ids(360.0, 0.0, 0.3, 11.0) == [1, 3]
    assert ids(*ALL_SKY) == [1, 2, 3]


def test_a_star_that_is_listed_twice_counts_once(tmp_path: Path) -> None:
    from astropy.table import vstack

    path = write(vstack([STARS, STARS[:50]]), tmp_path / "twice.csv")
    assert len(FileCatalogue(path).cone(*ALL_SKY)) == 200


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = write(STARS[:10], tmp_path / "gaia.csv")
    catalogue = FileCatalogue(path)
    first = catalogue.all()
    assert catalogue.all() is first
    write(STARS[:20], path)
    os.utime(path, ns=(1, 1))
    assert len(catalogue.all()) == 20


def without(*names: str) -> Table:
    return Table({name: STARS[name] for name in STARS.colnames if name not in names})


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(without("dec", "phot_g_mean_mag"), tmp_path / "gaia.fits")
    with pytest.raises(ConfigurationError) as raised:
        FileCatalogue(path).cone(*ALL_SKY)
    message = str(raised.value)
    assert str(path) in message
    assert "column dec, phot_g_mean_mag is missing; columns found: source_id, ra, pmra" in message
    assert "at least Gaia's columns source_id, ra, dec, phot_g_mean_mag" in message


def changed(**columns: object) -> Table:
    table = STARS[:5].copy()
    for name, values in columns.items():
        table[name] = values
    return table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (changed(source_id=np.arange(5.0)), "source_id is of type float64: expected whole numbers"),
        (changed(ra=np.full(5, -3.0)), r"5 of 5 places are nowhere on the sky, the first at ra = -3.0"),
        (changed(dec=[1.0, 2.0, 91.0, 4.0, np.nan]), r"2 of 5 places are nowhere.*dec = 91.0"),
        (changed(phot_g_mean_mag=np.full(5, -99.0)), "phot_g_mean_mag is -99.0 in 5 places: that is no magnitude"),
        (changed(ra=["00:01:02"] * 5), "column ra holds no numbers"),
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, table: Table, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FileCatalogue(write(table, tmp_path / "gaia.ecsv")).cone(*ALL_SKY)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "gaia.fits").write_bytes(b"SIMPLE  = nonsense")
    (tmp_path / "gaia.txt").write_text("1 2 3")
    for name, message in {
        "gaia.fits": "cannot be read as fits",
        "gaia.txt": "of an unknown kind: expected a name that ends in .fits",
        "none.fits": "No such file.*TIANYU_CATALOG_FILE",
    }.items():
        with pytest.raises(ConfigurationError, match=message) as raised:
            FileCatalogue(tmp_path / name).cone(*ALL_SKY)
        assert str(tmp_path / name) in str(raised.value)


def test_the_settings_choose_the_catalogue(tmp_path: Path) -> None:
    assert open_catalogue(Deployment(), Choices(catalog="none")) is None
    assert isinstance(open_catalogue(Deployment(root=tmp_path), Choices(catalog="gaia")), CachedCatalogue)
    path = write(STARS, tmp_path / "gaia.csv")
    for kind in ("none", "gaia"):
        catalogue = open_catalogue(Deployment(), Choices(catalog=kind, catalog_file=path))
        assert isinstance(catalogue, FileCatalogue)
        assert len(catalogue.cone(*ALL_SKY)) == 200


def test_stars_of_no_lots_are_none() -> None:
    assert len(CatalogueStars.joined([])) == 0
    assert CatalogueStars.none().at_epoch(2460000.5).shape == (0, 2)


def test_whole_numbers_of_parquet_stay_where_some_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "stars.parquet"
    content = pyarrow.table({"period": [3, None, 7], "id": [2**62 + 1, None, 5]})
    parquet.write_table(content, path)
    columns = read_columns(path, "table")
    assert columns["id"].tolist() == [2**62 + 1, None, 5]
    np.testing.assert_array_equal(numbers_of(columns, "period", "table"), [3.0, np.nan, 7.0])
