"""The key of a process changes with all that decides its result, and with nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from schema.image import Image
from schema.observing import Instrument, Observation
from schema.processes import Process
from services.choices import Choices
from services.engine.publisher.keys import frames_told, keys_of, needed
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.steps import COMMANDS, ORDER, STEPS
from tests.unit.docs.pages import DOCS, table_rows
from tests.unit.publisher.made_up import Telescope

ALL = {"catalog": "gaia", "detrend_method": "sysrem", "relative_methods": ("manual", "ensemble")}
# Values that are not the defaults; numbers are 7.
OTHER: dict[str, Any] = {
    "without": ("flat",),
    "flat_method": "mode",
    "flat_limits_adu": (7.0, 70_000.0),
    "aperture_radii": (2.0,),
    "aperture_sky": "global",
    "kron": True,
    "catalog": "none",
    "catalog_file": Path("others.csv"),
    "standard_bands": ("R=r",),
    "standard_file": Path("standards.csv"),
    "standard_columns": ("V=Vmag",),
    "solve_radec": "12.5d,-4.5d",
    "relative_methods": ("paper", "ensemble"),
    "manual_references": ("1,2",),
    "reference_frame": "1",
    "detrend_method": "tfa",
}
Named = dict[tuple[str, int], str]  # keys by command and place among its processes


@pytest.fixture
def telescope(tmp_path: Path) -> Telescope:
    made = Telescope(tmp_path, **ALL)
    for kind in ("bias", "dark", "flat"):
        made.observe(kind, 2)
    return made


def named(publication: Publication) -> Named:
    places: dict[str, int] = {}
    keys: Named = {}
    for process in publication.processes:
        place = places[process.command] = places.get(process.command, -1) + 1
        assert process.result_key is not None
        assert len(process.result_key) == 64
        keys[process.command, place] = process.result_key
    assert len(set(keys.values())) == len(keys)
    return keys


def in_a_dry_run(telescope: Telescope, observation: int, **choices: Any) -> Named:
    """Keys of the graphs that would be published."""
    settings = telescope.settings
    telescope.settings = settings.model_copy(update=choices)
    with telescope.sessions() as session:
        publication = Publisher(session, telescope.settings).publish(observation)
        session.rollback()
    telescope.settings = settings
    return named(publication)


def following(publication: Publication, first: set[int]) -> set[int]:
    """These processes and all that need them."""
    found = set(first)
    for process in publication.processes:
        if needed(process) & found:
            found.add(process.pid)
    return found


def changed(old: Named, new: Named) -> set[tuple[str, int]]:
    assert old.keys() == new.keys()
    return {name for name, key in old.items() if new[name] != key}


def test_the_same_gives_the_same(telescope: Telescope) -> None:
    light = telescope.observe()
    assert in_a_dry_run(telescope, light) == in_a_dry_run(telescope, light)


@pytest.mark.parametrize("choice", sorted({name for step in ORDER for name in step.reads} - {"fan_out"}))
def test_a_choice_changes_what_reads_it_and_what_follows(telescope: Telescope, choice: str) -> None:
    light = telescope.observe()
    old = in_a_dry_run(telescope, light)
    value = OTHER.get(choice, 7)
    if choice == "catalog":
        return  # it decides which processes there are
    if choice == "catalog_file":
        telescope.settings = telescope.settings.model_copy(update={"catalog_file": Path("stars.csv")})
        old = in_a_dry_run(telescope, light)
    new = in_a_dry_run(telescope, light, **{choice: value})
    publication = telescope.publish(light)
    readers = {p.pid for p in publication.processes if choice in STEPS[p.command].reads}
    assert readers
    pids = dict(zip(named(publication), [p.pid for p in publication.processes], strict=True))
    assert {pids[name] for name in changed(old, new)} == following(publication, readers)


def test_a_version_changes_what_has_it_and_what_follows(telescope: Telescope) -> None:
    light = telescope.observe()
    old = in_a_dry_run(telescope, light)
    step, version = STEPS["detect"], STEPS["detect"].version
    object.__setattr__(step, "version", version + 1)
    try:
        new = in_a_dry_run(telescope, light)
    finally:
        object.__setattr__(step, "version", version)
    publication = telescope.publish(light)
    detect = {p.pid for p in publication.processes if p.command == "detect"}
    pids = dict(zip(named(publication), [p.pid for p in publication.processes], strict=True))
    assert {pids[name] for name in changed(old, new)} == following(publication, detect)


@pytest.mark.parametrize(
    "facts",
    [
        {"exposure_s": 31.0},
        {"jd_utc": 2460000.5},
        {"size_bytes": 7},
        {"gain": 2.5},
        {"saturation": 1e4},
        {"airmass": 2.0},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_what_ingest_registered_of_a_frame_changes_what_needs_it(telescope: Telescope, facts: dict[str, float]) -> None:
    light = telescope.observe()
    old = in_a_dry_run(telescope, light)
    with telescope.sessions.begin() as session:
        [frame, *_] = session.scalars(select(Image.image_id).where(Image.observation_id == light)).all()
        session.execute(update(Image).where(Image.image_id == frame).values(**facts))
    new = in_a_dry_run(telescope, light)
    publication = telescope.publish(light)
    takes = {process.pid for process in publication.processes if frame in frames_told(process)}
    assert len(takes) == 1
    pids = dict(zip(named(publication), [p.pid for p in publication.processes], strict=True))
    assert {pids[name] for name in changed(old, new)} == following(publication, takes)


def test_where_and_with_what_it_was_taken_counts(telescope: Telescope) -> None:
    light = telescope.observe()
    old = in_a_dry_run(telescope, light)
    for model, facts in ((Observation, {"ra_deg": 12.0, "dec_deg": 3.0}), (Instrument, {"diameter_m": 1.2})):
        with telescope.sessions.begin() as session:
            session.execute(update(model).values(**facts))
        new = in_a_dry_run(telescope, light)
        assert {("calibrate", 0), ("solve", 0)} <= changed(old, new)
        old = new


def test_what_was_asked_for_anew_changes_it_and_what_follows(telescope: Telescope) -> None:
    light = telescope.observe()
    first = telescope.publish(light)
    telescope.succeed()
    old = {process.result_key for process in first.processes}
    again = telescope.publish(light, again=True)
    assert not {process.result_key for process in again.processes} & old
    assert {process.generation for process in again.processes} == {1}
    telescope.succeed()
    rerun = telescope.rerun(light, "detect")
    taken = set(rerun.taken_over.values())
    keys = {process.result_key for process in again.processes}
    for process in rerun.processes:
        assert (process.result_key in keys) == (process.pid in taken)
    with telescope.sessions() as session:
        assert None not in session.scalars(select(Process.result_key)).all()


def test_what_needs_something_unknown_has_no_key(telescope: Telescope) -> None:
    processes = telescope.publish(telescope.observe()).processes
    detect = next(process for process in processes if process.command == "detect")
    images = {image_id: "facts" for process in processes for image_id in frames_told(process)}
    keys = keys_of(processes, telescope.settings.choices, images, {detect.pid: None})
    without = {process.command for process in processes if process.pid not in keys}
    assert "detect" in without
    assert "extract" in without
    assert "stack" not in without
    assert keys_of(processes, telescope.settings.choices, {}, {}) == {}


def test_graphs_of_earlier_versions_have_no_keys_and_are_made_again(telescope: Telescope) -> None:
    light = telescope.observe()
    telescope.publish(light)
    telescope.succeed()
    with telescope.sessions.begin() as session:
        session.execute(update(Process).values(result_key=None))
    rerun = telescope.rerun(light, "extract")
    own = {
        process.command: process.result_key for process in rerun.processes if process.pid in rerun.taken_over.values()
    }
    assert set(own.values()) == {None}
    telescope.succeed()
    assert "stack_bias" in {process.command for process in telescope.publish(light).processes}


def test_the_page_says_what_is_computed_again(telescope: Telescope) -> None:
    rows = table_rows(DOCS / "explanation" / "what-is-done-again.md", "You changed a setting")
    told = {name: first for choices, first in rows for name in re.findall(r"[a-z_]+", choices)}
    named_here = {name: first for name, first in told.items() if name in Choices.model_fields}
    assert len(named_here) > 15
    light = telescope.observe()
    old = in_a_dry_run(telescope, light, catalog_file=Path("stars.csv"))
    for choice, first in named_here.items():
        new = in_a_dry_run(telescope, light, **{"catalog_file": Path("stars.csv")} | {choice: OTHER.get(choice, 7)})
        anew = {command for (command, _), key in new.items() if key not in old.values()}
        assert min(anew, key=COMMANDS.index) == first, choice
