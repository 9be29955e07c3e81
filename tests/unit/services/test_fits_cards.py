"""Cards of our own read back as they were meant; of a camera's header only sound ones are taken, whatever is in it."""

import math
import warnings

import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fits_cards import card, lines, plain_lines, plain_values, sound_cards

TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Z", "C")), max_size=100)
NUMBERS = st.one_of(st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@given(NUMBERS)
def test_numbers_come_back(value: float) -> None:
    text = card("KEY", value, "of which much can be said that has no room beside a long number in one card")
    assert len(text) == 80
    assert fits.Card.fromstring(text).value == value


@given(TEXTS)
def test_text_comes_back_with_escapes_for_what_fits_has_not(value: str) -> None:
    text = card("OBJECT", value, "the target")
    assert len(text) == 80
    plain = " ".join(value.split())
    if plain.isascii() and plain.isprintable() and len(plain.replace("'", "''")) <= 68:
        assert fits.Card.fromstring(text).value == plain
    else:
        fits.Card.fromstring(text).verify("exception")
    for one in (lines("HISTORY", value)[start : start + 80] for start in range(0, len(lines("HISTORY", value)), 80)):
        fits.Card.fromstring(one).verify("exception")


def test_what_is_not_known_has_no_card() -> None:
    assert [card("KEY", value) for value in (None, math.nan, math.inf)] == ["", "", ""]


@given(st.lists(st.one_of(st.text(st.characters(codec="latin-1"), max_size=90), st.just("KEY     = 'it''s' / ok"))))
def test_sound_cards_are_taken_from_any_header(given_cards: list[str]) -> None:
    header = "".join(text[:80].ljust(80) for text in given_cards)
    for _, text in sound_cards(header):
        assert len(text) % 80 == 0
        found = fits.Card.fromstring(text)
        found.verify("exception")
        assert found.value is not None


@pytest.mark.parametrize(
    "text",
    [
        "KEY     = 1.5 e-/ADU", "KEY     = 1,5", "KEY     = 'open", "KEY     =", "key     = 1", "KEY = 1.5E999",
        "KEY     = 'caf\xe9'", "KEY     = 'a\x1b[2J'", "KEY     = 1e999", "NO VALUE", "END", "KEY     = NaN",
    ],
)  # fmt: skip
def test_broken_cards_are_left_out(text: str) -> None:
    assert list(sound_cards(text.ljust(80))) == []


def test_a_long_text_keeps_its_continuations() -> None:
    header = fits.Header([("LONG", "words " * 40), ("NEXT", 1)]).tostring(endcard=False, padding=False)
    [(first, long), (second, _)] = [found for found in sound_cards(header) if found[0] != "CONTINUE"]
    assert (first, second) == ("LONG", "NEXT")
    assert fits.Card.fromstring(long).value == ("words " * 40).rstrip()


VALUES = st.one_of(
    st.sampled_from(
        ["T", "F", "  12", "007", "+5", "-3.50", "1.", ".5", "1D5", "1.5E-3", "1e5", "12345678901234567890", "", "NaN"]
    ),
    st.sampled_from(
        [
            "''",
            "' '",
            "'it''s'",
            "'M 67   '",
            "' x'",
            "'x&'",
            "'FILE: 3.5'",
            "'a: 1'",
            "'12:30:00'",
            "'NGC 1: V'",
            "'open",
        ]
    ),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=30).map(
        lambda one: f"'{one}'"
    ),
    st.integers(-(10**12), 10**12).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda one: repr(one).upper()),
)
CARDS = st.builds(
    lambda key, sign, value, comment: f"{key:<8}{sign}{value}{comment}"[:80].ljust(80),
    st.sampled_from(
        ["OBJECT", "EXPTIME", "A-B_9", "DATE-OBS", "gain", "HIERARCH A B", "DP1", "COMMENT", "CONTINUE", ""]
    ),
    st.sampled_from(["= ", "=", "  ", "=   "]),
    VALUES,
    st.sampled_from(["", " / of it", "/s", " / 'quoted'", " / \x07"]),
)


@settings(max_examples=500)
@given(st.lists(CARDS, max_size=6))
def test_values_that_are_read_without_astropy_are_those_that_it_reads(cards: list[str]) -> None:
    text = "".join(cards)
    values = plain_values(text)
    with warnings.catch_warnings(action="ignore"):
        header = fits.Header.fromstring(text)
        told = {keyword: header[keyword] for keyword in values}
        assert {keyword: (value, type(value)) for keyword, value in values.items()} == {
            keyword: (value, type(value)) for keyword, value in told.items()
        }
        lines_of_it = plain_lines(text)
        assert lines_of_it is None or lines_of_it == header.tostring(sep="\n", endcard=False, padding=False)


def test_plain_cards_are_read_and_others_left() -> None:
    text = card("OBJECT", "it's M 67", "the target") + card("EXPTIME", 60) + card("GAIN", 1.5) + card("LIVE", True)
    assert plain_values(text) == {"OBJECT": "it's M 67", "EXPTIME": 60, "GAIN": 1.5, "LIVE": True}
    assert plain_lines(text + "END".ljust(80)) is not None
    assert plain_lines(text + "GAIN    = 1,5".ljust(80)) is None
    assert plain_values(text + card("GAIN", 2.0)).keys() == {"OBJECT", "EXPTIME", "LIVE"}
