"""Numbers of settings: none may be infinite, no number, negative or beyond all sense."""

import json
from typing import Any, get_args

import pytest

from services.errors import ConfigurationError
from services.settings import Settings, load

SENSELESS = ("inf", "-inf", "nan", "-1", "1e300")
NEGATIVE = {"catalog_mag_limit", "aperture_radii", "clock_offset_h"}  # may be


def holds_numbers(annotation: Any) -> bool:
    return annotation in (int, float) or any(holds_numbers(part) for part in get_args(annotation))


def form(name: str, number: str) -> str:
    """The variable's text: of tables and lists as JSON, which Python writes with Infinity and NaN."""
    if name in ("time_limit_s", "memory_limit_bytes"):
        return json.dumps({"default": float(number)})
    return json.dumps([float(number)]) if name == "aperture_radii" else number


NUMBERS = [name for name, field in Settings.model_fields.items() if holds_numbers(field.annotation)]
OF_NAMES = {"manual_targets", "manual_references", "manual_checks", "solve_radec"}  # numbers only in their text


@pytest.mark.parametrize("number", SENSELESS)
@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in OF_NAMES])
def test_a_senseless_number_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, number: str
) -> None:
    if number == "-1" and name in NEGATIVE:
        return
    monkeypatch.setenv(f"TIANYU_{name.upper()}", form(name, number))
    with pytest.raises(ConfigurationError, match=name):
        load()


def test_all_kinds_of_numbers_are_tried() -> None:
    assert {"lease_s", "time_limit_s", "memory_limit_bytes", "max_attempts", "gain", "aperture_radii"} <= set(NUMBERS)
    assert len(NUMBERS) > 30


def test_numbers_in_use_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("LEASE_S", "3"), ("TIME_LIMIT_S", '{"default": 86400}'), ("APERTURE_RADII", "[-1.5, 4]")):
        monkeypatch.setenv(f"TIANYU_{name}", text)
    assert load().lease_s == 3.0
