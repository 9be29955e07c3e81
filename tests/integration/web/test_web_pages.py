"""Pages of a night that was processed: what they tell is what the commands tell."""

import csv
import json
import tomllib
from collections.abc import Iterator
from io import BytesIO, StringIO

import numpy as np
import pytest
from astropy.io.votable import parse_single_table
from markupsafe import escape
from PIL import Image as Pillow
from sqlalchemy import select
from starlette.testclient import TestClient

from schema.frame import Frame
from schema.image import TEMPLATE, Image
from schema.processes import Process
from services.image_store import open_store
from services.operating.status import status
from services.results.lightcurves.observation_facts import observation_facts
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.star_nights import read_nights
from services.results.plots.roles import read_spots
from services.settings import Settings
from services.web.pictures import picture_of
from services.web.star_curves import COLUMNS
from tests.integration.small_night import FRAMES, Night
from tests.integration.web.asking import asking


@pytest.fixture(scope="module")
def client(processed: Night) -> Iterator[TestClient]:
    with asking(processed.settings) as found:
        yield found


@pytest.fixture(scope="module")
def light(processed: Night) -> int:
    """The observation."""
    return processed.observation()


@pytest.fixture(scope="module")
def star(processed: Night, light: int) -> int:
    """Its brightest."""
    with processed.sessions() as session:
        return next(iter(read_spots(session, observation_facts(session, light))))


def test_the_night_is_listed_with_its_progress(client: TestClient, processed: Night, light: int) -> None:
    listed = client.get("/").text
    assert f'href="/observation/{light}"' in listed
    assert "3 of calibration frames too" in listed
    page = client.get(f"/observation/{light}").text
    with processed.sessions() as session:
        [told] = status(session, light)
        reasons = [one.reject_reason for one in session.scalars(select(Frame).where(Frame.good.is_(False)))]
    assert f"<dd>{FRAMES}, {told.frames_rejected} rejected</dd>" in page
    assert all(escape(str(reason)) in page for reason in reasons)
    assert f"extract: {FRAMES} succeeded" in page
    assert client.get("/?kind=all").text.count('href="/observation/') > listed.count('href="/observation/')


def test_frames_are_those_of_the_view(client: TestClient, processed: Night, light: int) -> None:
    told = client.get(f"/observation/{light}/frames.json").json()
    rows = processed.rows(
        "SELECT frame_id, image_id, fwhm, good FROM frame WHERE observation_id = :o ORDER BY jd_utc", o=light
    )
    assert len(rows) == FRAMES
    assert list(zip(told["frame_id"], told["image_id"], told["fwhm"], told["good"], strict=True)) == rows
    assert told["hours"] == sorted(told["hours"])


def test_a_curve_has_the_numbers_of_the_command(client: TestClient, processed: Night, light: int, star: int) -> None:
    told = client.get(f"/star/{star}/curve.json").json()
    with processed.sessions() as session:
        facts = observation_facts(session, light)
        wanted = read_nights(session, [(facts, find_source(session, facts, source_id=star))]).curves[0]
    [curve] = told["curves"]
    for name in COLUMNS:
        np.testing.assert_array_equal(np.array(curve[name], dtype=float), wanted.values(name), err_msg=name)
    assert curve["image_id"] == wanted.values("image_id").tolist()
    assert curve["usable"] == wanted.usable.tolist()
    assert np.isfinite(np.array(curve["flux_relative"], dtype=float)).sum() >= FRAMES - 1


def test_the_relative_flux_is_by_the_method_that_is_chosen(client: TestClient, processed: Night, star: int) -> None:
    [shown], [other], [unknown] = (
        client.get(f"/star/{star}/curve.json?method={method}").json()["curves"] for method in ("", "paper", "none")
    )
    assert [shown["method"], other["method"], unknown["method"]] == ["ensemble", "paper", "ensemble"]
    rows = processed.rows(
        "SELECT f.image_id, f.flux FROM relative_flux f JOIN relative_calibration c ON c.pid = f.pid "
        "AND c.aperture = f.aperture WHERE c.method = 'paper' AND f.source_id = :s AND f.aperture = :a",
        s=star,
        a=other["aperture"][0],
    )
    assert dict(zip(other["image_id"], other["flux_relative"], strict=True)) == dict(rows)
    assert other["flux_relative"] != shown["flux_relative"] == unknown["flux_relative"]
    assert other["flux_raw"] == shown["flux_raw"]


def test_comparison_stars_are_offered_with_their_fluxes(
    client: TestClient, processed: Night, light: int, star: int
) -> None:
    place = f"/observation/{light}/star/{star}"
    page = client.get(f"{place}/comparison").text
    told = client.get(f"{place}/fluxes.json").json()
    assert page.count("<tr data-star=") == len(told["stars"]) > 5
    [curve] = client.get(f"/star/{star}/curve.json").json()["curves"]
    assert told["image_id"] == curve["image_id"]
    other, found = next(iter(told["stars"].items()))
    rows = processed.rows(
        "SELECT image_id, flux_raw, usable FROM light_curve WHERE source_id = :s AND aperture = :a ORDER BY jd_utc",
        s=int(other),
        a=curve["aperture"][0],
    )
    assert [image for image, *_ in rows] == told["image_id"]
    assert found["flux"] == [flux if usable else None for _, flux, usable in rows]


def test_a_choice_is_saved_as_settings(client: TestClient, light: int, star: int) -> None:
    place = f"/observation/{light}/star/{star}"
    settings = tomllib.loads(client.get(f"{place}/choice.toml?references=2,3&checks=4").text)
    assert Settings(**settings).manual_references == ("2", "3")
    assert settings["manual_targets"] == [str(star)]
    for wrong, code in (("references=x", 400), ("references=1,,2", 400), ("references=999", 404)):
        assert client.get(f"{place}/choice.toml?{wrong}").status_code == code, wrong


@pytest.mark.parametrize("aperture", [0, 1])
def test_an_aperture_is_chosen(client: TestClient, star: int, aperture: int) -> None:
    [curve] = client.get(f"/star/{star}/curve.json?aperture={aperture}").json()["curves"]
    assert set(curve["aperture"]) == {aperture}


def test_files_hold_the_same_rows(client: TestClient, star: int) -> None:
    [curve] = client.get(f"/star/{star}/curve.json").json()["curves"]
    answer = client.get(f"/star/{star}/curve.csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="star-{star}.csv"'
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [float(row["flux_raw"]) for row in rows] == curve["flux_raw"]
    table = parse_single_table(BytesIO(client.get(f"/star/{star}/curve.vot").content)).to_table()
    assert table["flux_raw"].tolist() == curve["flux_raw"]
    assert client.get(f"/star/{star}/curve.fits").content.startswith(b"SIMPLE")
    assert client.get(f"/star/{star}/curve.xlsx").status_code == 404


def test_a_period_is_looked_for(client: TestClient, star: int) -> None:
    """Eight points have none, and that is said."""
    answer = client.get(f"/star/{star}/period.json")
    assert answer.status_code == 404
    assert f"source {star} has no period" in answer.json()["error"]


def test_stars_lie_where_the_template_has_them(client: TestClient, processed: Night, light: int, star: int) -> None:
    assert f'data-source="/observation/{light}/stars.json"' in client.get(f"/observation/{light}/field").text
    told = client.get(f"/observation/{light}/stars.json").json()
    with processed.sessions() as session:
        spots = read_spots(session, observation_facts(session, light))
        template = session.scalars(select(Image).where(Image.kind == TEMPLATE)).one()
    assert told["source_id"] == list(spots)
    assert list(zip(told["x"], told["y"], strict=True)) == [spot.xy for spot in spots.values()]
    answer = client.get(f"/image/{template.image_id}/0/0/0.png")
    assert "immutable" in answer.headers["cache-control"]
    shades = np.asarray(Pillow.open(BytesIO(answer.content)))
    pixels = open_store(processed.settings.root).read(template.path)
    np.testing.assert_array_equal(shades, picture_of(pixels).levels[0])
    x, y = spots[star].xy
    assert shades[pixels.shape[0] - 1 - round(y), round(x)] == 0, "the brightest star is black, at its place"


def test_a_frame_has_its_apertures_where_its_stars_are(client: TestClient, processed: Night, light: int) -> None:
    with processed.sessions() as session:
        frames = session.scalars(select(Frame).where(Frame.observation_id == light).order_by(Frame.jd_utc)).all()
    last = frames[-1]
    page = client.get(f"/frame/{last.image_id}").text
    assert f'href="/frame/{frames[-2].image_id}"' in page
    told = client.get(f"/frame/{last.image_id}/apertures.json").json()
    pixels = open_store(processed.settings.root).read(last.path)
    ny, nx = pixels.shape
    x, y = (np.rint(told[name]).astype(int) for name in ("x", "y"))
    inside = (x > 8) & (y > 8) & (x < nx - 8) & (y < ny - 8)
    bright = np.nonzero(inside)[0][:3]
    for k in bright:
        near = pixels[y[k] - 8 : y[k] + 9, x[k] - 8 : x[k] + 9]
        peak = np.unravel_index(np.nanargmax(near), near.shape)
        assert np.hypot(peak[0] - 8, peak[1] - 8) < 2.5, "the star is where its aperture is"
    assert bright.size
    assert told["radii"] == sorted(told["radii"])
    assert told["annulus"][1] > told["annulus"][0] > max(told["radii"])


def test_the_star_is_found_by_number_and_pixels(client: TestClient, processed: Night, light: int, star: int) -> None:
    with processed.sessions() as session:
        facts = observation_facts(session, light)
        place = find_source(session, facts, source_id=star)
    for question in (str(star), f"{place.x:.1f}px,{place.y:.1f}px"):
        assert f'href="/star/{star}"' in client.get("/search", params={"q": question}).text, question
    for question in (
        "no such star",
        "Gaia DR3 12345678901",
        "99999",
        "9999999999999999999",
        "Gaia DR3 9999999999999999999",
        "31.0,46.0d",
        "12,",
        "x" * 300,
    ):
        answer = client.get("/search", params={"q": question})
        assert (answer.status_code, 'class="error"' in answer.text) == (404, True), question


def test_candidates_are_listed_and_paged(client: TestClient, light: int) -> None:
    assert f'href="/observation/{light}/candidates"' in client.get("/candidates").text
    page = client.get(f"/observation/{light}/candidates").text
    assert page.count("data-star=") > 10
    assert client.get(f"/observation/{light}/candidates?from=4999").text.count("data-star=") == 0


def test_processes_are_shown(client: TestClient, processed: Night, light: int) -> None:
    with processed.sessions() as session:
        pid = session.scalars(select(Process.pid).where(Process.command == "detect")).one()
    graph = client.get(f"/observation/{light}/graph").text
    assert "align, calibrate, detect" in graph
    process = client.get(f"/process/{pid}").text
    assert "Attempt 1: succeeded" in process
    assert "Nothing runs." in client.get("/work").text


@pytest.mark.parametrize(
    "path",
    [
        *("/observation/999", "/observation/999/frames.json", "/observation/999/field", "/observation/999/stars.json"),
        *("/observation/999/candidates", "/observation/999/graph", "/star/999", "/star/999/curve.json"),
        *("/star/999/curve.csv", "/star/999/period.json", "/frame/999", "/frame/1", "/frame/999/apertures.json"),
        *("/image/999/0/0/0.png", "/process/999", "/nothing", "/static/nothing.js", "/static/../answers.py"),
        *(f"/{what}/{2**63}" for what in ("observation", "star", "frame", "process")),
        *(f"/{what}/{10**400}" for what in ("observation", "star", "frame", "process")),
        f"/image/{2**70}/{2**70}/{2**70}/{2**70}.png",
    ],
)
def test_what_is_not_there_is_said(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    words = answer.json()["error"] if path.endswith(".json") else answer.text
    assert "there is no" in words or "no such" in words or "light curves" in words


@pytest.mark.parametrize("query", ["from=-1", "from=x", "from=9999999999999", "from=1e3", "from=٣"])
def test_a_question_that_cannot_be_read_is_refused(client: TestClient, light: int, query: str) -> None:
    assert client.get(f"/observation/{light}?{query}").status_code == 400


@pytest.mark.parametrize("aperture", ["99", "x", "-1", "1" * 30])
def test_an_aperture_that_is_none_is_refused(client: TestClient, star: int, aperture: str) -> None:
    answer = client.get(f"/star/{star}/curve.json?aperture={aperture}")
    assert answer.status_code in (400, 404)
    assert "aperture" in answer.json()["error"]


def test_data_are_compressed_for_who_can_read_that(client: TestClient, star: int) -> None:
    path = f"/star/{star}/curve.json"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(plain.content) == packed.json()


def test_parts_of_others_are_shipped_with_their_licences(client: TestClient) -> None:
    assert "MIT" in client.get("/static/uplot-1.6.32/LICENSE").text
    script = client.get("/static/uplot-1.6.32/uPlot.iife.min.js")
    assert "v1.6.32" in script.text[:100]
    assert script.headers["content-type"].startswith("text/javascript")


def test_pages_ask_no_other_server(client: TestClient, light: int, star: int) -> None:
    for path in ("/", f"/observation/{light}", f"/observation/{light}/field", f"/star/{star}", "/candidates", "/work"):
        page = client.get(path).text
        assert "http://" not in page, path
        assert "https://" not in page, path
        assert " style=" not in page, path
        assert " on" + "click=" not in page, path
        assert "<script>" not in page, path
