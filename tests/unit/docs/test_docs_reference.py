"""The reference says what the program is: commands, settings, schema, flags, files, header keywords, numbers."""

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from sqlalchemy import text

from pipeline.flags import Flag
from pipeline.frame.masked_pixels import PIXEL_DTYPE
from pipeline.frame.stars import STAR_DTYPE
from schema import database, image, processes
from schema.models import metadata
from schema.observing import BIAS, DARK, FLAT, LIGHT
from schema.views import VIEWS
from services.choices import Choices
from services.deployment import Deployment, Retention, TelescopeDeployment
from services.header_reading import Reading
from services.ingest import register
from services.settings import CONFIG_VARIABLE, PREFIX, Settings, file_variables
from services.steps import COMMANDS
from services.steps.shared import image_files
from services.targets_file import TargetTable
from services.telescope.observing_plan import ObservingPlan
from tests.unit.docs import cli_page, keywords_table, steps_table
from tests.unit.docs.pages import DOCS, PAGES, blocks, name_of, table_rows

REFERENCE = DOCS / "reference"


def test_the_page_of_commands_is_what_the_program_says() -> None:
    expected = cli_page.render()
    assert cli_page.PAGE.read_text() == expected, "run `python -m tests.unit.docs.cli_page`"


DEPLOYMENT = (
    "Where things are",
    "Pages for a browser",
    "Alerts of a live night",
    "Groups of consumers",
    "Several sites",
    "Telescope",
    "Process engine",
    "Free space",
)
READING = ("Headers and names", "Frames")
CHOICES = ("The sky", "Photometry")


def settings_rows(headings: tuple[str, ...] = DEPLOYMENT + READING + CHOICES) -> list[list[str]]:
    return [row for heading in headings for row in table_rows(REFERENCE / "settings.md", heading)]


@pytest.mark.parametrize(("headings", "kind"), [(DEPLOYMENT, Deployment), (READING, Reading), (CHOICES, Choices)])
def test_tables_tell_deployment_from_choices(headings: tuple[str, ...], kind: type[BaseModel]) -> None:
    assert {name for name, *_ in settings_rows(headings)} == kind.model_fields.keys()


def test_every_setting_is_listed_with_its_variable() -> None:
    listed = {name: variable for name, variable, *_ in settings_rows()}
    assert listed == {name: f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("row", settings_rows(), ids=lambda row: row[0])
def test_defaults_are_those_of_the_settings(row: list[str]) -> None:
    name, _, default, *_ = row
    found = Settings.model_construct().model_dump(mode="json", context=None)[name]
    if isinstance(Settings.model_fields[name].default, SecretStr):
        found = Settings.model_fields[name].default.get_secret_value()
    assert (None if default == "not set" else tomllib.loads(f"x = {default}")["x"]) == found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_files_can_be_loaded(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIANYU_CATALOG", raising=False)
    for block in blocks(page, "toml"):
        values = tomllib.loads(block)
        if "exposures" in values:
            ObservingPlan.model_validate(values)
            continue
        if values.keys().isdisjoint(Settings.model_fields):  # a file of targets
            for table in values.values():
                TargetTable(**table)
            continue
        loaded = Settings(**values)
        assert loaded.model_fields_set == set(values)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_variables_are_settings(page: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {CONFIG_VARIABLE} | file_variables()
    shown = set(re.findall(r"\bTIANYU_[A-Z_]+\b", page.read_text()))
    assert {name for name in shown if not name.startswith("TIANYU_TEST_")} <= known


@pytest.mark.parametrize(
    ("heading", "kind"), [("Devices of the telescope", TelescopeDeployment), ("Retention", Retention)]
)
def test_what_stands_in_a_table_is_listed(heading: str, kind: type[BaseModel]) -> None:
    rows = table_rows(REFERENCE / "settings.md", heading)
    defaults = {name: None if field.is_required() else field.default for name, field in kind.model_fields.items()}
    told = {
        name: None if default in ("required", "not set") else tomllib.loads(f"x = {default}")["x"]
        for name, default, *_ in rows
    }
    assert told == defaults
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert {name for name, default, *_ in rows if default == "required"} == required


def test_every_table_is_listed() -> None:
    rows = table_rows(REFERENCE / "schema.md", "Tables, and what they are in the paper")
    listed = [name for row in rows for name in re.findall(r"\w+", row[0])]
    assert sorted(listed) == sorted(metadata.tables)


def test_every_view_is_listed_with_its_columns(ready_sqlite_url: str) -> None:
    rows = table_rows(REFERENCE / "schema.md", "Views (a contract)")
    engine = database.connect(ready_sqlite_url)
    with engine.connect().execution_options(**database.READ_ONLY) as connection:
        columns = {name: list(connection.execute(text(f"SELECT * FROM {name}")).keys()) for name in VIEWS}
    engine.dispose()
    assert {view: listed.split(", ") for view, _, listed in rows} == columns


def test_states_are_those_of_processes() -> None:
    assert [row[0] for row in table_rows(DOCS / "explanation" / "process-life.md", "States")] == list(processes.STATES)


def test_steps_are_listed_with_their_facts() -> None:
    rows = table_rows(steps_table.PAGE, "The graph of an observation")
    assert [row[0] for row in rows] == [command for command in COMMANDS if command != "check"]
    assert steps_table.PAGE.read_text() == steps_table.page()


def test_flags_are_those_of_the_pipeline() -> None:
    rows = table_rows(REFERENCE / "flags.md", "Flags of a flux")
    assert {row[1]: int(row[0]) for row in rows} == {flag.name: int(flag) for flag in Flag}


def test_kinds_of_images_are_those_of_the_schema() -> None:
    made = {
        value
        for name, value in vars(image).items()
        if name.isupper() and isinstance(value, str) and value not in (BIAS, DARK, FLAT, LIGHT)
    }
    assert {row[0] for row in table_rows(REFERENCE / "files.md", "Images")} == made
    frames = {row[0] for row in table_rows(REFERENCE / "files.md", "Frames")}
    assert frames == {BIAS, DARK, FLAT, LIGHT, register.UNKNOWN}


def test_extensions_and_their_columns_are_those_of_the_steps() -> None:
    rows = {row[0]: row[2] for row in table_rows(REFERENCE / "files.md", "Extensions")}
    assert set(rows) == {image_files.PIXELS, image_files.STARS, image_files.WEIGHT}
    assert re.findall(r"`(\w+)`", rows[image_files.STARS]) == list(STAR_DTYPE.names or ())
    assert re.findall(r"`(\w+)`", rows[image_files.PIXELS]) == list(PIXEL_DTYPE.names or ())


def test_header_keywords_are_those_that_are_read() -> None:
    expected = keywords_table.page()
    assert keywords_table.PAGE.read_text() == expected, "run `python -m tests.unit.docs.keywords_table`"


def number_rows() -> list[tuple[str, str]]:
    page = DOCS / "explanation" / "photometry.md"
    found = re.findall(r"^\| `((?:pipeline|services)\.[\w.]+)` \| ([^|]+?) \|", page.read_text(), re.MULTILINE)
    assert len(found) > 20
    return [(name, value) for name, value in found]


@pytest.mark.parametrize(("name", "shown"), number_rows())
def test_numbers_of_the_photometry_are_those_of_the_code(name: str, shown: str) -> None:
    module, _, attribute = name.rpartition(".")
    value: Any = getattr(importlib.import_module(module), attribute)
    numbers = tuple(float(number) for number in shown.split(", "))
    assert numbers == (tuple(value) if isinstance(value, tuple) else (float(value),))


def test_tests_that_are_named_exist() -> None:
    for page in PAGES:
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text()):
            source = DOCS.parent / path
            assert source.is_file(), f"{name_of(page)} names {path}"
            assert f"def {name}(" in source.read_text(), f"{name_of(page)} names {path}::{name}"
