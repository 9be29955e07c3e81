"""Images and light curves as data sets: what ObsCore says of them, where DataLink leads, and which pixels SODA cuts."""

import io
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse, parse_single_table
from astropy.table import Table
from astropy.wcs import WCS
from sqlalchemy import Engine, String, literal, select
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.testclient import TestClient

from schema import database
from schema.frame import Frame
from services.steps.shared.frame_alignment import alignment_of
from services.vo.identifiers import did
from services.vo.published.path_free import path_free
from services.vo.query_limits import QueryLimits
from tests.unit.services import made_up
from tests.unit.services.made_wcs import made_wcs
from tests.unit.services.vo.solved_night import CENTRE, FRAMES, SHAPE, STARS, reading_engine, routes_of, solved_night

ARCSEC = 1 / 3600.0


def asked(client: TestClient, adql: str) -> Table:
    answer = client.get("/tap/sync", params={"QUERY": adql, "LANG": "ADQL"})
    assert answer.status_code == 200, answer.text
    return parse_single_table(io.BytesIO(answer.content)).to_table()


@pytest.fixture
def any_engine(each_ready_url: str) -> Iterator[Engine]:
    engine = database.connect(each_ready_url)
    yield engine
    engine.dispose()


def template(client: TestClient) -> dict[str, object]:
    [row] = asked(client, "SELECT * FROM ivoa.obscore WHERE dataproduct_type = 'image' AND calib_level = 3")
    return dict(zip(row.colnames, row, strict=True))


def cut(client: TestClient, **region: str) -> fits.PrimaryHDU:
    answer = client.get("/soda/sync", params={"ID": str(template(client)["obs_publisher_did"]), **region})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fits"
    with fits.open(io.BytesIO(answer.content)) as hdus:
        hdus.verify("exception")
        return fits.PrimaryHDU(hdus[0].data.copy(), hdus[0].header.copy())


def test_each_image_and_light_curve_is_a_data_set(client: TestClient) -> None:
    counted = asked(
        client,
        "SELECT dataproduct_type, calib_level, COUNT(*) AS n FROM ivoa.obscore GROUP BY dataproduct_type, calib_level",
    )
    found = {(str(row["dataproduct_type"]), int(row["calib_level"])): int(row["n"]) for row in counted}
    assert found == {("image", 2): FRAMES, ("image", 3): 1, ("timeseries", 3): STARS}
    curves = asked(
        client, "SELECT * FROM ivoa.obscore WHERE dataproduct_type = 'timeseries' ORDER BY obs_publisher_did"
    )
    assert set(curves["t_xel"]) == {FRAMES}
    # Middles of exposures of 60 s, a frame each 0.002 d, from JD 2460374.3 on.
    assert curves["t_min"][0] == pytest.approx(60373.8, abs=1e-6)
    assert curves["t_max"][0] == pytest.approx(60373.8 + 0.002 * (FRAMES - 1), abs=1e-3)
    assert curves["em_min"][0] == pytest.approx(589e-9)
    stars = asked(client, "SELECT ra, dec, source_id FROM source_catalog ORDER BY source_id")
    by_name = {str(row["target_name"]): row for row in curves}
    for star in stars:
        assert by_name[f"star {star['source_id']}"]["s_ra"] == star["ra"]


def test_regions_are_asked_by_place(client: TestClient) -> None:
    ra, dec = CENTRE
    about = f"CIRCLE('ICRS', {ra}, {dec}, 0.001)"
    images = "SELECT obs_id FROM ivoa.obscore WHERE dataproduct_type = 'image' AND "
    assert len(asked(client, f"{images}1 = CONTAINS(POINT('ICRS', {ra}, {dec}), s_region)")) == FRAMES + 1
    assert len(asked(client, f"{images}1 = INTERSECTS({about}, s_region)")) == FRAMES + 1
    assert len(asked(client, f"{images}1 = INTERSECTS(s_region, CIRCLE({ra + 5}, {dec}, 1.0))")) == 0
    curves = "SELECT s_ra, s_dec FROM ivoa.obscore WHERE dataproduct_type = 'timeseries' AND "
    near = asked(client, f"{curves}1 = INTERSECTS(CIRCLE({ra}, {dec}, {30 * ARCSEC}), s_region)")
    stars = asked(client, f"SELECT ra FROM source_catalog WHERE DISTANCE(ra, dec, {ra}, {dec}) <= {30 * ARCSEC}")
    assert sorted(near["s_ra"]) == sorted(stars["ra"])
    assert 0 < len(near) < STARS


def test_data_sets_lead_to_their_files(client: TestClient) -> None:
    rows = asked(client, "SELECT access_url, obs_publisher_did, access_format FROM ivoa.obscore")
    assert set(rows["access_format"]) == {"application/x-votable+xml;content=datalink"}
    for row in rows:
        address = urlsplit(str(row["access_url"]))
        assert parse_qs(address.query)["ID"] == [str(row["obs_publisher_did"])]
        document = client.get(f"{address.path}?{address.query}").content
        links = parse_single_table(io.BytesIO(document)).to_table()
        assert set(links["ID"]) == {str(row["obs_publisher_did"])}
        assert "#this" in set(links["semantics"])


def test_an_image_has_a_service_that_cuts_it(client: TestClient) -> None:
    name = str(template(client)["obs_publisher_did"])
    document = parse(io.BytesIO(client.get("/datalink", params={"ID": name}).content))
    [service] = [one for one in document.resources if one.utype == "adhoc:service"]
    rows = document.get_first_table().to_table()
    [cutting] = [row for row in rows if row["service_def"]]
    assert (str(cutting["service_def"]), str(cutting["semantics"])) == (service.ID, "#cutout")
    entries = {one.name: one for one in service.groups[0].entries}
    assert str(entries["ID"].value) == name
    assert entries["CIRCLE"].xtype == "circle"


def test_a_cutout_has_the_pixels_and_places_of_its_image(client: TestClient) -> None:
    whole = cut(client)
    wcs = made_wcs(ra=CENTRE[0], dec=CENTRE[1])
    x, y, radius = 120.0, 80.0, 10.0  # pixels of an arcsecond
    ra, dec = wcs.to_sky(np.array([[x, y]]))[0]
    part = cut(client, CIRCLE=f"{ra} {dec} {radius * ARCSEC}")
    assert part.data.shape == (21, 21)
    np.testing.assert_array_equal(part.data, whole.data[70:91, 110:131])
    for hdu, pixel in ((whole, (x, y)), (part, (10.0, 10.0))):
        place = WCS(hdu.header).all_pix2world([pixel], 0)[0]
        np.testing.assert_allclose(place, (ra, dec), atol=1e-9)
    corners = wcs.to_sky(np.array([[100.0, 60.0], [140.0, 60.0], [140.0, 90.0]]))
    words = " ".join(str(one) for one in corners.ravel())
    for region in ({"POLYGON": words}, {"POS": f"POLYGON {words}"}):
        part = cut(client, **region)
        np.testing.assert_array_equal(part.data, whole.data[60:91, 100:141])
    low, high = wcs.to_sky(np.array([[140.0, 60.0], [100.0, 90.0]])).tolist()  # east is to the left
    part = cut(client, POS=f"RANGE {low[0]} {high[0]} {low[1]} {high[1]}")
    np.testing.assert_allclose(part.data.shape, (31, 41), atol=1)
    assert cut(client, POS="RANGE -Inf +Inf -90 90").data.shape == whole.data.shape
    assert cut(client, CIRCLE=f"{ra} {dec} 100").data.shape == whole.data.shape


@pytest.mark.parametrize(
    ("asked_for", "status", "words"),
    [
        ({"CIRCLE": "31 -46.7 0.01"}, 204, ""),
        ({"CIRCLE": "31 46.7"}, 400, "UsageFault"),
        ({"CIRCLE": "31 146.7 1"}, 400, "UsageFault"),
        ({"CIRCLE": "nan 46.7 1"}, 400, "UsageFault"),
        ({"POLYGON": "31 46 32 46"}, 400, "UsageFault"),
        ({"POLYGON": "31 46 32 47 32 46 31 47"}, 400, "UsageFault"),
        ({"POS": "SQUARE 31 46 1"}, 400, "UsageFault"),
        ({"POS": "CIRCLE 31 46 1", "CIRCLE": "31 46 1"}, 400, "MultiValuedParamNotSupported"),
        ({"ID": "../../etc/passwd"}, 404, "NotFoundFault"),
        ({"ID": did("image", 10**9)}, 404, "NotFoundFault"),
        ({"ID": "17"}, 404, "NotFoundFault"),
        ({"ID": did("curve", 1, 3)}, 404, "NotFoundFault"),
    ],
)
def test_what_cannot_be_cut_is_said(client: TestClient, asked_for: dict[str, str], status: int, words: str) -> None:
    answer = client.get("/soda/sync", params={"ID": str(template(client)["obs_publisher_did"]), **asked_for})
    assert answer.status_code == status
    assert answer.text.startswith(words)


CALIBRATED = "SELECT obs_publisher_did, t_min FROM ivoa.obscore WHERE calib_level = 2 ORDER BY t_min"


def test_a_frame_is_cut_where_it_shows_the_sky(client: TestClient, night_url: str) -> None:
    second = asked(client, CALIBRATED)[1]["obs_publisher_did"]
    with Session(database.connect(night_url)) as session:
        alignment = alignment_of(session.scalars(select(Frame).order_by(Frame.jd_utc)).all()[1])
    on_template = np.array([[120.0, 80.0]])
    ra, dec = made_wcs(ra=CENTRE[0], dec=CENTRE[1]).to_sky(on_template)[0]
    answer = client.get("/soda/sync", params={"ID": str(second), "CIRCLE": f"{ra} {dec} {5 * ARCSEC}"})
    assert b"secret" not in answer.content
    with fits.open(io.BytesIO(answer.content)) as hdus:
        assert hdus[0].header["FILTER"] == "R"
        x, y = WCS(hdus[0].header).all_world2pix([(ra, dec)], 0)[0]
        first = int(hdus[0].data[0, 0])
    row, column = divmod(first, SHAPE[1])
    np.testing.assert_allclose((x + column, y + row), alignment.to_frame(on_template)[0], atol=1e-6)


def test_a_file_that_is_gone_is_no_path_in_an_answer(client: TestClient) -> None:
    third = asked(client, CALIBRATED)[2]["obs_publisher_did"]
    answer = client.get("/soda/sync", params={"ID": str(third)})
    assert answer.status_code == 404
    assert "cannot be read" in answer.text
    assert "/" not in answer.text


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        (None, None),
        ("12/40 stars, expected 20 to 60", "12/40 stars, expected 20 to 60"),
        ("file '/data/root/raw/4/light 1.fits' is not whole", "file 'light 1.fits' is not whole"),
        ("file 'raw/4/light 1.fits' is not whole", "file 'light 1.fits' is not whole"),
        ("as /data/root/raw/4/light 1.fits, already", "as light 1.fits, already"),
        ("the same as '/home/anna/x.fits' of 2 adu/s", "the same as '… (the rest names a place on the machine)"),
        (r"the same as C:\\Users\\anna", "the same as C:… (the rest names a place on the machine)"),
        ("~/raw: no", "~… (the rest names a place on the machine)"),
    ],
)
def test_reasons_name_no_folder(any_engine: Engine, reason: str | None, shown: str | None) -> None:
    text = literal(reason, String)
    found = select(path_free(text, literal("/data/root", String), literal("raw/4/light 1.fits", String)))
    with any_engine.connect() as connection:
        assert connection.scalar(found) == shown


def test_data_sets_are_the_same_on_each_engine(each_ready_url: str) -> None:
    writing = database.connect(each_ready_url)
    with database.session_factory(writing)() as session:
        made_up.base_rows(session)
        solved_night(session)
    writing.dispose()
    engine = reading_engine(each_ready_url)
    client = TestClient(Starlette(routes=routes_of(engine, QueryLimits())))
    counted = asked(
        client, "SELECT dataproduct_type AS kind, COUNT(*) AS n FROM ivoa.obscore GROUP BY dataproduct_type"
    )
    assert {str(row["kind"]): int(row["n"]) for row in counted} == {"image": FRAMES, "timeseries": STARS}
    [curve] = asked(client, "SELECT * FROM ivoa.obscore WHERE target_name = 'star 3'")
    [star] = asked(client, "SELECT * FROM source_catalog WHERE source_id = 3")
    assert str(star["source_did"]) == did("star", 3)
    assert curve["s_ra"] == star["ra"]
    assert str(curve["obs_title"]) == "light curve of star 3 in the field of HAT-P-32, filter R, night 2024-03-04"
    assert str(curve["s_region"]).startswith(f"Position ICRS {star['ra']:.8f}")
    about = f"CIRCLE({CENTRE[0]}, {CENTRE[1]}, 0.001)"
    found = asked(
        client, f"SELECT obs_id FROM ivoa.obscore WHERE calib_level = 2 AND 1 = INTERSECTS({about}, s_region)"
    )
    assert len(found) == FRAMES
    assert len(asked(client, "SELECT * FROM tianyu.frame")) == 0
    engine.dispose()
