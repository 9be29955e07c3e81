"""One observation from a plan to light curves: exposures are processes, and what is made of them waits for them."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from schema.image import CapturedFrame, Image
from schema.observing import Observation
from schema.processes import CANCELLED, Process
from services.deployment import TelescopeDeployment
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.engine.publisher.templates import outgrown
from services.ingest.raw_folder import read_folder
from services.ingest.register import Ingest, register
from services.operating.planned_night import PlannedNight, publish_plan
from services.steps import capture
from services.telescope.observing_plan import read_plan
from tests.alpaca.observed_night import LIGHTS, Sky, observatory, write_plan
from tests.alpaca.simulator import Observatory
from tests.integration.command_line import tianyu
from tests.integration.small_night import LIGHT_CURVES, Night

TABLE = json.dumps({"camera": "nowhere:1/0", "instrument": "cam", "latitude_deg": 0.0, "longitude_deg": 0.0})
OWN = ("image_id", "site_id", "observation_id", "path", "path_digest")  # columns that two registrations do not share


@pytest.fixture(scope="module")
def sky() -> Sky:
    return Sky.simulated()


def publish(night: Night, text: str) -> PlannedNight:
    plan = read_plan(write_plan(night.settings.root, text))
    with night.sessions.begin() as session:
        return publish_plan(session, night.settings, plan, plan.place, datetime.now(UTC))


def open_night(workdir: Path, table: dict[str, Any]) -> Night:
    return Night.open(workdir, telescope=TelescopeDeployment(**table))


@pytest.fixture(scope="module")
def observed(sky: Sky, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Night, Observatory]]:
    """A whole night, calibration frames too, by one publication; nobody changes it."""
    with observatory(sky) as (telescope, table):
        night = open_night(tmp_path_factory.mktemp("observed"), table)
        planned = publish(night, sky.plan())
        assert list(planned.exposures.values()) == [3, 3, 3, LIGHTS]
        night.work()
        yield night, telescope


@pytest.fixture
def own(observed: tuple[Night, Observatory], tmp_path: Path) -> Night:
    """A copy of it, the test's own."""
    night, _ = observed
    return night.copy(tmp_path / "work", telescope=night.settings.telescope)


def curves(night: Night) -> list[tuple[Any, ...]]:
    """Light curves by the frames' names."""
    rows = ((Path(path).name, aperture, source, *rest) for source, path, aperture, *rest in night.rows(LIGHT_CURVES))
    return sorted(rows, key=lambda row: row[:3])


def ingest(night: Night) -> Ingest:
    with night.sessions.begin() as session:
        folder = read_folder(night.settings.root / "raw")
        return register(session, folder, site=night.settings.site, root=night.settings.root)


def publish_again(night: Night) -> Publication:
    with night.sessions.begin() as session:
        return Publisher(session, night.settings).publish(night.observation())


def test_the_telescope_does_what_the_plan_says(observed: tuple[Night, Observatory], sky: Sky) -> None:
    night, telescope = observed
    dark, flat, light = sky.spec.exposure_s, sky.spec.flat_exposure_s, sky.spec.exposure_s
    assert telescope.log == [
        *["expose 0.001"] * 3, *[f"expose {dark:g}"] * 3, "filter R", *[f"expose {flat:g}"] * 3, "slew",
        *[f"expose {light:g}"] * LIGHTS,
    ]  # fmt: skip
    assert telescope.radec == pytest.approx((sky.spec.ra_deg, sky.spec.dec_deg))
    assert telescope.tracking
    assert {one.gain for one in telescope.exposures} == {120}
    assert night.rows("SELECT command, status FROM process WHERE status <> 'succeeded'") == []
    # Light curves and their exposures are one graph; each frame waits for its own exposure.
    [graph] = night.rows(
        "SELECT DISTINCT graph_pid FROM process WHERE observation_id = :light", light=night.observation()
    )
    assert night.states(graph[0])["capture", "succeeded"] == LIGHTS


def test_the_night_is_that_of_the_same_frames_from_a_folder(
    observed: tuple[Night, Observatory], tmp_path: Path
) -> None:
    """Every number of every light curve, to the last bit."""
    night, _ = observed
    shutil.copytree(night.settings.root / "raw", tmp_path / "frames")
    other = Night.open(tmp_path / "other")
    other.publish(tmp_path / "frames")
    other.work()
    found = curves(night)
    assert len(found) > 10 * LIGHTS
    assert found == curves(other)
    rows = [_frames(one) for one in (night, other)]
    assert rows[0] == rows[1]
    told = [_told(one) for one in (night, other)]
    assert told[0] == pytest.approx(told[1], rel=1e-12)


def _frames(night: Night) -> dict[str, dict[str, Any]]:
    """All columns of the camera's frames, by their names."""
    names = [name for name in Image.__table__.columns.keys() if name not in OWN]  # noqa: SIM118 - names of columns
    with night.sessions() as session:
        images = session.scalars(select(Image).where(Image.pid.is_(None))).all()
        return {Path(image.path).name: {name: getattr(image, name) for name in names} for image in images}


def _told(night: Night) -> tuple[float, ...]:
    """What is known of the field before it is solved, and of the place."""
    with night.sessions() as session:
        observation = session.get_one(Observation, night.observation())
        hints = (observation.ra_deg, observation.dec_deg, observation.pixel_scale_arcsec)
        day = observation.night.toordinal()
    [place] = night.rows("SELECT longitude_deg, latitude_deg, elevation_m FROM obs_site")
    return (*(hint or 0.0 for hint in hints), day, *place)


def test_frames_are_known_to_who_ingests_their_folder(own: Night) -> None:
    before = _frames(own)
    result = ingest(own)
    assert result.known == 9 + LIGHTS
    assert sum(one.new + one.corrected for one in result.observations) == 0
    assert _frames(own) == before
    said = publish_again(own)
    assert not said.again()
    assert "nothing to compute" in said.says
    with own.sessions() as session:
        assert outgrown(session, own.settings.site) == []


def test_a_corrected_header_counts(own: Night) -> None:
    """The frame is then no more as it was taken, and is made anew; the others keep what was made of them."""
    first = min((own.settings.root / "raw").rglob("Simulated-*.fits"))
    fits.setval(first, "EXPTIME", value=29.95)
    assert [one.corrected for one in ingest(own).observations if one.corrected] == [1]
    said = publish_again(own)
    assert said.runs()["calibrate"] == 1
    assert said.reused["calibrate"] == LIGHTS - 1
    own.work()
    assert own.rows("SELECT DISTINCT exposure_s FROM image WHERE kind = 'calibrated' ORDER BY 1") == [(29.95,), (30.0,)]


def test_other_choices_go_by_the_same_exposures(own: Night) -> None:
    """A new graph takes over what it can, and what it makes anew waits for exposures that have been taken."""
    other = own.having(linearity=30_000.0)
    said = publish_again(other)
    assert said.runs()["calibrate"] == LIGHTS
    assert "capture" not in said.runs()
    other.work()
    assert other.rows("SELECT COUNT(*) FROM process WHERE command = 'capture'") == [(9 + LIGHTS,)]
    assert other.rows("SELECT status FROM process WHERE status <> 'succeeded'") == []


def test_more_exposures_of_a_night_join_it(own: Night, sky: Sky) -> None:
    with observatory(sky) as (_, table):
        night = own.having(telescope=TelescopeDeployment(**table))
        graph = night.facts().graph_pid
        planned = publish(night, sky.plan(lights=2, kinds=("light",)))
        assert list(planned.exposures) == [night.observation()]
        [publication] = planned.publications
        assert publication.runs()["calibrate"] == 2
        night.work()
    assert night.rows("SELECT status FROM process WHERE status <> 'succeeded'") == []
    assert night.facts().graph_pid == graph
    assert len({name for name, *_ in curves(night)}) == LIGHTS + 2


def test_a_graph_of_exposures_is_run_again_as_any(own: Night) -> None:
    before = curves(own)
    again = own.rerun("calibrate")
    assert again.runs()["calibrate"] == LIGHTS
    assert "capture" not in again.runs()
    own.work()
    assert curves(own) == before
    assert own.rows("SELECT status FROM process WHERE status <> 'succeeded'") == []


def test_published_again_in_its_course_nothing_is_taken_twice(sky: Sky, tmp_path: Path) -> None:
    """Exposures that are still to come are of the graph that is at work."""
    said: list[str] = []
    with observatory(sky) as (telescope, table):
        night = open_night(tmp_path / "night", table)
        publish(night, sky.plan(lights=5, kinds=("light",)))

        def after(_: str) -> None:
            if len(telescope.exposures) == 2 and not said:
                said.append(publish_again(night).says)

        night.work(after)
    assert "of the same frames and choices is at work" in said[0]
    assert len(telescope.exposures) == 5
    assert night.rows("SELECT COUNT(*) FROM process WHERE command = 'calibrate'") == [(5,)]


def test_a_plan_is_not_published_twice_by_mistake(own: Night, sky: Sky) -> None:
    """The same file for the same night; asked for on purpose, all is taken once more."""
    with observatory(sky) as (telescope, table):
        night = own.having(telescope=TelescopeDeployment(**table))
        said = publish(night, sky.plan())
        assert not said.exposures
        assert f"{9 + LIGHTS} exposures are taken, 0 are to come, 0 failed; --again" in said.says
        night.work()
        assert telescope.exposures == []
        plan = read_plan(night.settings.root / "plan.toml")
        with night.sessions.begin() as session:
            more = publish_plan(session, night.settings, plan, plan.place, datetime.now(UTC), again=True)
        assert sum(more.exposures.values()) == 9 + LIGHTS


def test_masters_of_another_size_are_not_for_frames_to_come(own: Night, sky: Sky) -> None:
    """A camera that has given frames before gives such again: a night of its own has none yet."""
    plan = read_plan(write_plan(own.settings.root, sky.plan(lights=3, kinds=("light",))))
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    def masters() -> set[str]:
        with own.sessions() as session:
            [publication] = publish_plan(session, own.settings, plan, plan.place, tomorrow).publications
        told = next(process for process in publication.processes if process.command == "calibrate").told
        return {name for name in ("bias", "dark", "flat") if told is not None and told[name] is not None}

    assert masters() == {"bias", "dark", "flat"}
    with own.sessions.begin() as session:
        darks = select(Image.image_id).where(Image.kind == "dark")
        session.execute(delete(CapturedFrame).where(CapturedFrame.image_id.in_(darks)))
        session.execute(update(Image).where(Image.kind == "dark").values(nx=64, ny=64))
    assert masters() == {"bias", "flat"}


def test_a_known_field_is_measured_frame_by_frame(own: Night, sky: Sky) -> None:
    """On the template of another night, while exposures go on."""
    done: list[str] = []
    with observatory(sky) as (telescope, table):
        night = own.having(telescope=TelescopeDeployment(**table))
        first = night.facts()
        plan = read_plan(write_plan(night.settings.root, sky.plan(lights=5, kinds=("light",))))
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        with night.sessions.begin() as session:
            planned = publish_plan(session, night.settings, plan, plan.place, tomorrow, known=True)
        [publication] = planned.publications
        assert publication.runs()["extract"] == 5
        assert "stack" not in publication.runs()
        night.work(done.append)
        assert len(telescope.exposures) == 5
    assert done.index("extract") < len(done) - 1 - done[::-1].index("capture")
    assert night.rows("SELECT status FROM process WHERE status <> 'succeeded'") == []
    rows = night.rows(
        "SELECT COUNT(DISTINCT image_id) FROM light_curve WHERE observation_id <> :first", first=first.observation_id
    )
    assert rows == [(5,)]


def test_plans_follow_one_another(sky: Sky, tmp_path: Path) -> None:
    """The telescope does not go to and fro between two; nobody waits for one that begins later."""
    edges = """SELECT COUNT(*) FROM process_dependence d JOIN process c ON c.pid = d.child_pid
        JOIN process p ON p.pid = d.parent_pid WHERE c.command = 'capture' AND p.command = 'capture'"""
    with observatory(sky) as (telescope, table):
        night = open_night(tmp_path / "night", table)
        later = f"start = {datetime.now(UTC) + timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}"
        publish(night, sky.plan(kinds=("dark",), more=later))
        publish(night, sky.plan(kinds=("flat",)))
        publish(night, sky.plan(kinds=("bias",)))
        assert night.rows(edges) == [(2 + 2 + 3,)]
        night.work()
    assert telescope.log == ["filter R", *["expose 3"] * 3, *["expose 0.001"] * 3]


def test_a_missed_exposure_is_not_made_up_for(sky: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the clock has passed fails with that reason; the night goes on with the frames there are."""
    with observatory(sky) as (telescope, table):
        night = open_night(tmp_path / "night", table)
        planned = publish(night, sky.plan(kinds=("light",)))
        late = planned.end - timedelta(seconds=1)
        monkeypatch.setattr(
            capture, "clock", lambda: late if len(telescope.exposures) >= LIGHTS - 2 else datetime.now(UTC)
        )
        night.work()
    graph = night.facts().graph_pid
    states = night.states(graph)
    assert states["capture", "succeeded"] == LIGHTS - 2
    assert states["capture", "failed"] == 2
    assert states["calibrate", "skipped"] == 2
    assert len({name for name, *_ in curves(night)}) == LIGHTS - 2
    [(error,)] = night.rows("SELECT DISTINCT error_class FROM process WHERE command = 'capture' AND status = 'failed'")
    assert error == "data"
    reasons = night.rows("SELECT error FROM process WHERE command = 'capture' AND status = 'failed'")
    assert all("was missed: it had to be over by" in reason for (reason,) in reasons)
    # Nothing else is to be made of it, and the missed ones are no reason to make anything anew.
    assert "nothing to compute" in publish_again(night).says


def test_masters_go_on_without_a_missed_frame(sky: Sky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with observatory(sky) as (telescope, table):
        night = open_night(tmp_path / "night", table)
        after_all = publish(night, sky.plan(kinds=("bias",))).end + timedelta(seconds=1)
        monkeypatch.setattr(capture, "clock", lambda: after_all if len(telescope.exposures) == 2 else datetime.now(UTC))
        night.work()
    assert night.rows("SELECT status, COUNT(*) FROM process WHERE command = 'capture' GROUP BY 1 ORDER BY 1") == [
        ("failed", 1),
        ("succeeded", 2),
    ]
    assert night.rows("SELECT weight FROM image WHERE kind = 'master_bias'") == [(2.0,)]


def test_a_frame_that_was_written_is_not_taken_again(sky: Sky, tmp_path: Path) -> None:
    """An attempt that was killed behind the last byte, and one that was killed before: the second is taken anew."""
    with observatory(sky) as (telescope, table):
        night = open_night(tmp_path / "night", table)
        publish(night, sky.plan(lights=2, kinds=("light",)))
        [(first,), (second,)] = night.rows("SELECT pid FROM process WHERE command = 'capture' ORDER BY pid")
        folder = night.settings.root / "raw" / str(night.facts().night)
        whole = _frame_of_another_night(sky, table, tmp_path, folder / f"Simulated-R-{first}-1.fits")
        half = folder / f".Simulated-R-{second}-1.fits.part"
        half.write_bytes(whole[:5000])
        with night.sessions.begin() as session:
            session.execute(update(Process).where(Process.pid.in_((first, second))).values(attempt=1))
        night.work()
        assert len(telescope.exposures) == 1
    assert not list(folder.glob(".*"))
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"Simulated-R-{first}-1.fits", f"Simulated-R-{second}-2.fits"]
    assert night.rows("SELECT note FROM frame_note ORDER BY image_id, number") == [
        ("taken by attempt 1, whose end was not written down",),
        ("taken by attempt 2: no frame of an earlier one is used",),
    ]


def _frame_of_another_night(sky: Sky, table: dict[str, Any], tmp_path: Path, path: Path) -> bytes:
    """A frame as the telescope gives it, put where an attempt would have."""
    other = open_night(tmp_path / "other", table)
    publish(other, sky.plan(lights=1, kinds=("light",)))
    with observatory(sky) as (_, own_table):
        other.having(telescope=TelescopeDeployment(**own_table)).work()
    [frame] = (other.settings.root / "raw").rglob("*.fits")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(frame, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("break_it", "error_class", "said", "aborts"),
    [
        (lambda one: one.fail("startexposure", 0x500, "stuck"), "transient", "error 0x500 when asked to expose", 0),
        (
            lambda one: one.fail("imagearray", 0x40B, "none"),
            "transient",
            "InvalidOperationException when asked to give",
            1,
        ),
        (lambda one: setattr(one, "parked", True), "surroundings", "is parked", 0),
        (lambda one: one.fail("startexposure", 0x407, "gone"), "surroundings", "is not connected when asked", 0),
        (lambda one: setattr(one, "filters", ("V", "B")), "configuration", "has no filter 'R', expected one of 'V'", 0),
    ],
)
def test_errors_of_devices_are_told(
    sky: Sky, tmp_path: Path, break_it: Any, error_class: str, said: str, aborts: int
) -> None:
    with observatory(sky) as (telescope, table):
        night = open_night(tmp_path / "night", table)
        publish(night, sky.plan(lights=1, kinds=("light",)))
        break_it(telescope)
        reports: list[Any] = []
        night.work(lambda command: _look(night, telescope, reports))
    assert reports
    assert reports[0][0] == error_class
    assert said in reports[0][1]
    assert telescope.log.count("abort") == aborts


def _look(night: Night, telescope: Observatory, reports: list[Any]) -> None:
    """What the first attempt said; then the devices are well."""
    rows = night.rows("SELECT error_class, error FROM process WHERE command = 'capture' AND error IS NOT NULL")
    if rows and not reports:
        reports += rows
        telescope.parked = False


def test_a_cancelled_exposure_is_aborted(sky: Sky, tmp_path: Path) -> None:
    with observatory(sky, speed=1.0) as (telescope, table):
        night = open_night(tmp_path / "night", table)
        publish(night, sky.plan(lights=1, kinds=("light",)))
        _cancel_when_exposing(night, telescope)
        with pytest.raises(AssertionError):  # nobody holds it any more
            night.work()
    assert telescope.aborted == 1
    assert night.rows("SELECT COUNT(*) FROM captured_frame") == [(0,)]
    assert not list((night.settings.root / "raw").rglob("*.fits"))


def _cancel_when_exposing(night: Night, telescope: Observatory) -> None:
    start = telescope._start

    def started(seconds: float, light: bool) -> None:
        start(seconds, light)
        with night.sessions.begin() as session:
            session.execute(update(Process).where(Process.command == "capture").values(status=CANCELLED))

    telescope._start = started  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("settings", "words", "said"),
    [
        ({}, (), r"name the devices of the telescope under \[telescope\]"),
        ({"TIANYU_TELESCOPE": TABLE}, ("--concurrency", "2"), "one at a time: leave out --concurrency"),
    ],
)
def test_a_consumer_that_could_not_expose_does_not_begin(
    session: Session, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], words: tuple[str, ...], said: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    result = tianyu("consumer", "--group", "telescope", *words)
    assert result.exit_code == 1
    assert re.search(said, result.output)


def test_without_the_client_it_says_what_to_install(
    sky: Sky, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alpaca", "alpaca.camera", "services.telescope.observing", "services.telescope.alpaca_devices"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("TIANYU_TELESCOPE", TABLE)
    assert "pip install 'tianyu[telescope]'" in tianyu("consumer", "--group", "telescope").output
    night = open_night(tmp_path / "night", json.loads(TABLE))
    publish(night, sky.plan(lights=1, kinds=("light",)))
    night.work()
    [(error,)] = night.rows("SELECT error FROM process WHERE command = 'capture'")
    assert "pip install 'tianyu[telescope]' on this machine" in error


def test_graphs_know_a_frame_by_who_takes_it(observed: tuple[Night, Observatory]) -> None:
    night, _ = observed
    with night.sessions() as session:
        taken = _captured(session)
    assert len(taken) == 9 + LIGHTS
    told = night.rows("SELECT parameters FROM process WHERE command = 'calibrate'")
    assert all(any(str(pid) in parameters for pid in taken) for (parameters,) in told)


def _captured(session: Session) -> list[int]:
    return list(session.scalars(select(CapturedFrame.pid)))
