"""What counts as a whole number."""

import pytest

from services.whole_numbers import LARGEST, whole_number


@pytest.mark.parametrize(("words", "number"), [("0", 0), ("17", 17), ("007", 7), (str(LARGEST), LARGEST)])
def test_ascii_digits_are_a_number(words: str, number: int) -> None:
    assert whole_number(words) == number


@pytest.mark.parametrize(
    "words", ["", "-1", "+1", "1.0", "1e3", " 1", "٣", "²", "1_000", str(LARGEST + 1), "0" * 20 + "7", "9" * 5000]
)
def test_nothing_else_is(words: str) -> None:
    assert whole_number(words) is None


def test_a_number_is_not_above_the_most_that_it_may_be() -> None:
    assert whole_number("9", 9) == 9
    assert whole_number("10", 9) is None
