"""Text as it may be shown: no escape code, no turned text, and nothing that is harmless is changed."""

import json
import sys

import pytest

from services import log
from services.shown import axis, shown


@pytest.mark.parametrize("text", ["", "plain [red] :smile:", "ä − μ 日本 é", "line\nline\ttab", "\\u001b"])
def test_what_is_harmless_stays(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2J", r"\u001b[2J"),
        ("\x9b31m", r"\u009b31m"),
        ("a\rb\x07\x7f\x00", r"a\rb\u0007\u007f\u0000"),
        ("\u202egpj", r"\u202egpj"),  # turns what follows it
        ("a\u2028b", r"a\u2028b"),
        ("\udce4", r"\udce4"),  # of a file's name that is no UTF-8
        ("\U000e0041", r"\udb40\udc41"),  # a hidden tag
    ],
)
def test_what_would_command_a_terminal_is_written_as_in_json(text: str, seen: str) -> None:
    assert shown(text) == seen
    assert json.loads(f'"{seen}"') == text


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_lines_hold_no_escape_codes(capsys: pytest.CaptureFixture[str], form: str) -> None:
    log.configure(form)
    try:
        log.get_logger("test").warning("said\x1b[2J", name="a\x1b]0;b\x07", error=ValueError("\x1b[2J"))
        sys.stderr.flush()
    finally:
        log.configure()
    said = capsys.readouterr().err
    assert "said" in said
    assert "\x1b[2J" not in said
    assert "\x1b]" not in said


def test_a_whole_turn_of_an_axis_is_none() -> None:
    assert [axis(359.98), axis(359.9), axis(-0.02), axis(179.97, 180.0), axis(-45.0, 180.0)] == [
        *("0.0", "359.9", "0.0", "0.0", "135.0")
    ]
