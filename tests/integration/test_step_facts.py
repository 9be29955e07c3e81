"""What steps say of themselves is what they do: tables, images and files of a night in which each of them ran."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, event

from schema import prepared
from schema.image import Image, ImageParent
from schema.processes import Lease, Process, ProcessAttempt, ReadKey
from services.choices import Choices, read_choices
from services.engine.consumer import worker
from services.image_store import LocalImageStore
from services.steps import ORDER, STEPS
from services.trials.simulate import night_spec, simulate
from tests.integration.small_night import SPEC, Night

NIGHT: dict[str, Any] = SPEC | {
    "n_bias": 4,  # more than the fan-out, so that there are branches
    "n_dark": 4,
    "shape": (200, 200),
    "sky_seed": 8,
    "sky_density": 6000.0,
    "sky_separation_arcsec": 10.0,
    "sky_faintest_mag": 17.5,
    "pixel_scale": 1.3,
    "seeing": 3.2,
}
INSERT = re.compile(r"INSERT (?:OR \w+ )?INTO [`\"]?(\w+)")
OF_ENGINE = {table.__tablename__ for table in (Image, ImageParent, Lease, Process, ProcessAttempt, ReadKey)}

Found = defaultdict[str, set[str]]


class Seen(NamedTuple):
    """What was seen, by command."""

    tables: Found  # that got rows
    opened: Found  # kinds of images that were read
    made: Found  # kinds of images
    read: Found  # choices


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("facts")
    raw = simulate(night_spec("demo", **NIGHT), folder / "raw")
    asked: dict[str, Any] = {"detrend_method": "sysrem", "fan_out": 3, "forced_places": ("the middle=5.0d,35.0d",)}
    night = Night.open(folder / "work", catalog_file=raw / "truth" / "gaia.csv", **asked)
    night.publish(raw)
    written: set[str] = set()
    opened: set[str] = set()
    looked_at: set[str] = set()

    class Noting(Choices):
        def __getattribute__(self, name: str) -> Any:
            looked_at.add(name)
            return super().__getattribute__(name)

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        written.update(INSERT.findall(text))

    def prepared_ones(connection: Any, calls: Any, ask: Any = prepared._on_sqlite) -> Any:
        """What goes to the driver itself, past SQLAlchemy's events."""
        written.update(table for text, _ in calls for table in INSERT.findall(text))
        return ask(connection, calls)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("read", "read_all", "read_extra", "read_pixels", "read_master", "master_rows"):
            patch.setattr(LocalImageStore, name, _noting(getattr(LocalImageStore, name), opened))
        patch.setattr(worker, "read_choices", lambda text: Noting(**read_choices(text).values()))
        patch.setattr(prepared, "_on_sqlite", prepared_ones)
        event.listen(Engine, "before_cursor_execute", statement)
        tables, files, read = Found(set), Found(set), Found(set)

        def after(command: str) -> None:
            tables[command] |= written - OF_ENGINE
            files[command] |= opened
            read[command] |= looked_at & set(Choices.model_fields)
            for noted in (written, opened, looked_at):
                noted.clear()

        night.work(after)
        event.remove(Engine, "before_cursor_execute", statement)
    made = Found(set)
    for command, kind in night.rows("SELECT DISTINCT p.command, i.kind FROM image i JOIN process p ON p.pid = i.pid"):
        made[command].add(kind)
    return Seen(tables, files, made, read)


def _noting(read: Any, opened: set[str]) -> Any:
    def noted(store: LocalImageStore, path: str, *arguments: Any, **more: Any) -> Any:
        opened.add(Path(path).parts[0])
        return read(store, path, *arguments, **more)

    return noted


def test_each_step_ran(seen: Seen) -> None:
    # Without the network nobody asks the archive, and frames are appended in live nights alone.
    assert {step.command for step in ORDER if step.kind} - set(seen.tables) == {"solve_archive", "append_relative"}


def test_tables_that_get_rows_are_those_that_steps_name(seen: Seen) -> None:
    named = {command: {table.__tablename__ for table in STEPS[command].tables} for command in seen.tables}
    told = {command: tables - {"rejection"} for command, tables in named.items()}  # of which no frame is in need
    # The field is solved at once, so that a longer search has nothing to say, nor who places frames afterwards; eight
    # frames show no trend, and none is aligned by its neighbours.
    fewer = {"solve_index": set(), "place_frames": set(), "detrend": set(), "select": {"verdict"}}
    assert seen.tables == told | fewer


def test_images_that_are_made_are_those_that_steps_name(seen: Seen) -> None:
    told = {step.command: {*step.makes, *step.partial} for step in ORDER if step.kind and step.makes + step.partial}
    assert seen.made == told


def test_choices_that_are_read_are_those_that_steps_name(seen: Seen) -> None:
    for command, names in seen.read.items():
        assert names <= {*STEPS[command].reads, *STEPS[command].passes_on}, command
    assert {name for names in seen.read.values() for name in names} >= {"detection_threshold", "gain", "catalog_file"}


def test_files_without_which_a_step_cannot_be_are_opened_by_it(seen: Seen) -> None:
    for command, kinds in seen.opened.items():
        assert set(STEPS[command].opens) <= kinds, command


def test_a_step_that_may_be_anywhere_opens_what_it_says_and_nothing_else(seen: Seen) -> None:
    """What it opens besides would not travel to where it runs."""
    anywhere = [step for step in ORDER if step.anywhere and step.command in seen.opened]
    assert len(anywhere) == 12
    for step in anywhere:
        assert seen.opened[step.command] <= {*step.opens, *step.uses}, step.command
