"""A further night of a known field: no stack and no detection, each frame measured on the template of another night."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from pipeline.flags import SPOILING
from pipeline.trials.simulation.night_spec import NightSpec
from schema import database
from schema.frame import Frame
from schema.image import TEMPLATE, Image
from schema.observing import Observation
from schema.processes import SUCCEEDED, Process
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.engine.publisher.rerun import rerun
from services.engine.publisher.templates import how_well
from services.errors import ConfigurationError
from services.ingest.raw_folder import read_folder
from services.ingest.register import register
from services.operating import reduction
from services.operating.modes import Modes
from services.trials.simulate import night_spec, simulate
from tests.integration.small_night import FRAMES, SPEC, Night, simulate_night

BRIGHT = 50_000  # ADU
FIRST = 5  # frames of the second night that are there when it is published


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights of one field, one day apart, in two folders."""
    folder = tmp_path_factory.mktemp("raw")
    simulate_night(folder / "first")
    simulate(night_spec("demo", **SPEC | {"start_jd": NightSpec().start_jd + 1.0}), folder / "second")
    return folder


@pytest.fixture(scope="module")
def processed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    night = Night.open(tmp_path_factory.mktemp("processed"))
    night.publish(raw / "first")
    night.work()
    night.sessions.kw["bind"].dispose()
    return night


@pytest.fixture
def night(processed: Night, tmp_path: Path) -> Night:
    return processed.copy(tmp_path / "work")


def ingest(night: Night, folder: Path) -> None:
    site, root = night.settings.site, night.settings.root
    database.transact(night.sessions, lambda session: register(session, read_folder(folder), site=site, root=root))


def publish(night: Night, number: int, *, again: bool = False) -> Publication:
    with night.sessions.begin() as session:
        return Publisher(session, night.settings).publish(number, again=again, known=True)


def light_observations(night: Night) -> list[int]:
    return [one for (one,) in night.rows(
        "SELECT observation_id FROM observation o JOIN target t ON t.target_id = o.target_id WHERE t.kind = 'light' "
        "ORDER BY night"
    )]  # fmt: skip


def light_curves(night: Night, number: int) -> list[tuple[object, ...]]:
    return night.rows(
        "SELECT source_id, jd_utc, aperture, flux_raw, flux_relative, is_reference, flag, image_good FROM light_curve "
        "WHERE observation_id = :o ORDER BY source_id, jd_utc, aperture",
        o=number,
    )


def test_frames_are_measured_on_the_other_nights_sources(night: Night, raw: Path) -> None:
    ingest(night, raw / "second")
    first, second = light_observations(night)
    published = publish(night, second)
    assert f"measured on the template of observation {first}" in published.notes[0]
    done = night.work()
    assert {"stack", "detect", "solve", "choose_reference"}.isdisjoint(done)
    assert done.count("extract") == done.count("calibrate") == FRAMES
    assert {state for _, state in night.states(published.graph_pid)} == {SUCCEEDED}
    old, new = light_curves(night, first), light_curves(night, second)
    assert {row[0] for row in new} == {row[0] for row in old}  # the same sources
    assert len(new) == len(old) > 200
    # The nights were made of the same photons a day apart. Here each frame is laid on the template itself and not
    # on another frame, and an aperture that lies a tenth of a pixel elsewhere has other light by some thousandths.
    # Of a cosmic ray's track, other pixels lie in the aperture then: such points are flagged, and not compared.
    pairs = [
        (before[3], after[3])
        for before, after in zip(old, new, strict=True)
        if before[7] and not (before[6] | after[6]) & SPOILING
    ]
    ratio = np.array([after / before for before, after in pairs if before is not None and before > BRIGHT])
    assert ratio.size > 50
    assert np.median(ratio) == pytest.approx(1.0, abs=0.001)
    assert np.abs(ratio - 1.0).max() < 0.01
    assert all(after[1] == pytest.approx(before[1] + 1.0, abs=1e-8) for before, after in zip(old, new, strict=True))
    skies = night.rows("SELECT COUNT(*) FROM sky")
    assert skies == [(1,)]
    with night.sessions() as session:
        facts = session.get_one(Observation, second)
        assert facts.sky_id == session.get_one(Observation, first).sky_id
        shown = session.scalars(select(Image).where(Image.graph_pid == published.graph_pid, Image.kind == TEMPLATE))
        assert len(shown.all()) == 1  # what plots draw


def test_templates_of_longer_exposures_come_last_and_are_told_of(night: Night, raw: Path) -> None:
    """Stars that are saturated on the template were taken for hits of cosmic rays on short frames."""
    ingest(night, raw / "second")
    first, second = light_observations(night)
    with night.sessions.begin() as session:
        session.execute(
            update(Observation)
            .where(Observation.observation_id == first)
            .values(exposure_s=Observation.exposure_s * 10)
        )
    published = publish(night, second)
    assert any("frames of 300 s, its own are of 30 s" in note for note in published.notes)
    with night.sessions() as session:
        long, short = (session.get_one(Observation, number) for number in (first, second))
        assert how_well(short, short) > how_well(short, long)
        assert how_well(long, long) > how_well(long, short), "though the other is newer"


def test_frames_that_come_later_join(night: Night, raw: Path, tmp_path: Path) -> None:
    coming = tmp_path / "coming"
    shutil.copytree(raw / "second", coming, ignore=shutil.ignore_patterns("truth", "Sim*"))
    frames = sorted((raw / "second").glob("Sim*"))
    for path in frames[:FIRST]:
        shutil.copy(path, coming)
    ingest(night, coming)
    second = light_observations(night)[-1]
    graph = publish(night, second).graph_pid
    night.work()
    assert len({row[1] for row in light_curves(night, second)}) == FIRST
    for path in frames[FIRST:]:
        shutil.copy(path, coming)
    ingest(night, coming)
    grown = publish(night, second)
    assert grown.graph_pid == graph
    assert grown.counts()["calibrate"] == FRAMES - FIRST
    night.work()
    joined = light_curves(night, second)
    assert len({row[1] for row in joined}) == FRAMES
    publish(night, second, again=True)
    night.work()
    assert light_curves(night, second) == joined  # as if all had been there from the start


def test_an_earlier_calibration_that_ends_last_is_not_shown(night: Night, raw: Path) -> None:
    ingest(night, raw / "second")
    second = light_observations(night)[-1]
    graph = publish(night, second).graph_pid
    night.work()
    with night.sessions.begin() as session:
        newest = session.get_one(Observation, second).calibration_pid
        session.get_one(Observation, second).calibration_pid = 2**62  # of frames that came meanwhile
    assert newest is not None
    with night.sessions.begin() as session:
        rerun(session, night.settings, second, "calibrate_relative")
    night.work()
    with night.sessions() as session:
        assert session.get_one(Observation, second).calibration_pid == 2**62
    assert night.states(graph)["calibrate_relative", SUCCEEDED] == 4


def test_what_cannot_be_done_says_why(night: Night, raw: Path, tmp_path: Path) -> None:
    [first] = light_observations(night)
    with pytest.raises(ConfigurationError, match="no known template"):
        publish(night, first, again=True)
    flat = night.observation("flat")
    with pytest.raises(ConfigurationError, match=r"flat frames, which need no template"):
        publish(night, flat)
    ingest(night, raw / "second")
    second = light_observations(night)[-1]
    publish(night, second)
    night.work()
    again = publish(night, second)
    assert again.processes == []
    assert f"observation {second}: nothing to compute" in again.says
    with pytest.raises(ConfigurationError, match=r"another night's template, of which stack .*--new-template"):
        night_rerun(night, second, "stack")


@pytest.mark.parametrize("step", ["calibrate", "align", "select", "extract", "calibrate_relative"])
def test_it_is_run_again_on_the_same_template(night: Night, raw: Path, step: str) -> None:
    ingest(night, raw / "second")
    second = light_observations(night)[-1]
    publish(night, second)
    night.work()
    before = light_curves(night, second)
    night_rerun(night, second, step)
    done = night.work()
    assert {"stack", "solve", "detect"}.isdisjoint(done)
    assert ("extract" in done) == (step != "calibrate_relative")
    assert light_curves(night, second) == before
    assert publish(night, second).processes == []


def night_rerun(night: Night, number: int, step: str) -> None:
    with night.sessions.begin() as session:
        rerun(session, night.settings, number, step)


def test_a_frame_of_another_field_fails_alone(night: Night, raw: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(raw / "second", mixed, ignore=shutil.ignore_patterns("truth"))
    other = simulate(
        night_spec("demo", **SPEC | {"seed": 77, "start_jd": NightSpec().start_jd + 1.0}), tmp_path / "other"
    )
    shutil.copy(sorted(other.glob("Sim*"))[0], mixed / sorted(mixed.glob("Sim*"))[0].name)
    ingest(night, mixed)
    second = light_observations(night)[-1]
    graph = publish(night, second).graph_pid
    night.work()
    states = night.states(graph)
    assert states["align", "failed"] == 1
    assert states["extract", "skipped"] == 1
    assert states["calibrate_relative", SUCCEEDED] == 2
    with night.sessions() as session:
        failed = session.scalars(select(Process).where(Process.graph_pid == graph, Process.status == "failed")).one()
        assert failed.error is not None
        assert sorted(mixed.glob("Sim*"))[0].name in failed.error
        mixed_in = select(Frame.good).where(Frame.graph_pid == graph, Frame.dx.is_(None))
        assert session.scalars(mixed_in).all() == [False]


def test_other_choices_are_taken_on_the_same_template(night: Night, raw: Path, tmp_path: Path) -> None:
    """What they concern is measured anew with the frames that came; behind `extract` it joins."""
    coming = tmp_path / "coming"
    shutil.copytree(raw / "second", coming, ignore=shutil.ignore_patterns("truth", "Sim*"))
    frames = sorted((raw / "second").glob("Sim*"))
    for path in frames[:FIRST]:
        shutil.copy(path, coming)
    ingest(night, coming)
    first, second = light_observations(night)
    graph = publish(night, second).graph_pid
    night.work()
    detrended = night.having(detrend_method="tfa")
    joined = publish(detrended, second)
    assert (joined.graph_pid, joined.runs()) == (graph, {"detrend": 1})
    detrended.work()
    for path in frames[FIRST:]:
        shutil.copy(path, coming)
    ingest(night, coming)
    changed = night.having(linearity=3000.0, flat_method="mode", detection_threshold=6.0)
    anew = publish(changed, second)
    assert anew.graph_pid != graph
    assert f"measured on the template of observation {first}" in anew.notes[0]
    assert any(note.startswith(f"observation {second}: other choices than of graph {graph}: ") for note in anew.notes)
    assert any(
        note.endswith("is made anew by other choices (flat_method: clipped_mean -> mode)") for note in anew.notes
    )
    done = changed.work()
    assert {"stack", "solve", "detect"}.isdisjoint(done)
    assert done.count("extract") == FRAMES
    linearity = "SELECT DISTINCT linearity FROM image WHERE kind = 'calibrated' AND graph_pid = :graph"
    assert night.rows(linearity, graph=anew.graph_pid) == [(3000.0,)]
    assert publish(changed, second).processes == []


def test_the_template_of_a_graph_without_keys_is_known_too(night: Night, raw: Path, tmp_path: Path) -> None:
    with night.sessions.begin() as session:
        session.execute(update(Process).values(result_key=None))
    coming = tmp_path / "coming"
    shutil.copytree(raw / "second", coming, ignore=shutil.ignore_patterns("truth"))
    last = sorted(coming.glob("Sim*"))[-1]
    last.rename(tmp_path / last.name)
    ingest(night, coming)
    second = light_observations(night)[-1]
    graph = publish(night, second).graph_pid
    night.work()
    (tmp_path / last.name).rename(last)
    ingest(night, coming)
    grown = publish(night, second)
    assert grown.graph_pid == graph
    assert grown.runs()["extract"] == 1


def test_a_run_measures_what_is_new_on_the_known_template_and_leaves_others_on_their_own(
    night: Night, raw: Path
) -> None:
    notes: list[str] = []
    refused: list[str] = []
    engine, folder = night.sessions.kw["bind"], read_folder(raw)  # both nights: the first has its own template
    reduction.publish(engine, night.settings, folder, notes.append, refused.append, Modes(known=True))
    first, second = light_observations(night)
    assert refused == []
    assert f"observation {second}: measured on the template of observation {first}" in notes
    [(graph,)] = night.rows("SELECT graph_pid FROM observation WHERE observation_id = :o", o=second)
    left = {command for command, state in night.states(graph) if state != SUCCEEDED}
    assert "extract" in left
    assert left.isdisjoint({"stack", "detect", "solve", "choose_reference"})


def test_a_run_refuses_a_field_that_no_other_night_knows(raw: Path, tmp_path: Path) -> None:
    night = Night.open(tmp_path / "new")
    notes: list[str] = []
    refused: list[str] = []
    engine, folder = night.sessions.kw["bind"], read_folder(raw / "first")
    reduction.publish(engine, night.settings, folder, notes.append, refused.append, Modes(known=True))
    [line] = refused
    assert "has no known template" in line
    assert "without --template known" in line
