"""What users type for a star: pixels, sky coordinates, plain numbers that may be either, and names."""

import re
from datetime import date

import pytest

from services.errors import ConfigurationError
from services.results.positions import Named, Position, parse_radec, parse_target

HAT_P_32 = (31.0428333, 46.6877778)


@pytest.mark.parametrize(
    ("text", "kind", "pair"),
    [
        ("424,286", "either", (424.0, 286.0)),
        ("31.0428,46.6878", "either", (31.0428, 46.6878)),
        ("424px,286px", "pixels", (424.0, 286.0)),
        ("424.5px, 286px", "pixels", (424.5, 286.0)),
        ("31.0428d,46.6878d", "sky", (31.0428, 46.6878)),
        ("02:04:10.28,+46:41:16", "sky", HAT_P_32),
        ("2:4:10.28, 46:41:16", "sky", HAT_P_32),
        ("00:00:36,-00:30:00", "sky", (0.15, -0.5)),
    ],
)
def test_places(text: str, kind: str, pair: tuple[float, float]) -> None:
    found = parse_target(text)
    assert isinstance(found, Position)
    assert found.kind == kind
    assert found.pair == pytest.approx(pair, abs=1e-6)


@pytest.mark.parametrize("name", ["HAT-P-32", "HD 209458", "V* RR Lyr", "2MASS J02041029+4641162", "Barnard's star"])
def test_names(name: str) -> None:
    assert parse_target(f" {name} ") == Named(name)


@pytest.mark.parametrize("text", ["424", "1,2,3", "424,", "", ",", "31.0d,46", "02:04:10.3", "02:04:10.3,+46:99:16"])
def test_neither(text: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(repr(text))):
        parse_target(text)


@pytest.mark.parametrize(("text", "may"), [("359.9,-90", True), ("424,286", False), ("31,91", False), ("-1,5", False)])
def test_plain_numbers_that_may_be_a_place_on_the_sky(text: str, may: bool) -> None:
    found = parse_target(text)
    assert isinstance(found, Position)
    assert found.may_be_on_sky is may


def test_degrees_may_carry_their_unit() -> None:
    assert parse_radec("31.5d,-4.25d") == parse_radec("31.5,-4.25") == (31.5, -4.25)


def test_a_named_star_moves() -> None:
    """Barnard's star, 10.36 arcsec a year to the north: 26 years after 2000 it is 269.4 arcsec farther."""
    star = Position(269.452077, 4.693391, "sky", (-801.551, 10362.394))
    ra, dec = star.on_night(date(2026, 1, 1))
    assert (dec - 4.693391) * 3600 == pytest.approx(26.0 * 10.362394, abs=0.05)
    assert (ra - 269.452077) * 3600 == pytest.approx(-26.0 * 0.801551 / 0.99664, abs=0.05)
    assert Position(1.0, 2.0, "sky").on_night(date(2026, 1, 1)) == (1.0, 2.0)
