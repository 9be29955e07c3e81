"""The client's tables say what the views say, with units, scales and masks, and it writes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tianyu
from astropy import units as u
from astropy.coordinates import SkyCoord
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema import database
from services.results.targets import named_object, remember
from services.settings import Settings
from services.web import client_routes
from services.web.guard import Rules
from tests.integration.web.conftest import listening
from tests.unit.services.made_up import MadeUp, add_light_curves, add_observation, base_rows, give_place, name_in_gaia

RA, DEC, STEP = 31.04, 46.68, 0.01  # degrees
GAIA = 2864243154873221479
TOKEN = "a token of the tests, long enough"


class Opened(NamedTuple):
    made: MadeUp
    results: tianyu.Results


@pytest.fixture(params=["database", "http"])
def opened(request: pytest.FixtureRequest, each_ready_url: str, tmp_path: Path) -> Iterator[Opened]:
    """A made-up observation, and what the client opens: the database itself, or a service of it."""
    made = fill(each_ready_url)
    if request.param == "database":
        yield Opened(made, tianyu.open(each_ready_url))
        return
    settings = Settings(database_url=SecretStr(each_ready_url), root=tmp_path)
    with listening(settings, Rules(TOKEN)) as address:
        yield Opened(made, tianyu.open(address, token=TOKEN))


def fill(url: str) -> MadeUp:
    """A made-up observation whose sources lie in a row on the sky."""
    engine = database.connect(url)
    with database.session_factory(engine).begin() as session:
        base_rows(session)
        made = add_light_curves(session, add_observation(session), np.random.default_rng(7), n_stars=12, n_frames=24)
        for number, source_id in enumerate(made.source_ids.tolist()):
            give_place(session, source_id, (RA + number * STEP, DEC))
        name_in_gaia(session, int(made.source_ids[2]), GAIA, 12.0)
        remember(session, named_object("HAT-P-32", (RA + STEP, DEC)))
    engine.dispose()
    return made


def test_a_star_by_all_its_names_has_the_rows_of_the_view(opened: Opened, each_ready_url: str) -> None:
    made, results = opened
    second = int(made.source_ids[1])
    curve = results.light_curve(second)
    rows = tianyu.open(each_ready_url).query(
        "SELECT jd_utc, flux_relative, flag FROM light_curve WHERE source_id = :star AND aperture_best = 1 "
        "AND usable = 1 ORDER BY jd_utc", star=second,
    )  # fmt: skip
    assert len(curve) == len(rows) > 5
    np.testing.assert_array_equal(curve["jd_utc"].jd, rows["jd_utc"].jd)
    np.testing.assert_array_equal(curve["flux_relative"], rows["flux_relative"])
    assert (curve["jd_utc"].scale, curve["bjd_tdb"].scale) == ("utc", "tdb")
    assert curve["flux_raw"].unit == u.adu
    assert curve["usable"].all()
    for name in ("hat-p-32", (RA + STEP, DEC), SkyCoord(RA + STEP, DEC, unit="deg"), f"{RA + STEP},+{DEC}"):
        assert len(results.light_curve(name)) == len(curve)
        assert set(results.light_curve(name)["source_id"]) == {second}
    assert set(results.light_curve(f"Gaia DR3 {GAIA}")["source_id"]) == {int(made.source_ids[2])}
    assert len(results.light_curve(second, usable_only=False, aperture="all")) > len(curve)
    assert curve.meta["observations"][0]["target"] == "HAT-P-32"


def test_many_stars_come_in_the_order_of_the_list(opened: Opened) -> None:
    made, results = opened
    wanted = [int(star) for star in made.source_ids[[5, 2, 5, 9]]]
    together = results.light_curves(wanted)
    groups = together.group_by("target").groups
    assert [set(group["source_id"]) for group in groups] == [{star} for star in wanted]
    one = results.light_curve(wanted[1])
    np.testing.assert_array_equal(groups[1]["flux_raw"], one["flux_raw"])
    assert len(results.light_curves(wanted, filter="no such band")) == 0


def test_a_list_says_of_each_star_without_points_why(opened: Opened) -> None:
    made, results = opened
    first, second = (int(star) for star in made.source_ids[[5, 2]])
    wanted = ["nobody", first, 999_999, (10.0, 20.0), "Gaia DR3 123456", second, None]
    with pytest.raises(tianyu.NotFoundError, match=r"the name 'nobody'.* \(4 more stars of the list are not known"):
        results.light_curves(wanted)  # type: ignore[arg-type]
    found = results.light_curves(wanted, missing="skip")  # type: ignore[arg-type]
    assert set(found["target"]) == {1, 5}
    said = found.meta["missing"]
    assert list(said) == [0, 2, 3, 4, 6]
    assert "does not know the name 'nobody'" in said[0]
    assert "there is no source 999999" in said[2]
    assert "no source lies within" in said[3]
    assert "no source is matched" in said[4]
    assert "names no star" in said[6]
    assert results.light_curves([second, first]).meta["missing"] == {}
    elsewhere = results.light_curves([first], filter="no such band")
    assert elsewhere.meta["missing"] == {0: "no usable points in these observations"}
    with pytest.raises(tianyu.NotFoundError, match="expected 'raise' or 'skip'"):
        results.light_curves([first], missing="drop")  # type: ignore[arg-type]


def test_frames_images_and_observations_are_tables(opened: Opened) -> None:
    made, results = opened
    assert list(results.observations()["observation_id"]) == [made.observation_id]
    images = results.images(made.observation_id, "calibrated")
    assert len(images) == len(made.image_ids)
    assert images["file"][0].startswith("/nowhere/")
    assert set(results.images()["kind"]) >= {"calibrated"}
    assert results.frames().colnames[:3] == ["observation_id", "frame_id", "image_id"]


def test_nothing_can_be_written(each_ready_url: str) -> None:
    fill(each_ready_url)
    results = tianyu.open(each_ready_url)
    with pytest.raises(DBAPIError), results._asked.engine.begin() as connection:
        connection.execute(text("UPDATE source SET x = 0"))


def test_what_is_not_there_is_told(opened: Opened) -> None:
    results = opened.results
    for target, says in (
        (999_999, "no source 999999"), ("nobody", "does not know the name"), ((10.0, 20.0), "no source lies within"),
        ("Gaia DR3 123456", "no source is matched"), ("900px,900px", "has no source"), (None, "names no star"),
        ("1.2.3,4", "names no star"), ("12:00:00 99:00:00", "names no star"),
    ):  # fmt: skip
        with pytest.raises(tianyu.NotFoundError, match=says):
            results.light_curve(target)  # type: ignore[arg-type]
    with pytest.raises(tianyu.NotFoundError, match="no observation 99"):
        results.light_curve(1, observation=99)


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(tianyu.NotFoundError, match=r"has no tianyu\.db"):
        tianyu.open(tmp_path / "empty")
    (tmp_path / "other.db").touch()
    with pytest.raises(tianyu.NotFoundError, match="no database of Tianyu's"):
        tianyu.open(tmp_path / "other.db")


def test_over_http_long_answers_come_in_parts_and_are_the_same(
    ready_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(ready_sqlite_url)
    monkeypatch.setattr(client_routes, "POINTS_MOST", 1)
    monkeypatch.setattr("schema.light_curve_rows.SOURCES_AT_FIRST", 2)
    with listening(Settings(database_url=SecretStr(ready_sqlite_url), root=tmp_path)) as address:
        over_http = tianyu.open(address).light_curves(made.source_ids.tolist(), aperture="all", usable_only=False)
    here = tianyu.open(ready_sqlite_url).light_curves(made.source_ids.tolist(), aperture="all", usable_only=False)
    assert len(here) > 100
    assert over_http.colnames == here.colnames
    for name in ("flux_raw", "mag", "method", "reference_group", "flag"):
        np.testing.assert_array_equal(np.ma.filled(over_http[name], 0), np.ma.filled(here[name], 0))
        np.testing.assert_array_equal(np.ma.getmaskarray(over_http[name]), np.ma.getmaskarray(here[name]))


def test_over_http_what_is_refused_is_told(
    ready_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ready_sqlite_url)
    settings = Settings(database_url=SecretStr(ready_sqlite_url), root=tmp_path)
    with listening(settings, Rules(TOKEN)) as address:
        for token in (None, "another token"):
            with pytest.raises(tianyu.NotFoundError, match="wants a token"):
                tianyu.open(address, token=token)
        results = tianyu.open(address, token=TOKEN)
        with pytest.raises(tianyu.NotFoundError, match="takes no SQL"):
            results.query("SELECT 1")
        monkeypatch.setattr(client_routes, "ROWS_MOST", 3)
        with pytest.raises(tianyu.TianyuError, match="more than 3 rows"):
            results.images()
    with pytest.raises(tianyu.NotFoundError, match="does not answer"):
        results.images()
    with pytest.raises(tianyu.NotFoundError, match="no address of a service"):
        tianyu.open("https://user:password@example.org")
