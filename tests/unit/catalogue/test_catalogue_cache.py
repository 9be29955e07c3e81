"""The cache of cells: what is asked once is not asked again, whatever happens to files and to other consumers."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.sky.astrometry.sphere import separation_arcsec
from services.errors import TransientError
from services.sky.catalogue import CatalogueOutage, CatalogueStars
from services.sky.catalogue.cached import CachedCatalogue
from services.sky.catalogue.cells import ORDER, CellStore
from services.sky.catalogue.gaia_archive import GaiaArchive
from services.sky.catalogue.tap import TapService
from tests.unit.catalogue.archive import Archive, send

FIELD = (359.9, 46.2, 0.6)


@pytest.fixture
def store(tmp_path: Path) -> CellStore:
    return CellStore(tmp_path, ORDER)


@pytest.fixture
def cached(archive: Archive, store: CellStore) -> CachedCatalogue:
    return CachedCatalogue(GaiaArchive(TapService(archive.url, 10.0, pause_s=0.0)), store)


def truth(archive: Archive, ra: float, dec: float, radius: float, mag_limit: float) -> set[int]:
    """Ids of a cone, star by star."""
    stars = archive.stars
    places = np.column_stack([stars["ra"], stars["dec"]])
    inside = separation_arcsec(np.array([[ra, dec]]), places) <= radius * 3600.0
    return set(stars["source_id"][inside & (stars["phot_g_mean_mag"] < mag_limit)].tolist())


def ids(stars: CatalogueStars) -> list[int]:
    return sorted(stars.source_id.tolist())


def files(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.glob(f"{ORDER}/*.parquet"))


def test_a_cone_is_exactly_its_stars_and_is_asked_for_once(archive: Archive, cached: CachedCatalogue) -> None:
    expected = sorted(truth(archive, *FIELD, 16.0))
    assert len(expected) > 100
    assert ids(cached.cone(*FIELD, 16.0)) == expected
    asked = len(archive.queries)
    assert asked == 1
    assert ids(cached.cone(*FIELD, 16.0)) == expected
    assert len(archive.queries) == asked


def test_with_its_cells_on_disk_a_cone_needs_no_server(
    archive: Archive, cached: CachedCatalogue, store: CellStore
) -> None:
    before = cached.cone(*FIELD, 16.0)
    offline = CachedCatalogue(GaiaArchive(TapService("http://127.0.0.1:9/tap", 1.0)), store)
    after = offline.cone(*FIELD, 16.0)
    for name, values in before.columns().items():
        order, other = np.argsort(before.source_id), np.argsort(after.source_id)
        np.testing.assert_array_equal(values[order], after.columns()[name][other])


def test_a_shallower_cone_is_answered_by_deeper_cells(archive: Archive, cached: CachedCatalogue) -> None:
    cached.cone(*FIELD, 17.0)
    assert ids(cached.cone(*FIELD, 12.0)) == sorted(truth(archive, *FIELD, 12.0))
    assert len(archive.queries) == 1


def test_a_deeper_cone_is_asked_for_again(archive: Archive, cached: CachedCatalogue) -> None:
    cached.cone(*FIELD, 12.0)
    assert ids(cached.cone(*FIELD, 17.0)) == sorted(truth(archive, *FIELD, 17.0))
    assert len(archive.queries) == 2


def test_depths_that_differ_little_are_one(archive: Archive, cached: CachedCatalogue) -> None:
    for mag_limit in (14.61, 14.9, 14.98, 15.0):
        assert ids(cached.cone(*FIELD, mag_limit)) == sorted(truth(archive, *FIELD, mag_limit))
    assert len(archive.queries) == 1


def test_a_neighbouring_field_asks_for_what_is_new_only(archive: Archive, cached: CachedCatalogue) -> None:
    cached.cone(0.0, 46.0, 0.5, 16.0)
    first = archive.queries[-1]
    assert ids(cached.cone(1.2, 46.3, 0.5, 16.0)) == sorted(truth(archive, 1.2, 46.3, 0.5, 16.0))
    assert len(archive.queries) == 2
    asked, new = (re.findall(r"BETWEEN (\d+) AND (\d+)", query) for query in (first, archive.queries[-1]))
    assert all(int(a[1]) < int(b[0]) or int(b[1]) < int(a[0]) for a in asked for b in new)


def test_empty_cells_are_kept_too(archive: Archive, cached: CachedCatalogue) -> None:
    assert ids(cached.cone(100.0, -40.0, 0.5, 16.0)) == []
    cached.cone(100.0, -40.0, 0.5, 16.0)
    assert len(archive.queries) == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    """A bit that has turned in the middle of the numbers."""
    body = bytearray(path.read_bytes())
    body[len(body) // 3] ^= 0x10
    path.write_bytes(body)


def other_table(path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"source_id": [1, 2]}), path)


@pytest.mark.parametrize("damage", [cut, empty, flip, other_table])
def test_a_damaged_file_is_fetched_again(archive: Archive, cached: CachedCatalogue, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    cached.cone(*FIELD, 17.0)
    damage(max(files(tmp_path), key=lambda path: path.stat().st_size))
    assert ids(cached.cone(*FIELD, 17.0)) == sorted(truth(archive, *FIELD, 17.0))
    assert len(archive.queries) == 2
    cached.cone(*FIELD, 17.0)
    assert len(archive.queries) == 2


def test_an_outage_keeps_what_came_before_it(archive: Archive, cached: CachedCatalogue, tmp_path: Path) -> None:
    def fail_second(handler, body: bytes) -> None:  # type: ignore[no-untyped-def]
        send(handler, body, code=200 if len(archive.queries) == 1 else 404)

    archive.spoil = fail_second
    with pytest.raises(CatalogueOutage, match="HTTP 404"):
        cached.cone(*FIELD, 19.0)
    kept = len(files(tmp_path))
    assert kept >= 1
    archive.spoil = None
    assert ids(cached.cone(*FIELD, 19.0)) == sorted(truth(archive, *FIELD, 19.0))
    assert len(files(tmp_path)) > kept


def test_garbage_never_reaches_the_cache(archive: Archive, cached: CachedCatalogue, tmp_path: Path) -> None:
    archive.spoil = lambda handler, body: send(handler, b"<html>maintenance</html>")
    with pytest.raises(CatalogueOutage):
        cached.cone(*FIELD, 16.0)
    assert not list(tmp_path.rglob("*.parquet*"))


def test_consumers_that_fetch_the_same_cells_do_not_disturb_each_other(
    archive: Archive, cached: CachedCatalogue, tmp_path: Path
) -> None:
    """Eight at once, at two depths: all have all stars, and no temporary file is left."""
    with ThreadPoolExecutor(8) as pool:
        cones = list(pool.map(partial(cached.cone, *FIELD), [16.0, 15.0] * 4))
    for found, mag_limit in zip(cones, [16.0, 15.0] * 4, strict=True):
        assert ids(found) == sorted(truth(archive, *FIELD, mag_limit))
    assert not list(tmp_path.rglob("*.part"))
    for path in files(tmp_path):
        assert CellStore(tmp_path, ORDER).describe(int(path.stem)) is not None


def test_a_shallower_cell_never_takes_the_place_of_a_deeper(store: CellStore) -> None:
    store.write(7, CatalogueStars.none(), 18.0)
    store.write(7, CatalogueStars.none(), 12.0)
    found = store.describe(7)
    assert found is not None
    assert found.mag_limit == 18.0


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / str(ORDER)).write_text("in the way")
    with pytest.raises(TransientError, match=r"of the catalogue's cache cannot be written.*TIANYU_CATALOG_DIR"):
        CellStore(tmp_path, ORDER).write(7, CatalogueStars.none(), 18.0)


def test_what_is_in_the_cache_is_told(archive: Archive, cached: CachedCatalogue, store: CellStore) -> None:
    steps: list[tuple[int, int]] = []
    fetched = cached.fetch(*FIELD, 16.0, lambda done, total: steps.append((done, total)))
    cells = list(store.all())
    assert fetched.cells == fetched.fetched == len(cells) == len(steps)
    assert steps[-1] == (fetched.cells, fetched.cells)
    assert fetched.stars == sum(cell.stars for cell in cells)
    assert {cell.mag_limit for cell in cells} == {16.0}
    again = cached.fetch(*FIELD, 16.0, lambda done, total: None)
    assert (again.fetched, again.stars) == (0, fetched.stars)
