"""What decides a night's numbers is fixed when it is published: the settings of who runs it have no say."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from astropy.table import Table
from sqlalchemy import update

from schema import database
from schema.processes import FAILED, SUCCEEDED, Process
from schema.queries import choices, operating
from services.choices import Choices
from services.deployment import Deployment
from services.engine.consumer.worker import Worker
from services.engine.presence import VERSION
from services.engine.publisher.publish import Publisher
from services.header_reading import Reading
from services.settings import Settings, as_environment, load
from services.setup import initialise, open_engine
from services.steps.shared.step import Context
from tests.forked import Program, run_program
from tests.integration.command_line import tianyu
from tests.integration.small_night import Night

PATIENCE_S = 300.0
OTHER: dict[str, Any] = {
    "linearity": 3000.0,  # ADU: the brighter half of the stars is above it
    "gain": 9.0,
    "read_noise": 40.0,
    "saturation": 20_000.0,
    "telescope_diameter_m": 0.3,
    "flat_method": "mode",
    "detection_threshold": 50.0,
    "aperture_radii": (2.0,),
}


@pytest.fixture
def night(raw: Path, tmp_path: Path) -> Night:
    """Published, and nothing of it done."""
    made = Night.open(tmp_path / "work")
    made.publish(raw)
    return made


def assert_same_light_curves(night: Night, expected: Night) -> None:
    found, wanted = night.light_curves(), expected.light_curves()
    assert len(found) == len(wanted) > 200
    assert [(star, Path(path).name) for star, path, *_ in found] == [
        (star, Path(path).name) for star, path, *_ in wanted
    ]
    one, other = (np.array([row[2:] for row in rows], dtype=np.float64) for rows in (found, wanted))
    np.testing.assert_allclose(one, other, rtol=1e-5)  # a server rounds single numbers to six digits


@dataclass
class Programs:
    """The programs of one site, each with settings of its own."""

    settings: Settings
    logs: Path
    running: list[Program] = field(default_factory=list)

    def start(self, command: str, **changes: Any) -> None:
        environment = os.environ | as_environment(load(**self.settings.model_dump(exclude_unset=True) | changes))
        log = self.logs / f"{len(self.running)}-{command}.log"
        self.running.append(Program((command,), environment, log))

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            tails = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in sorted(self.logs.iterdir()))
            assert all(one.poll() is None for one in self.running), f"a program has left; the logs end with\n{tails}"
            assert time.monotonic() < deadline, f"nothing more happened; the logs end with\n{tails}"
            time.sleep(0.1)


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.server)])
def programs(request: pytest.FixtureRequest, tmp_path: Path, unique_site: str) -> Iterator[Programs]:
    database_url, broker_url = f"sqlite:///{tmp_path / 'tianyu.db'}", "local://"
    if request.param == "servers":
        database_url, broker_url = request.getfixturevalue("database_url"), request.getfixturevalue("broker_url")
    settings = load(
        database_url=database_url, broker_url=broker_url, site=unique_site, root=tmp_path / "root", sweep_s=0.5
    )
    logs = tmp_path / "logs"
    logs.mkdir()
    made = Programs(settings, logs)
    yield made
    for process in made.running:
        process.kill()
        process.wait()


def test_a_step_can_ask_for_no_settings() -> None:
    assert [one.name for one in fields(Context)] == [
        "pid", "graph_pid", "observation_id", "reading", "images", "deployment", "choices", "kept", "last_attempt",
        "attempt", "asked_to_end",
    ]  # fmt: skip
    hints = get_type_hints(Context)
    assert (hints["deployment"], hints["choices"]) == (Deployment, Choices)
    assert get_type_hints(Worker.__init__)["deployment"] is Deployment
    kinds = [kind.model_fields.keys() for kind in (Deployment, Choices, Reading)]
    assert sum(map(len, kinds)) == len(Settings.model_fields)
    assert set().union(*kinds) == Settings.model_fields.keys()


def test_consumers_with_other_settings_give_one_truth(programs: Programs, raw: Path, processed: Night) -> None:
    engine = open_engine(programs.settings)
    initialise(programs.settings, engine)
    night = Night(programs.settings, database.session_factory(engine))
    programs.start("consumer")
    programs.start("consumer", **OTHER)
    programs.wait(lambda: night.rows("SELECT COUNT(*) FROM service") == [(2,)])
    night.publish(raw)
    programs.start("manager", **OTHER)
    programs.wait(lambda: not night.rows("SELECT 1 FROM process WHERE status IN ('waiting', 'queued', 'running')"))
    assert night.rows("SELECT DISTINCT status FROM process") == [(SUCCEEDED,)]
    assert night.rows("SELECT COUNT(DISTINCT worker) FROM process_attempt") == [(2,)]
    assert night.rows("SELECT DISTINCT linearity FROM image WHERE kind = 'calibrated'") == [(None,)]
    assert night.rows("SELECT version, COUNT(*) FROM published_choices GROUP BY version") == [(VERSION, 1)]
    assert_same_light_curves(night, processed)
    engine.dispose()


def test_other_choices_do_give_other_numbers(night: Night, processed: Night) -> None:
    """Or the test above would show nothing."""
    with night.sessions.begin() as session:
        session.execute(update(Process).values(choices_id=choices.keep(session, VERSION, Choices(**OTHER).text())))
    night.work()
    assert night.rows("SELECT DISTINCT linearity FROM image WHERE kind = 'calibrated'") == [(3000.0,)]
    assert len(night.light_curves()) != len(processed.light_curves())


def test_a_retry_keeps_the_choices(
    night: Night, processed: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with night.sessions.begin() as session:
        operating.cancel(session, operating.unfinished_pids(session, night.observation()))
    night.work()  # the masters
    (tmp_path / "tianyu.toml").write_text("linearity = 3000.0\ndetection_threshold = 50.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", night.settings.database_url.get_secret_value())
    monkeypatch.setenv("TIANYU_ROOT", str(night.settings.root))
    assert load().choices.linearity == 3000.0
    assert tianyu("retry", "--cancelled").exit_code == 0
    Night(load(), night.sessions).work()
    assert_same_light_curves(night, processed)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (None, "was published by a Tianyu that did not store the choices with it: `tianyu publish {} --again`"),
        (
            '{"detection_limit":5.0}',
            "published by Tianyu 9.9 with choices that this .*detection_limit: Extra",
        ),
        ('{"fan_out":1}', "fan_out: Input should be greater than or equal to 3"),
        ("{", "no JSON"),
    ],
)
def test_choices_that_cannot_be_read_fail_their_process_alone(night: Night, stored: str | None, told: str) -> None:
    [(pid,)] = night.rows("SELECT MIN(pid) FROM process WHERE command = 'calibrate'")
    with night.sessions.begin() as session:
        choices_id = None if stored is None else choices.keep(session, "9.9", stored)
        session.execute(update(Process).where(Process.pid == pid).values(choices_id=choices_id))
    night.work()
    ends = night.rows("SELECT pid, error_class, error FROM process WHERE status = :failed", failed=FAILED)
    assert [row[:2] for row in ends] == [(pid, "configuration")]
    assert re.search(told.format(night.observation()), ends[0][2])
    assert night.light_curves()


def test_what_is_published_again_says_which_choices_differ(night: Night) -> None:
    number, graph = night.observation(), night.facts().graph_pid
    night.work()
    same = night.rerun("calibrate_relative")
    assert not [line for line in same.notes if "choices" in line]
    night.work()
    changed = night.having(linearity=3000.0, fan_out=4, catalog_file=Path("stars.csv"))
    told = f"observation {number}: other choices than of graph {graph}: "
    told += f"catalog_file: not set -> {Path.cwd() / 'stars.csv'}, fan_out: 5 -> 4, linearity: not set -> 3000.0"
    rerun = changed.rerun("calibrate")
    assert told in rerun.notes
    assert [line.rpartition(" of observation")[0] for line in rerun.notes if "is made anew by other" in line] == [
        f"observation {number}: master {kind}" for kind in ("bias", "dark")
    ]
    night.work()
    with night.sessions() as session:
        publication = Publisher(session, changed.settings).publish(number, again=True)
        assert not [line for line in publication.notes if "than of graph" in line], "the graph that is shown has them"
        assert not [line for line in publication.notes if "master" in line], "these are by the same choices now"
        session.rollback()
        publication = Publisher(session, night.settings).publish(number, again=True)
        assert any("linearity: 3000.0 -> not set" in line for line in publication.notes)
        session.rollback()


def test_what_is_taken_over_keeps_its_choices(night: Night) -> None:
    night.work()
    result = night.having(aperture_radii=(2.5,)).rerun("extract")
    by_command = """
        SELECT DISTINCT p.command, c.choices LIKE '%"aperture_radii"\\:null%'
        FROM process p JOIN published_choices c USING (choices_id) WHERE p.graph_pid = :graph
    """
    rows = dict(night.rows(by_command, graph=result.graph_pid))
    assert {command for command, default in rows.items() if default} == {
        "calibrate", "choose_reference", "align", "select", "stack", "solve", "detect",
    }  # fmt: skip
    assert not rows["extract"]


def test_a_run_says_that_a_published_night_keeps_its_choices(night: Night, raw: Path, tmp_path: Path) -> None:
    variables = os.environ | {"TIANYU_LINEARITY": "3000"}
    done = run_program(
        ("run", str(raw), "--workdir", str(night.settings.root), "--no-plots", "--consumers", "1"), variables
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"observation {night.observation()} keeps the choices that it was published by" in said
    assert "(linearity: not set -> 3000.0)" in said
    assert night.rows("SELECT DISTINCT linearity FROM image WHERE kind = 'calibrated'") == [(None,)]


def test_what_is_shown_and_exported_names_version_and_choices(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.work()
    rerun = night.having(aperture_radii=(2.5, 4.0), gain=2.0).rerun("extract")
    night.work()
    before = f"Tianyu {VERSION}, catalog none"
    after = f"Tianyu {VERSION}, aperture_radii [2.5, 4.0], catalog none, gain 2.0"
    number = str(night.observation())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", night.settings.database_url.get_secret_value())
    monkeypatch.setenv("TIANYU_ROOT", str(night.settings.root))
    for command in ("status", "report"):
        told = " ".join(tianyu(command, number).output.split())
        assert f"published by {before}; then by {after}" in told
        found = json.loads(tianyu(command, number, "--json").output)
        [one] = found["observations"] if command == "status" else [found]
        assert one["published_by"] == [
            {"version": VERSION, "choices": {"catalog": "none"}},
            {"version": VERSION, "choices": {"aperture_radii": [2.5, 4.0], "gain": 2.0, "catalog": "none"}},
        ]
    [(star,)] = night.rows("SELECT MIN(source_id) FROM light_curve WHERE observation_id = :n", n=int(number))
    for suffix in ("ecsv", "fits"):
        path = tmp_path / f"star.{suffix}"
        words = (
            "lightcurve",
            "--observation",
            number,
            "--source",
            str(star),
            "--format",
            suffix,
            "--output",
            str(path),
        )
        assert tianyu(*words).exit_code == 0
        meta = Table.read(path).meta
        names = ("TIANYUVE", "CHOICES") if suffix == "fits" else ("tianyu_version", "choices")
        assert meta[names[0]] == VERSION
        assert json.loads(meta[names[1]]) == {"aperture_radii": [2.5, 4.0], "gain": 2.0, "catalog": "none"}
    assert rerun.graph_pid == night.facts().graph_pid


def test_an_observation_of_before_says_that_nothing_was_stored(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.work()
    with night.sessions.begin() as session:
        session.execute(update(Process).values(choices_id=None))
    monkeypatch.setenv("TIANYU_DATABASE_URL", night.settings.database_url.get_secret_value())
    monkeypatch.setenv("TIANYU_ROOT", str(night.settings.root))
    number = str(night.observation())
    assert "published by a version that did not store its choices" in " ".join(tianyu("status", number).output.split())
    assert (
        tianyu(
            "lightcurve", "--observation", number, "--source", "1", "--output", str(tmp_path / "star.ecsv")
        ).exit_code
        == 0
    )
    assert night.rerun("extract").graph_pid
    night.work()
    assert night.rows("SELECT DISTINCT status FROM process") == [(SUCCEEDED,)]
