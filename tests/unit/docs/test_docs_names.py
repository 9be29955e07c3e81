"""The way of a frame in the architecture page goes through modules and functions that are there."""

import re
from importlib import import_module

import pytest

from tests.unit.docs.pages import DOCS

SECTION = "## One frame, function by function\n"
TEXT = (DOCS / "architecture.md").read_text().split(SECTION)[1].split("\n## ")[0]
NAMES = sorted(set(re.findall(r"`((?:services|pipeline|schema)\.[\w.]+)`", TEXT)))


def named(name: str) -> object:
    """What a dotted name stands for: a module, or what is in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def test_the_way_is_told_by_names() -> None:
    assert len(NAMES) > 20
    for wrong in ("services.night.reduce", "services.steps.extract.walk"):
        with pytest.raises((AttributeError, ModuleNotFoundError)):
            named(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there(name: str) -> None:
    named(name)
