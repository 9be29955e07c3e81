"""The services as the programs of the Virtual Observatory see them: pyvo, and STILTS with its two validators."""

import io
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import pyvo
import uvicorn
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from astroquery.utils.tap.core import TapPlus
from pydantic import SecretStr

from services.settings import Settings
from services.vo.query_limits import QueryLimits
from services.vo.vo_routes import VoServices
from services.web.guard import Rules
from services.web.listening import all_services
from services.web.served import Served
from tests.servers import programs
from tests.unit.services.vo.conftest import fill
from tests.unit.services.vo.solved_night import STARS

START_S = 20.0
VALIDATION_S = 120.0
# All but that of plans of observations, which are not published here.
STAGES = "TMV TME TMS TMC CPV CAP AVV QGE QPO QAS UWS MDQ OBS UPL EXA"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the services answer."""
    folder = tmp_path_factory.mktemp("vo")
    settings = Settings(database_url=SecretStr(fill(folder / "night.db")), root=folder)
    served, tables = Served.open(settings), VoServices.open(settings)
    app = all_services(served, tables, Rules())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(START_S)
    tables.close()
    served.close()


def test_pyvo_asks_at_once_later_and_with_a_table(address: str) -> None:
    service = pyvo.dal.TAPService(f"{address}/tap")
    assert "tianyu.light_curve" in service.tables.keys()  # noqa: SIM118 - no dict
    assert service.maxrec == QueryLimits.rows
    stars = service.search("SELECT * FROM tianyu.source_catalog ORDER BY source_id").to_table()
    assert len(stars) == STARS
    later = service.run_async("SELECT TOP 5 bjd_tdb, mag FROM tianyu.light_curve ORDER BY bjd_tdb", maxrec=3)
    assert len(later) == 3
    assert later.status[0] == "OVERFLOW"
    mine = Table({"name": ["first", "second"], "ra": stars["ra"][:2], "dec": stars["dec"][:2]})
    match = (
        "SELECT u.name, s.source_id FROM TAP_UPLOAD.mine AS u JOIN tianyu.source_catalog AS s "
        "ON 1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(u.ra, u.dec, 0.0001)) ORDER BY u.name"
    )
    for run in (service.run_sync, service.run_async):
        found = run(match, uploads={"mine": mine})
        assert found["source_id"].tolist() == stars["source_id"].tolist()[:2]
    with pytest.raises(pyvo.dal.DALQueryError, match="no table"):
        service.search("SELECT * FROM tianyu.process")


def test_stars_lead_to_their_light_curves(address: str, stilts: str, tmp_path: Path) -> None:
    stars = pyvo.dal.TAPService(f"{address}/tap").search(
        "SELECT TOP 2 source_id FROM source_catalog ORDER BY source_id"
    )
    assert len(stars) == 2
    for star in stars:
        links = star.getdatalink()
        files = links.bysemantics("#this", include_narrower=False)
        [whole] = [one for one in files if one.content_type == "application/x-votable+xml"]
        [page] = links.bysemantics("#auxiliary", include_narrower=False)
        curve = parse_single_table(io.BytesIO(urllib.request.urlopen(whole.access_url).read())).to_table()
        assert set(curve["source_id"]) == {star["source_id"]}
        assert b"<html" in urllib.request.urlopen(page.access_url).read()
    file = tmp_path / "links.vot"
    file.write_bytes(urllib.request.urlopen(f"{address}/datalink?ID=1&ID=999999").read())
    report = programs.run([stilts, "datalinklint", f"votable={file}"], VALIDATION_S)
    assert re.findall("^[EF]-.*", report, re.MULTILINE) == []
    assert "Totals: Errors: 0;" in report


def test_rows_of_stars_lead_to_links_in_turn(address: str) -> None:
    service = pyvo.dal.TAPService(f"{address}/tap")
    named = service.search("SELECT TOP 3 source_id, source_did FROM source_catalog ORDER BY source_id")
    found = {str(one.original_row["source_did"]): one for one in named.iter_datalinks()}
    assert list(found) == list(named["source_did"])
    numbered = service.search("SELECT TOP 3 source_id FROM source_catalog ORDER BY source_id")
    for row, links in zip(numbered, numbered.iter_datalinks(preserve_order=True), strict=True):
        assert {str(link["ID"]) for link in links} == {str(row["source_id"])}
        assert f"/star/{row['source_id']}" in {urllib.parse.urlsplit(str(link.access_url)).path for link in links}


def test_data_sets_lead_to_cutouts(address: str, stilts: str, tmp_path: Path) -> None:
    service = pyvo.dal.TAPService(f"{address}/tap")
    images = service.search("SELECT * FROM ivoa.obscore WHERE calib_level = 3 AND dataproduct_type = 'image'")
    [links] = images.iter_datalinks()
    [whole] = links.bysemantics("#this", include_narrower=False)
    with fits.open(io.BytesIO(urllib.request.urlopen(whole.access_url).read())) as hdus:
        ny, nx = hdus[0].data.shape
    assert (nx, ny) == (images[0]["s_xel1"], images[0]["s_xel2"])
    [soda] = [one for one in links.iter_adhocservices() if one.ID.startswith("soda")]
    query = pyvo.dal.adhoc.SodaQuery.from_resource(images[0], soda)
    query.circle = (31.0 * u.deg, 46.7 * u.deg, 10 * u.arcsec)
    with fits.open(io.BytesIO(query.execute_stream().read())) as hdus:
        assert hdus[0].data.shape == (21, 21)
    file = tmp_path / "image.vot"
    file.write_bytes(urllib.request.urlopen(str(images[0]["access_url"])).read())
    report = programs.run([stilts, "datalinklint", f"votable={file}"], VALIDATION_S)
    assert re.findall("^[EF]-.*", report, re.MULTILINE) == []


def test_astroquery_asks_at_once_and_later(address: str) -> None:
    service = TapPlus(url=f"{address}/tap", verbose=False)
    # Its `load_tables` reads lists of tables of ESA's archives alone: it expects an attribute of theirs.
    for ask in (service.launch_job, service.launch_job_async):
        found = ask("SELECT TOP 100 source_id, ra FROM tianyu.source_catalog ORDER BY source_id").get_results()
        assert len(found) == STARS


def test_stilts_asks_and_cuts_without_windows(address: str, stilts: str, tmp_path: Path) -> None:
    """As a script of TOPCAT's user would: a question, and a match of targets of one's own."""
    mine, found = tmp_path / "mine.csv", tmp_path / "found.csv"
    stars = pyvo.dal.TAPService(f"{address}/tap").search("SELECT TOP 2 source_id, ra, dec FROM source_catalog")
    rows = [f"{row['source_id']},{row['ra']!r},{row['dec']!r}" for row in stars.to_table()]
    mine.write_text("\n".join(["own,ra,dec", *rows]).replace("np.float64(", "").replace(")", ""))
    adql = (
        "SELECT u.own, s.source_id FROM TAP_UPLOAD.mine AS u JOIN tianyu.source_catalog AS s "
        "ON 1 = CONTAINS(POINT('ICRS', s.ra, s.dec), CIRCLE('ICRS', u.ra, u.dec, 0.0001))"
    )
    upload = ["nupload=1", f"upload1={mine}", "upname1=mine", "ufmt1=csv"]
    command = [stilts, "tapquery", f"tapurl={address}/tap", *upload, f"adql={adql}", f"out={found}", "ofmt=csv"]
    programs.run(command, VALIDATION_S)
    matched = Table.read(found, format="ascii.csv")
    assert matched["own"].tolist() == matched["source_id"].tolist()
    assert len(matched) == 2


def test_pyvo_searches_a_cone(address: str) -> None:
    service = pyvo.dal.SCSService(f"{address}/scs?")
    found = service.search(pos=SkyCoord(31.0, 46.7, unit="deg"), radius=0.02)
    assert 0 < len(found) < STARS
    assert found[0].pos.separation(SkyCoord(31.0, 46.7, unit="deg")).deg < 0.02


def test_taplint_finds_no_error(address: str, stilts: str) -> None:
    report = programs.run([stilts, "taplint", f"tapurl={address}/tap", f"stages={STAGES}"], VALIDATION_S)
    assert re.findall("^[EF]-.*", report, re.MULTILINE) == []
    assert "Totals: Errors: 0;" in report
    assert re.findall("^W-EXA.*", report, re.MULTILINE) == []


def test_votlint_finds_nothing_in_an_answer(address: str, stilts: str, tmp_path: Path) -> None:
    adql = urllib.parse.quote(
        "SELECT l.*, s.ra, s.dec FROM light_curve AS l JOIN source_catalog AS s USING (source_id)"
    )
    for number, serialization in enumerate(("votable", "votable/b2")):
        file = tmp_path / f"{number}.vot"
        url = f"{address}/tap/sync?LANG=ADQL&MAXREC=50&QUERY={adql}&RESPONSEFORMAT={serialization}"
        file.write_bytes(urllib.request.urlopen(url).read())
        assert programs.run([stilts, "votlint", str(file)], VALIDATION_S).strip() == ""
