"""Links from stars to their light curves."""

import io
from urllib.parse import urlsplit

from astropy.io.votable import parse, parse_single_table
from astropy.table import Table
from starlette.testclient import TestClient


def links(client: TestClient, **parameters: object) -> Table:
    answer = client.get("/datalink", params=parameters)
    assert answer.headers["content-type"] == "application/x-votable+xml;content=datalink"
    return parse_single_table(io.BytesIO(answer.content)).to_table()


def test_a_star_has_light_curves_and_a_page(client: TestClient) -> None:
    found = links(client, ID="3")
    assert [urlsplit(str(one)).path for one in found["access_url"]] == [
        *(f"/star/3/curve.{suffix}" for suffix in ("vot", "fits", "csv")),
        "/star/3",
        "/soda/sync",
        "/soda/sync",
    ]
    assert [str(one) for one in found["semantics"]] == [*["#this"] * 3, "#auxiliary", "#progenitor", "#cutout"]
    assert {str(one) for one in found["error_message"]} == {""}


def test_what_is_no_star_is_said(client: TestClient) -> None:
    found = links(client, ID=["3", "999999", "x' OR 1=1", "9" * 30])
    errors = {
        str(row["ID"]): str(row["error_message"]) for row in found if not str(row["access_url"]).startswith("http")
    }
    assert errors.keys() == {"999999", "x' OR 1=1", "9" * 30}
    assert all(one.startswith("NotFoundFault") for one in errors.values())
    assert len(links(client)) == 0
    assert client.get("/datalink", params={"ID": ["1"] * 1001}).status_code == 400


def test_answers_lead_to_the_links_of_their_stars(client: TestClient) -> None:
    for path, query in (
        ("/tap/sync", {"QUERY": "SELECT l.source_id AS star_number, l.mag FROM light_curve AS l"}),
        ("/scs", {"RA": "31.0", "DEC": "46.7", "SR": "0.1"}),
    ):
        document = parse(io.BytesIO(client.get(path, params=query).content))
        [service] = [one for one in document.resources if one.utype == "adhoc:service"]
        [address] = [one.value for one in service.params if one.name == "accessURL"]
        assert urlsplit(str(address)).path == "/datalink"
        [field] = [one for one in document.get_first_table().fields if service.groups[0].entries[0].ref == one.ID]
        assert field.name in ("star_number", "source_id")
    for adql in (
        "SELECT observation_id AS source_id FROM observation",
        "SELECT source_id + 1 AS source_id FROM light_curve",
    ):
        document = parse(io.BytesIO(client.get("/tap/sync", params={"QUERY": adql}).content))
        assert [one for one in document.resources if one.utype == "adhoc:service"] == []
