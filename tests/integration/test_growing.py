"""Frames that come after a template was made are measured on it, in the graph that has it; others are left alone."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from pipeline.detector.sky_gain import Gain
from pipeline.flags import SPOILING
from schema.base import utc_now
from schema.image import TEMPLATE, Image
from schema.processes import CANCELLED, FAILED, QUEUED, SUCCEEDED, Process
from schema.queries import frames, operating
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.engine.publisher.templates import outgrown
from services.ingest.raw_folder import read_folder
from services.ingest.register import register
from services.operating.graph import read_graph, to_text
from services.operating.housekeeping import collect, policy_of
from services.results.summary.numbers import summarize
from services.setup import open_engine
from services.steps import STEPS, steps_of
from services.steps import select as select_step
from services.trials.simulate import night_spec, simulate
from tests.acceptance.programs import Programs
from tests.integration.small_night import FRAMES, SPEC, Night

FIRST = 5  # frames that are there when the night is published
LATER = FRAMES - FIRST
BRIGHT = 20_000  # ADU
MEASURING = tuple(step.command for step in steps_of("light") if not step.joins)
JOINING = ("solve_index", "place_frames", "calibrate_relative", "analyze")
AGGREGATING = {"select": 1, "place_frames": 1, "calibrate_relative": 2, "analyze": 2}
MEASURED = """
SELECT p.path, f.source_id, f.aperture, f.flux, f.flux_error, f.flag FROM flux f
JOIN image_parent ip ON ip.image_id = f.image_id JOIN image p ON p.image_id = ip.parent_id AND p.kind = 'light'
JOIN image i ON i.image_id = f.image_id WHERE i.graph_pid = :graph ORDER BY 1, 2, 3
"""


def simulate_portions(folder: Path, **more: Any) -> Path:
    """The night in folders: `0` has what is there first with the calibration frames, the others a later frame each."""
    whole = simulate(night_spec("demo", **SPEC | more), folder / "whole")
    frames = sorted(whole.glob("Sim*R_0*.fits"))
    assert len(frames) == FRAMES
    for number, path in enumerate(frames[FIRST:], start=1):
        (folder / str(number)).mkdir()
        path.rename(folder / str(number) / path.name)
    return whole.rename(folder / "0").parent


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_portions(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def processed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    night = Night.open(tmp_path_factory.mktemp("processed"))
    night.publish(raw / "0")
    night.work()
    night.sessions.kw["bind"].dispose()
    return night


@pytest.fixture(scope="module")
def grown_once(processed: Night, raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """All later frames came together."""
    night = processed.copy(tmp_path_factory.mktemp("grown") / "work")
    ingest(night, raw)
    publish(night)
    night.work()
    night.sessions.kw["bind"].dispose()
    return night


@pytest.fixture
def night(processed: Night, tmp_path: Path) -> Night:
    return processed.copy(tmp_path / "work")


@pytest.fixture
def grown(grown_once: Night, tmp_path: Path) -> Night:
    return grown_once.copy(tmp_path / "grown")


def ingest(night: Night, raw: Path, *portions: int) -> None:
    """Register later frames; without numbers all of them."""
    for portion in portions or range(1, LATER + 1):
        folder = read_folder(raw / str(portion))
        with night.sessions.begin() as session:
            register(session, folder, site=night.settings.site, root=night.settings.root)


def publish(night: Night, **more: Any) -> Publication:
    number = night.observation()
    with night.sessions.begin() as session:
        return Publisher(session, night.settings).publish(number, **more)


def costs(frames: int) -> dict[str, int]:
    """Processes of later frames, by command, and those of all frames."""
    return {"calibrate": frames, "align": frames, "extract": frames} | AGGREGATING


def change(night: Night, command: str, **values: Any) -> None:
    with night.sessions.begin() as session:
        session.execute(update(Process).where(Process.command == command).values(**values))


def test_later_frames_cost_their_own_processes_and_those_of_all(night: Night, raw: Path) -> None:
    number, old = night.observation(), night.facts()
    fluxes = night.rows(MEASURED, graph=old.graph_pid)
    ingest(night, raw)
    with night.sessions() as session:
        assert outgrown(session, night.settings.site) == [number]
    published = publish(night)
    assert published.graph_pid == old.graph_pid
    assert published.runs() == costs(LATER)
    assert published.reused["calibrate"] == published.reused["extract"] == FIRST
    assert published.notes[0] == (
        f"observation {number}: {LATER} frames that came later are measured on the template of graph {old.graph_pid}, "
        f"of {FIRST} frames; `tianyu publish {number} --new-template` makes one of all frames"
    )
    assert Counter(night.work()) == costs(LATER)
    assert {state for _, state in night.states(old.graph_pid)} == {SUCCEEDED}
    new = night.facts()
    assert new.graph_pid == old.graph_pid
    assert new.calibration_pid not in (None, old.calibration_pid)
    after = night.rows(MEASURED, graph=old.graph_pid)
    there = {row[0] for row in fluxes}
    assert [row for row in after if row[0] in there] == fluxes  # to the bit
    assert len({row[0] for row in after}) == FRAMES
    assert len({row[1] for row in night.light_curves()}) == FRAMES
    again = publish(night)
    assert again.processes == []
    assert f"nothing to compute, graph {old.graph_pid} has the results" in again.says
    with night.sessions() as session:
        assert outgrown(session, night.settings.site) == []


def by_point(night: Night) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Values of each point of the light curves: by star, frame and aperture."""
    return {row[:3]: row[3:] for row in night.light_curves()}


def test_light_curves_are_those_of_a_night_that_was_published_at_once(tmp_path: Path) -> None:
    raw = simulate_portions(tmp_path / "raw", shape=(256, 256), n_stars=60)
    night = Night.open(tmp_path / "work", aperture_radii=(3.5, 6.0))  # else those of fewer frames' FWHM
    night.publish(raw / "0")
    night.work()
    ingest(night, raw)
    grown = publish(night)
    night.work()
    kept, clear = by_point(night), transparency(night)
    made = publish(night, new_template=True)
    assert made.graph_pid != grown.graph_pid
    assert made.reused == {"calibrate": FRAMES}
    night.work()
    new = by_point(night)
    assert transparency(night) == clear  # all frames are compared with the same reference
    again = publish(night, again=True)
    night.work()
    assert night.facts().graph_pid == again.graph_pid
    assert by_point(night) == new  # to the bit
    # Stars lie where two templates say, which differ by noise: measured, half of the points differ by less than 0.06
    # of their error, 95 % by less than 0.25, and none by more than 1.4.
    for flux, error in ((0, 1), (2, 3)):
        shares: list[float] = []
        for star, aperture in {(point[0], point[2]) for point in kept}:
            points = [
                point for point in kept if point[0] == star and point[2] == aperture and is_clean(kept, new, point)
            ]
            ratio = np.array([kept[point][flux] / new[point][flux] for point in points])
            of_flux = np.array([new[point][flux] / new[point][error] for point in points])
            # A relative light curve is told but for a factor, which other references change.
            shares += ((ratio / np.median(ratio) - 1.0) * of_flux).tolist() if points else []
        assert len(shares) > 0.7 * len(kept)
        assert np.median(np.abs(shares)) < 0.1
        assert np.percentile(np.abs(shares), 95) < 0.4
        assert np.abs(shares).max() < 2.0


def is_clean(one: dict[tuple[Any, ...], Any], other: dict[tuple[Any, ...], Any], point: tuple[Any, ...]) -> bool:
    values = (*one[point][:4], *other.get(point, (None,))[:4])
    return None not in values and not (one[point][6] | other[point][6]) & SPOILING


def transparency(night: Night) -> list[tuple[Any, ...]]:
    return night.rows("SELECT path, good, transparency FROM frame WHERE kind = 'light' ORDER BY path")


def test_portions_give_what_one_portion_gives(night: Night, grown: Night, raw: Path) -> None:
    for portion in range(LATER, 0, -1):  # whatever comes first
        ingest(night, raw, portion)
        assert publish(night).runs() == costs(1)
        assert Counter(night.work()) == costs(1)
        assert publish(night).processes == []
    assert by_point(night) == by_point(grown)


def test_a_frame_that_comes_twice_is_one_frame(grown: Night, raw: Path) -> None:
    ingest(grown, raw)
    assert publish(grown).processes == []


def test_frames_come_while_the_template_is_still_to_be_made(grown: Night, raw: Path, tmp_path: Path) -> None:
    fresh = Night.open(tmp_path / "fresh")
    fresh.publish(raw / "0")
    graph = fresh.facts().graph_pid
    ingest(fresh, raw)
    published = publish(fresh)
    assert (published.graph_pid, published.runs()) == (graph, costs(LATER))
    again = publish(fresh)
    assert again.processes == []
    assert "is at work" in again.says
    done = Counter(fresh.work())
    assert done["calibrate"] == done["align"] == done["extract"] == FRAMES
    assert done["choose_reference"] == done["detect"] == 1
    with fresh.sessions() as session:
        made_of = session.scalars(select(Image.weight).where(Image.kind == TEMPLATE)).one()
    assert made_of == FIRST - 1  # but one that is under a cloud
    assert by_point(fresh) == by_point(grown)


@pytest.mark.parametrize("state", [FAILED, CANCELLED])
def test_without_a_template_one_is_made_of_all_frames(night: Night, raw: Path, state: str) -> None:
    old = night.facts().graph_pid
    change(night, "detect", status=state, error_class="transient" if state == FAILED else None)
    ingest(night, raw)
    published = publish(night)
    assert published.graph_pid != old
    assert published.reused == {"calibrate": FIRST}
    done = Counter(night.work())
    assert (done["calibrate"], done["align"], done["extract"]) == (LATER, FRAMES, FRAMES)
    assert len({row[1] for row in night.light_curves()}) == FRAMES


def test_a_template_that_was_deleted_is_made_anew(night: Night, raw: Path) -> None:
    old = night.facts().graph_pid
    with night.sessions.begin() as session:
        session.execute(update(Image).where(Image.kind == TEMPLATE).values(deleted_at=utc_now()))
    assert publish(night).processes == []
    ingest(night, raw)
    published = publish(night)
    assert any(f"template of graph {old} was deleted by `tianyu gc`: a new one is made" in n for n in published.notes)
    assert Counter(night.work())["align"] == FRAMES
    assert len({row[1] for row in night.light_curves()}) == FRAMES


def test_other_apertures_keep_the_template(night: Night, grown: Night, raw: Path) -> None:
    ingest(night, raw)
    old, changed = night.facts().graph_pid, night.having(aperture_radii=(2.5, 6.0))
    published = publish(changed)
    assert published.graph_pid != old
    assert any("frames that came later are measured on the template" in note for note in published.notes)
    done = Counter(changed.work())
    assert (done["calibrate"], done["align"], done["extract"]) == (LATER, LATER, FRAMES)
    assert {"stack", "solve", "detect", "choose_reference"}.isdisjoint(done)
    assert publish(changed).processes == []
    other = grown.having(aperture_radii=(2.5, 6.0))
    published = publish(other)
    done = Counter(other.work())
    assert {"calibrate", "align", "select", "stack", "solve", "detect"}.isdisjoint(done)
    assert done["extract"] == FRAMES
    assert {row[2] for row in other.light_curves()} == {0, 1}
    assert by_point(other) == by_point(changed)


def test_what_made_the_template_chosen_anew_makes_it_of_all_frames(night: Night, raw: Path) -> None:
    ingest(night, raw)
    changed = night.having(detection_threshold=8.0)
    published = publish(changed)
    assert any("is not of these choices and frames: a new one is made" in note for note in published.notes)
    assert published.reused == {"calibrate": FIRST}
    assert Counter(changed.work())["align"] == FRAMES
    ran = publish(night)  # the choices of before, and their template
    assert ran.runs() == costs(LATER)
    night.work()
    assert len({row[1] for row in night.light_curves()}) == FRAMES


def test_a_choice_behind_extract_joins_with_the_frames(night: Night, raw: Path) -> None:
    ingest(night, raw)
    changed = night.having(detrend_method="tfa")
    published = publish(changed)
    assert published.graph_pid == night.facts().graph_pid
    assert published.runs() == costs(LATER) | {"detrend": 1}
    assert Counter(changed.work()) == published.runs()
    assert night.facts().detrend_pid is not None


def test_a_later_frame_that_fails_makes_nothing_anew(night: Night, raw: Path, tmp_path: Path) -> None:
    ingest(night, raw, 1)
    [path] = (raw / "1").glob("*.fits")
    (path.parent / "notes.txt").write_text("the folder is there, this frame is not")
    away = path.rename(tmp_path / path.name)
    publish(night)
    night.work()
    graph = night.facts().graph_pid
    assert night.states(graph)["calibrate", FAILED] == 1
    away.rename(path)
    with night.sessions.begin() as session:  # as where a disk was away for all attempts
        session.execute(update(Process).where(Process.status == FAILED).values(error_class="transient"))
    ingest(night, raw, 2)
    published = publish(night)
    assert (published.graph_pid, published.runs()) == (graph, costs(1))
    night.work()
    assert len({row[1] for row in night.light_curves()}) == FIRST + 1
    with night.sessions.begin() as session:
        operating.retry(session, operating.pids_in(session, [FAILED], night.observation()))
    night.work()
    published = publish(night)  # what all frames are needed for went on without it
    assert (published.graph_pid, published.runs()) == (graph, AGGREGATING)
    night.work()
    assert len({row[1] for row in night.light_curves()}) == FIRST + 2


def test_frames_without_a_gain_go_by_the_one_of_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = simulate_portions(tmp_path / "raw", n_flat=1)
    night = Night.open(tmp_path / "work", aperture_radii=(3.5,))
    measured = iter([Gain(1.7, 0.1), Gain(3.0, 0.1)])
    monkeypatch.setattr(select_step, "gain_of_sky", lambda level, rms: next(measured))
    monkeypatch.setattr(select_step, "MOST_CORRELATION", np.inf)

    def forget_gains() -> None:
        with night.sessions.begin() as session:
            session.execute(update(Image).where(Image.pid.is_(None)).values(gain=None, gain_source=None))

    folder = read_folder(raw / "0")
    with night.sessions.begin() as session:
        register(session, folder, site=night.settings.site, root=night.settings.root)
    forget_gains()
    publish(night)
    night.work()
    ingest(night, raw)
    forget_gains()
    publish(night)
    night.work()
    with night.sessions() as session:
        rows = frames.of_graph(session, night.facts().graph_pid or 0)
    assert [(row.gain, row.gain_source) for row in rows] == [(1.7, "sky")] * FRAMES
    kept = by_point(night)
    measured = iter([Gain(1.7, 0.1)])
    publish(night, new_template=True)
    night.work()
    new = by_point(night)
    bright = [point for point in kept.keys() & new.keys() if kept[point][0] and kept[point][0] > BRIGHT]
    ratios = [kept[point][1] / new[point][1] for point in bright if is_clean(kept, new, point)]
    assert len(ratios) > 2 * FRAMES
    assert np.abs(np.array(ratios) - 1.0).max() < 0.05  # with a gain of 3 they would be a quarter less


@pytest.mark.parametrize("step", [*MEASURING, *JOINING])
def test_a_grown_graph_can_be_run_again_from_each_step(grown: Night, step: str) -> None:
    before, old = by_point(grown), grown.facts().graph_pid
    result = grown.rerun(step)
    done = Counter(grown.work())
    assert done == result.runs()
    assert (result.graph_pid == old) == STEPS[step].joins
    assert by_point(grown) == before
    assert {state for _, state in grown.states(result.graph_pid)} == {SUCCEEDED}
    if step in ("calibrate", "stack"):
        assert any(f"of the same {FIRST} frames" in note for note in result.notes)
        assert done["align"] == (FRAMES if step == "calibrate" else LATER)
    if step == "extract":
        assert "align" not in done
    assert publish(grown).processes == []


def test_what_is_shown_of_a_grown_graph_is_of_all_frames(grown: Night) -> None:
    number = grown.observation()
    with grown.sessions() as session:
        summary = summarize(session, number)
        drawn = "\n".join(map(str, to_text(read_graph(session, number))))
    assert (summary.frames, summary.used) == (FRAMES, FRAMES - 1)
    assert f"{FRAMES} succeeded" in drawn
    assert sum(bool(row[0]) for row in grown.rows("SELECT is_reference FROM frame WHERE kind = 'light'")) == 1
    assert None not in {row[2] for row in transparency(grown)}


def test_a_template_on_which_frames_are_measured_is_not_deleted(grown: Night) -> None:
    old = grown.facts().graph_pid
    publish(grown, new_template=True)
    grown.work()
    assert grown.facts().graph_pid != old
    site = grown.settings
    with grown.sessions.begin() as session:
        waiting = select(Process.pid).where(Process.graph_pid == old, Process.command == "extract")
        [pid, *_] = session.scalars(waiting.order_by(Process.pid.desc())).all()
        session.execute(update(Process).where(Process.pid == pid).values(status=QUEUED))
    engine = open_engine(site)
    assert not [one for one in collect(engine, site, policy_of(site), dry_run=True).removed if one.kind == TEMPLATE]
    with grown.sessions.begin() as session:
        session.execute(update(Process).where(Process.pid == pid).values(status=SUCCEEDED))
    assert [one for one in collect(engine, site, policy_of(site), dry_run=True).removed if one.kind == TEMPLATE]


def test_the_commands_measure_later_frames_on_the_template(processed: Night, raw: Path, tmp_path: Path) -> None:
    night = processed.copy(tmp_path / "work")
    ingest(night, raw, 1)
    environment = {
        "TIANYU_DATABASE_URL": night.settings.database_url.get_secret_value(),
        "TIANYU_ROOT": str(night.settings.root),
    }
    number = str(night.observation())
    said = Programs(environment, tmp_path).run("publish", number, "--dry-run")
    assert "1 calibrate, 1 align, 1 extract, 1 select, 1 place_frames, 2 calibrate_relative" in said.stdout
    assert "1 frames that came later are measured on the template" in said.stderr
    said = Programs(environment, tmp_path).run("publish", number, "--dry-run", "--new-template")
    assert f"{FIRST + 1} align" in said.stdout
    coming = tmp_path / "coming"
    for portion in range(1, LATER + 1):
        shutil.copytree(raw / str(portion), coming, dirs_exist_ok=True)
    words = ("run", str(coming), "--workdir", str(night.settings.root), "--no-plots", "--consumers", "1")
    graph = night.facts().graph_pid
    Programs({}, tmp_path).run(*words)
    assert night.facts().graph_pid == graph
    assert len({row[1] for row in night.light_curves()}) == FRAMES + 1  # one was ingested from two folders
    Programs({}, tmp_path).run(*words, "--new-template")
    assert night.facts().graph_pid != graph
    assert len({row[1] for row in night.light_curves()}) == FRAMES + 1


def test_every_database_grows(each_ready_url: str, raw: Path, grown: Night, tmp_path: Path) -> None:
    night = Night.open(tmp_path / "fresh", database_url=SecretStr(each_ready_url))
    night.publish(raw / "0")
    night.work()
    ingest(night, raw)
    assert publish(night).runs() == costs(LATER)
    assert Counter(night.work()) == costs(LATER)
    assert publish(night).processes == []
    found, wanted = by_point(night), by_point(grown)
    assert found.keys() == wanted.keys()
    one, other = (np.array([rows[point] for point in sorted(wanted)], dtype=np.float64) for rows in (found, wanted))
    np.testing.assert_allclose(one, other, rtol=1e-5)  # a server rounds single numbers to six digits
    night.sessions.kw["bind"].dispose()
