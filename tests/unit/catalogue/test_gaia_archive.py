"""Gaia's archive behind a TAP service: what is asked, what is understood, and every way in which it can fail."""

import gzip
import re
import socket
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from astropy.table import Table

from pipeline.sky import healpix
from services.errors import ConfigurationError, TransientError
from services.sky.catalogue import CatalogueOutage, CatalogueStars, tap
from services.sky.catalogue.gaia_archive import GaiaArchive
from services.sky.catalogue.tap import TapService
from tests.unit.catalogue.archive import Archive, drip, send, sky, votable

ORDER = 6
MAG_LIMIT = 15.0
Spoil = Callable[[BaseHTTPRequestHandler, bytes], None]


def service(archive: Archive, timeout_s: float = 10.0) -> GaiaArchive:
    return GaiaArchive(TapService(archive.url, timeout_s, pause_s=0.0))


def wanted() -> list[int]:
    return healpix.cells_of_cone(0.0, 46.0, 0.7, ORDER).tolist()


def fetched(archive: GaiaArchive, cells: list[int], mag_limit: float = MAG_LIMIT) -> CatalogueStars:
    return CatalogueStars.joined([stars for _, stars in archive.cells(cells, ORDER, mag_limit)])


def expected(stars: Table, cells: list[int], mag_limit: float = MAG_LIMIT) -> Table:
    """The truth, by position."""
    places = np.column_stack([stars["ra"], stars["dec"]])
    inside = np.isin(healpix.cells(places, ORDER), cells) & (stars["phot_g_mean_mag"] < mag_limit)
    chosen = stars[inside]
    return chosen[np.argsort(chosen["source_id"])]


def same(found: CatalogueStars, truth: Table) -> None:
    """Star by star and number by number; single-precision magnitudes survive exactly."""
    found = found.take(np.argsort(found.source_id))
    np.testing.assert_array_equal(found.source_id, truth["source_id"])
    names = {"ra_deg": "ra", "dec_deg": "dec", "pm_ra_mas": "pmra", "pm_dec_mas": "pmdec", "parallax_mas": "parallax"}
    names |= {"g_mag": "phot_g_mean_mag", "bp_mag": "phot_bp_mean_mag", "rp_mag": "phot_rp_mean_mag"}
    for field, column in names.items():
        values = np.ma.asarray(truth[column]).astype(np.float64).filled(np.nan)
        np.testing.assert_array_equal(getattr(found, field), values)
    np.testing.assert_array_equal(found.variable, truth["phot_variable_flag"] == "VARIABLE")
    assert set(found.ref_epoch.tolist()) == {2016.0}


def test_the_stars_of_cells_arrive_with_all_their_numbers(archive: Archive) -> None:
    cells = wanted()
    truth = expected(archive.stars, cells)
    assert len(truth) > 300
    assert truth["ra"].min() < 1.0
    assert truth["ra"].max() > 359.0
    assert np.ma.count_masked(truth["pmra"]) > 0
    same(fetched(service(archive), cells), truth)
    assert len(archive.queries) == 1


def test_only_the_columns_that_are_needed_are_asked_for(archive: Archive) -> None:
    fetched(service(archive), wanted())
    (query,) = archive.queries
    assert query.startswith(
        "SELECT source_id, ra, dec, pmra, pmdec, parallax, phot_g_mean_mag, phot_bp_mean_mag, phot_rp_mean_mag, "
        "ref_epoch, phot_variable_flag FROM gaiadr3.gaia_source WHERE phot_g_mean_mag < 15.0000 AND (source_id BETWEEN"
    )


def test_many_cells_are_asked_for_a_few_at_a_time(archive: Archive) -> None:
    """50,000 stars a query: at G < 18 eight cells of 6,000 stars."""
    cells = list(range(100, 130))
    lots = [few for few, _ in service(archive).cells(cells, ORDER, 18.0)]
    assert [len(few) for few in lots] == [8, 8, 8, 6]
    assert [cell for few in lots for cell in few] == cells


def test_an_answer_that_is_cut_short_is_asked_for_in_parts(archive: Archive) -> None:
    """In halves, and one cell alone in quarters of quarters; no star is lost or doubled."""
    archive.rows_max = 17
    same(fetched(service(archive), wanted()), expected(archive.stars, wanted()))
    sizes = {int(b) - int(a) + 1 for q in archive.queries for a, b in re.findall(r"BETWEEN (\d+) AND (\d+)", q)}
    assert min(sizes) < 1 << (35 + 12)


def test_a_server_that_sends_next_to_nothing_is_an_outage() -> None:
    crowd = sky(0.0, 46.0, 0.0001, 30)
    crowd["source_id"] = (int(crowd["source_id"][0] >> 35) << 35) + np.arange(30)
    from tests.unit.catalogue.archive import serve

    with serve(Archive(crowd)) as archive:
        archive.rows_max = 1
        cell = int(crowd["source_id"][0]) >> (35 + 12)
        with pytest.raises(CatalogueOutage, match="cuts its answers off after 1 rows"):
            fetched(service(archive), [cell], 21.0)


def test_no_stars_are_no_error(archive: Archive) -> None:
    """The south has none here."""
    assert len(fetched(service(archive), healpix.cells_of_cone(90.0, -60.0, 0.5, ORDER).tolist())) == 0


def test_a_compressed_answer_is_read(archive: Archive) -> None:
    archive.spoil = lambda handler, body: send(handler, gzip.compress(body))
    same(fetched(service(archive), wanted()), expected(archive.stars, wanted()))


def renamed(_: bytes) -> bytes:
    table = sky(0.0, 46.0, 1.0, 5)
    table.rename_column("phot_g_mean_mag", "gmag")
    return votable(table)


def of_another_sky(_: bytes) -> bytes:
    return votable(sky(120.0, -30.0, 1.0, 5))


def too_faint(_: bytes) -> bytes:
    table = sky(0.0, 46.0, 0.1, 5)
    table["phot_g_mean_mag"] = np.float32(19.0)
    return votable(table)


def misplaced(_: bytes) -> bytes:
    """Ids of the right cells at places a few degrees away."""
    table = sky(0.0, 46.0, 0.1, 5)
    table["phot_g_mean_mag"] = np.float32(10.0)
    table["dec"] += 3.0
    return votable(table)


def nowhere(_: bytes) -> bytes:
    table = sky(0.0, 46.0, 0.1, 5)
    table["dec"] = 146.0
    return votable(table)


def float_ids(_: bytes) -> bytes:
    table = sky(0.0, 46.0, 0.1, 5)
    table["source_id"] = table["source_id"].astype("f8")
    return votable(table)


def error_document(_: bytes) -> bytes:
    return (
        b'<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        b'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">Unknown table gaia_source</INFO></RESOURCE>'
        b"</VOTABLE>"
    )


def html(_: bytes) -> bytes:
    return b"<html><head><title>Welcome</title></head><body><h1>Sign in to the guest network</h1></body></html>"


GARBAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "html": (html, r"no whole VOTable .*Sign in to the guest network"),
    "empty": (lambda _: b"", "sent 0 bytes that are no whole VOTable"),
    "truncated": (lambda body: body[: len(body) * 2 // 3], "no whole VOTable"),
    "truncated in the end tags": (lambda body: body[:-20], "no whole VOTable"),
    "broken gzip": (lambda body: gzip.compress(body)[:-50], "broken archive"),
    "error document": (error_document, "could not answer: Unknown table gaia_source"),
    "another table": (renamed, "another table.* phot_g_mean_mag is missing; columns found: source_id, ra, dec"),
    "another sky": (of_another_sky, r"sent star \d+ whose id belongs to cell \d+: asked were G < 15 and cells"),
    "fainter stars": (too_faint, r"sent star \d+ of G = 19.0: asked were G < 15"),
    "stars elsewhere": (misplaced, r"sent star \d+ at \(.*\) deg: asked were"),
    "places nowhere": (nowhere, "5 of 5 places are nowhere on the sky"),
    "ids that lost digits": (float_ids, "source_id is of type float64: expected whole numbers"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_an_outage_that_says_what_came(archive: Archive, kind: str) -> None:
    make, message = GARBAGE[kind]
    archive.spoil = lambda handler, body: send(handler, make(body))
    with pytest.raises(CatalogueOutage, match=message) as raised:
        fetched(service(archive), wanted())
    assert isinstance(raised.value, TransientError)
    assert len(str(raised.value)) < 900


@pytest.mark.parametrize(
    ("spoil", "message", "tries"),
    [
        (partial(send, code=503), "refused with HTTP 503", 3),
        (partial(send, code=404), "refused with HTTP 404", 1),
        (lambda handler, body: send(handler, body[:100], promised=len(body)), "broke off its answer after 100 of", 3),
        (lambda handler, body: handler.close_connection, "cannot be reached", 3),
    ],
    ids=["unavailable", "not found", "broken off", "closed"],
)
def test_what_may_mend_at_once_is_tried_again(archive: Archive, spoil: Spoil, message: str, tries: int) -> None:
    archive.spoil = spoil
    with pytest.raises(CatalogueOutage, match=message):
        fetched(service(archive), wanted())
    assert len(archive.queries) == tries


def test_a_second_try_may_succeed(archive: Archive) -> None:
    def fail_once(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        send(handler, body, code=503 if len(archive.queries) == 1 else 200)

    archive.spoil = fail_once
    same(fetched(service(archive), wanted()), expected(archive.stars, wanted()))


def test_without_a_network_nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever observes on a mountain should not wait for pauses between tries that cannot succeed."""
    asked: list[str] = []

    def no_network(host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(CatalogueOutage, match=r"gaia\.example\.org.*cannot be reached.*is the network up"):
        fetched(GaiaArchive(TapService("https://gaia.example.org/tap", 5.0)), wanted())
    assert asked == ["gaia.example.org"]


def test_a_server_that_is_down_is_an_outage() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/tap"
        with pytest.raises(CatalogueOutage, match=r"cannot be reached: .*refused.*; is the network up"):
            fetched(GaiaArchive(TapService(url, 5.0, pause_s=0.0)), wanted())


def test_a_silent_server_is_an_outage(archive: Archive) -> None:
    """It accepts the query and never answers; waiting again at once would be of no use."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/tap"
        with pytest.raises(CatalogueOutage, match=r"was silent for 0.2 s.*catalog_timeout_s"):
            fetched(GaiaArchive(TapService(url, 0.2, pause_s=0.0)), wanted())


def test_a_server_that_drips_is_an_outage(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never silent for as long as the time limit, and never at an end."""
    monkeypatch.setattr(tap, "TOTAL_TIMEOUTS", 1)
    archive.spoil = drip
    with pytest.raises(CatalogueOutage, match=r"had not ended its answer after \d+ bytes and 1 s"):
        fetched(service(archive, timeout_s=1.0), wanted())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gea.esac.esa.int/tap", "ftp://127.0.0.1/tap"])
def test_an_address_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address of a catalogue: expected https://"):
        fetched(GaiaArchive(TapService(url, 5.0)), wanted())
