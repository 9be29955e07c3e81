"""`tianyu gc` after a real night: nothing that may still run misses a file, and no light curve changes."""

import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.operating.housekeeping import Collection, collect, policy_of
from services.settings import Settings
from services.setup import open_database
from services.trials.simulate import night_spec, simulate
from tests.acceptance.programs import Programs

FRAMES, SIZE = 8, 192
NIGHT: dict[str, Any] = {"n_frames": FRAMES, "shape": (SIZE, SIZE), "n_smeared": 0}
BROKEN = "Simulated_R_0005.fits"
LIGHT_CURVES = "SELECT * FROM light_curve ORDER BY observation_id, source_id, image_id, aperture"
FAILED = "SELECT DISTINCT command FROM process WHERE status IN ('failed', 'skipped') ORDER BY command"


@dataclass
class Night:
    """A night that has run, one of whose frames was damaged meanwhile."""

    raw: Path
    workdir: Path
    whole: bytes  # of the frame that was damaged
    programs: Programs

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(self.workdir / "tianyu.db") as connection:
            return connection.execute(query).fetchall()

    def run(self, *, plots: bool = False) -> None:
        drawn = "--plots" if plots else "--no-plots"
        self.programs.run("run", str(self.raw), "--workdir", str(self.workdir), "--consumers", "1", drawn)

    def gc(self, *, dry_run: bool = False, **policy: bool) -> dict[str, int]:
        """Files removed by kind."""
        settings = Settings(
            database_url=SecretStr(self.programs.environment["TIANYU_DATABASE_URL"]), root=self.workdir, **policy
        )
        engine = open_database(settings)
        done = collect(engine, settings, policy_of(settings), dry_run=dry_run)
        engine.dispose()
        assert done.failures == done.notes == []
        assert {item.what for item in done.removed} <= {"unneeded"}
        return {kind: sum(item.files for item in done.removed if item.kind == kind) for kind in kinds(done)}

    def plots(self) -> set[str]:
        return {path.name for path in (self.workdir / "plots").rglob("*.png")}

    def files(self, kind: str) -> set[str]:
        return {str(path.relative_to(self.workdir)) for path in (self.workdir / kind).glob("*/*.fits")}


def kinds(collection: Collection) -> set[str]:
    return {item.kind for item in collection.removed}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("housekeeping")
    raw, workdir = simulate(night_spec("demo", **NIGHT), folder / "raw"), folder / "work"
    workdir.mkdir()
    settings = {"TIANYU_DATABASE_URL": f"sqlite:///{workdir / 'tianyu.db'}", "TIANYU_ROOT": str(workdir)}
    programs = Programs(settings, folder)
    programs.run("init")
    programs.run("ingest", str(raw))
    whole = (raw / BROKEN).read_bytes()
    (raw / BROKEN).write_bytes(whole[: len(whole) // 2])
    night = Night(raw, workdir, whole, programs)
    night.run()
    return night


def test_what_is_left_serves_a_retry_and_all_light_curves(night: Night, tmp_path: Path) -> None:
    assert night.rows(FAILED) == [("align",), ("calibrate",), ("extract",)]
    light_curves = night.rows(LIGHT_CURVES)
    assert light_curves
    [(reference,)] = night.rows("SELECT path FROM image JOIN reference_frame USING (image_id)")
    most = {"keep_calibrated": False, "keep_partial": False}

    would = night.gc(**most, dry_run=True)
    assert {"calibrated", "debiased_flat", "stacked"} <= would.keys()
    assert would.keys().isdisjoint({"master_bias", "master_dark", "master_flat", "template"})
    assert len(night.files("calibrated")) == FRAMES - 1
    assert night.gc(**most) == would
    assert would["calibrated"] == FRAMES - 2

    # The frame that failed may be retried, and would be aligned to the reference.
    assert night.files("calibrated") == {reference}
    assert night.files("stacked") == night.files("debiased_flat") == set()
    assert night.rows(LIGHT_CURVES) == light_curves
    assert night.gc(**most) == {}

    (night.raw / BROKEN).write_bytes(night.whole)
    night.programs.run("retry", "--failed")
    night.run(plots=True)
    assert night.rows(FAILED) == []
    late = set(night.rows(LIGHT_CURVES)) - set(light_curves)
    assert late
    assert {row[2] for row in late}.isdisjoint({row[2] for row in light_curves})

    # Now nothing may run any more: the late frame goes too. Frames that come would be compared with the reference.
    assert night.gc(**most) == {"calibrated": 1}
    assert night.files("calibrated") == {reference}
    assert len(night.files("template")) == 1
    output = tmp_path / "light_curve.csv"
    plot = tmp_path / "light_curve.png"
    [(source,)] = night.rows("SELECT MIN(source_id) FROM light_curve")
    night.programs.run("lightcurve", "--source", str(source), "--output", str(output), "--plot", str(plot))
    assert len(output.read_text().splitlines()) > FRAMES / 2
    assert plot.stat().st_size > 0
    drawn = night.plots()
    assert "stack.png" in drawn
    shutil.rmtree(night.workdir / "plots")
    night.run(plots=True)
    assert night.plots() == drawn


def test_a_new_graph_replaces_the_old_ones_images(night: Night) -> None:
    """Its light curves are made whatever was deleted before; then the old graph's template goes."""
    [(observation,)] = night.rows(
        "SELECT observation_id FROM observation JOIN target USING (target_id) WHERE kind = 'light'"
    )
    old = night.files("template")
    night.programs.run("publish", str(observation), "--again")
    assert night.gc() == {}  # the views still show the old graph
    night.run()
    assert night.rows(FAILED) == []
    gone = night.gc(keep_partial=True)
    assert gone["template"] == 1
    assert len(night.files("template")) == 1
    assert night.files("template").isdisjoint(old)
    live = night.rows("SELECT path FROM image WHERE kind = 'calibrated' AND deleted_at IS NULL")
    assert night.files("calibrated") == {path for (path,) in live}
    assert len(live) >= FRAMES - 1  # the frame that failed at first may stay rejected
    assert night.rows(LIGHT_CURVES)


def test_the_command_says_what_it_would_delete_and_what_is_wrong(night: Night) -> None:
    told = night.programs.run("gc", "--no-keep-calibrated", "--dry-run", "--json").stdout
    would = night.gc(keep_calibrated=False, dry_run=True)
    removed = json.loads(told)["removed"]
    assert would
    assert {kind: sum(item["files"] for item in removed if item["kind"] == kind) for kind in would} == would
    shown = night.programs.run("gc", "--no-keep-calibrated", "--dry-run").stdout
    assert f"{sum(would.values())} files" in shown
    assert "would be deleted" in shown
    unknown = night.programs.run("gc", "4711", check=False)
    assert unknown.returncode == 1
    assert "there is no observation 4711" in unknown.stderr
