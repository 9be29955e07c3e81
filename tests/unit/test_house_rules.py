"""Rules of the house that no other tool checks: names and lengths of modules, and modules that pages name."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.unit.docs.pages import CHECKOUT, PAGES, name_of

PACKAGES = ("services", "pipeline", "schema")
LONGEST = 350  # lines
MIGRATIONS = CHECKOUT / "schema" / "migrations" / "versions"  # as they were when they were released
TOLD_OTHERWISE = ("CHANGELOG.md", "CONTRIBUTING.md")  # what once was, and a step that is yet to be written
NAMED = re.compile(r"`((?:services|pipeline|schema)/[\w/]+\.py)`")


def modules(package: str) -> list[Path]:
    found = [path for path in (CHECKOUT / package).rglob("*.py") if MIGRATIONS not in path.parents]
    assert found
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_the_name_of_a_module_stands_in_one_folder(package: str) -> None:
    folders = defaultdict(list)
    for path in modules(package):
        if path.name != "__init__.py":
            folders[path.name].append(str(path.parent.relative_to(CHECKOUT)))
    assert {name: places for name, places in folders.items() if len(places) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_long(package: str) -> None:
    lengths = {str(path.relative_to(CHECKOUT)): path.read_text().count("\n") for path in modules(package)}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.parametrize("package", [*PACKAGES, "client", "bench", "tests"])
def test_threads_are_had_and_not_inherited(package: str) -> None:
    """Of `threading.Thread` a class would inherit the names of all versions of Python, those to come too."""
    heir = re.compile(r"^class .*\((?:threading\.)?Thread\b", re.MULTILINE)
    heirs = [str(path.relative_to(CHECKOUT)) for path in modules(package) if heir.search(path.read_text())]
    assert heirs == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in TOLD_OTHERWISE], ids=name_of)
def test_modules_that_a_page_names_exist(page: Path) -> None:
    named = NAMED.findall(page.read_text())
    assert [name for name in named if not (CHECKOUT / name).is_file()] == []
