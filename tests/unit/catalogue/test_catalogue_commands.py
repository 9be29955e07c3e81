"""`tianyu catalog` and `tianyu target` as they are typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app
from tests.unit.catalogue.archive import Archive, send


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Archive) -> Archive:
    monkeypatch.chdir(tmp_path)
    for name, value in {"ROOT": tmp_path, "CATALOG": "gaia", "CATALOG_URL": archive.url, "SITE": "local"}.items():
        monkeypatch.setenv(f"TIANYU_{name}", str(value))
    monkeypatch.setenv("TIANYU_DATABASE_URL", f"sqlite:///{tmp_path / 'tianyu.db'}")
    return archive


def tianyu(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_what_was_fetched_is_in_the_cache(surroundings: Archive) -> None:
    fetch = ("catalog", "fetch", "--radec", "00:00:00,+46:00:00", "--radius", "0.5", "--mag-limit", "15")
    first = tianyu(*fetch)
    assert first.exit_code == 0, first.output
    again = tianyu(*fetch)
    assert "0 of them fetched now" in again.stdout
    assert len(surroundings.queries) == 1
    status = json.loads(tianyu("catalog", "status", "--json").stdout)
    (depth,) = status["depths"]
    assert status["order"] == 6
    assert depth["mag_limit"] == 15.0
    assert (
        f"{depth['cells']} cells with {depth['stars']} stars to G = 15, {depth['cells']} of them fetched"
        in first.stdout
    )
    assert depth["stars"] > 100
    assert depth["size_bytes"] > 80 * depth["stars"] / 2
    assert str(depth["stars"]) in tianyu("catalog", "status").stdout


def test_an_empty_cache_says_how_to_fill_it(surroundings: Archive) -> None:
    assert "`tianyu catalog fetch` brings some" in tianyu("catalog", "status").stdout


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CATALOG": "none"}, 'catalog is "none": the network is not asked'),
        ({"CATALOG_FILE": "mine.fits"}, "catalog_file is set ('mine.fits')"),
    ],
)
def test_the_network_is_not_asked_against_the_settings(
    surroundings: Archive, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"TIANYU_{name}", value)
    result = tianyu("catalog", "fetch", "--radec", "0,46", "--radius", "0.5")
    assert result.exit_code == 1
    assert message in result.stderr
    assert surroundings.queries == []


@pytest.mark.parametrize("field", [("0,96", "0.5"), ("400,6", "0.5"), ("0,46", "0"), ("0,46", "31"), ("0,46", "nan")])
def test_a_field_that_is_none_is_refused(surroundings: Archive, field: tuple[str, str]) -> None:
    result = tianyu("catalog", "fetch", "--radec", field[0], "--radius", field[1])
    assert result.exit_code == 1
    assert "there is no field at" in result.stderr


def test_an_outage_is_one_sentence(surroundings: Archive) -> None:
    surroundings.spoil = lambda handler, body: send(handler, b"gone", code=404)
    result = tianyu("catalog", "fetch", "--radec", "0,46", "--radius", "0.5")
    assert result.exit_code == 1
    assert "refused with HTTP 404" in result.stderr
    assert "Traceback" not in result.stderr


def test_names_are_added_shown_and_listed(surroundings: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIANYU_CATALOG", "none")
    assert tianyu("init").exit_code == 0
    added = tianyu("target", "add", "My Star", "17:57:48.5", "-04:41:36", "--pm", "-801.6,10362.4")
    assert added.exit_code == 0, added.output
    assert tianyu("target", "add", "Other", "31.0428", "-46.6878").exit_code == 0
    shown = tianyu("target", "show", "my  STAR").stdout
    assert "269.452083" in shown
    assert "-4.693333" in shown
    assert "-801.60" in shown
    listed = tianyu("target", "list").stdout
    assert listed.index("My Star") < listed.index("Other")
    assert "-46.687800" in listed
    unknown = tianyu("target", "show", "nobody")
    assert unknown.exit_code == 1
    assert "tianyu target add nobody RA DEC" in unknown.stderr
    wrong = tianyu("target", "add", "x", "10", "-91")
    assert wrong.exit_code == 1
    assert "cannot lie at right ascension 10.0, declination -91.0" in wrong.stderr
