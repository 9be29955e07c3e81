"""Flux at places that were asked for, of nights that borrow a template, that grow, and whose rows are pruned."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyarrow import parquet

from pipeline.flags import Flag
from pipeline.trials.simulation.night_spec import NightSpec
from schema import database
from schema.queries import pruning
from services.cli.export_kinds import export_forced
from services.engine.publisher.publish import Publisher
from services.errors import DataError
from services.ingest.raw_folder import read_folder
from services.ingest.register import register
from services.operating.housekeeping.prune import Policy, prune
from services.trials.simulate import night_spec, simulate
from tests.acceptance.shared_sky import SKY
from tests.integration.small_night import Night

FRAMES, FIRST = 7, 5
SPEC: dict[str, Any] = {**SKY, "shape": (360, 360), "n_frames": FRAMES, "exposure_s": 40.0, "seed": 3}
ALL = Policy(keep=0, days=0.0)
APERTURES = {"aperture_radii": (3.0, 6.0)}
STEPS = ("force_places", "force_fluxes", "force_terms")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights of one field, a day apart."""
    folder = tmp_path_factory.mktemp("raw")
    simulate(night_spec("demo", **SPEC), folder / "first")
    simulate(night_spec("demo", **SPEC | {"start_jd": NightSpec().start_jd + 1.0}), folder / "second")
    return folder


@pytest.fixture(scope="module")
def processed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The first night, without places."""
    night = Night.open(tmp_path_factory.mktemp("processed"), catalog_file=raw / "first" / "truth" / "gaia.csv")
    night.publish(raw / "first")
    night.work()
    night.sessions.kw["bind"].dispose()
    return night


@pytest.fixture
def night(processed: Night, raw: Path, tmp_path: Path) -> Night:
    """The same, with two places of the sky as a setting: the brightest star's, and one far away."""
    copy = processed.copy(tmp_path / "work")
    [(ra, dec)] = copy.rows("SELECT ra, `dec` FROM source_catalog ORDER BY flux DESC LIMIT 1")
    catalogue = raw / "first" / "truth" / "gaia.csv"
    return copy.having(
        catalog_file=catalogue, forced_places=(f"there={ra:.8f}d,{dec:.8f}d", f"far={ra + 2:.8f}d,{dec:.8f}d")
    )


def light_observations(night: Night) -> list[int]:
    query = (
        "SELECT o.observation_id FROM observation o JOIN target t ON t.target_id = o.target_id "
        "WHERE t.kind = 'light' ORDER BY o.night"
    )
    return [number for (number,) in night.rows(query)]


def publish(night: Night, number: int, **more: Any) -> Counter[str]:
    """Process what is wanted of an observation, and count what was done."""
    with night.sessions.begin() as session:
        Publisher(session, night.settings).publish(number, **more)
    return Counter(night.work())


def ingest(night: Night, folder: Path) -> None:
    site, root = night.settings.site, night.settings.root
    database.transact(night.sessions, lambda session: register(session, read_folder(folder), site=site, root=root))


class Point(NamedTuple):
    target: str
    image_id: int
    flux_raw: float
    flux_forced: float
    significance: float
    flag: int
    usable: int


def forced(night: Night, number: int) -> list[Point]:
    """Points of the view in the smallest aperture."""
    query = (
        f"SELECT {', '.join(Point._fields)} FROM forced_light_curve "
        "WHERE observation_id = :o AND aperture_best = 1 ORDER BY target, image_id"
    )
    return [Point(*row) for row in night.rows(query, o=number)]


def all_of(points: list[Point], frames: int) -> None:
    """Each frame has a point at the star's place, which is told from a detection; none is of the place outside."""
    assert [row.target for row in points] == ["there"] * frames
    assert len({row.image_id for row in points}) == frames
    assert all(row.flag & Flag.FORCED for row in points)
    usable = [row for row in points if row.usable]
    assert len(usable) >= frames - 2
    assert all(row.significance > 10 and row.flux_forced > 0 for row in usable)


def test_a_night_on_another_ones_template_has_them_and_they_are_exported(
    night: Night, raw: Path, tmp_path: Path
) -> None:
    ingest(night, raw / "second")
    first, second = light_observations(night)
    done = publish(night, second, known=True)
    assert not {"stack", "detect"} & set(done)
    assert {name: done[name] for name in STEPS} == {"force_places": 1, "force_fluxes": FRAMES, "force_terms": 1}
    all_of(forced(night, second), FRAMES)
    assert forced(night, first) == []
    with pytest.raises(DataError, match="nobody asked for flux"):
        export_forced(night.settings, [first], "best", tmp_path / "forced", force=False)
    [file] = export_forced(night.settings, [], "best", tmp_path / "forced", force=False)
    assert file.name == f"forced-{second}.parquet"
    assert file.parent.name == "filter=R"
    table = parquet.read_table(file, partitioning=None).to_pydict()  # type: ignore[no-untyped-call]
    assert table["target"] == ["there"] * FRAMES
    assert table["forced"] == [True] * FRAMES
    assert table["flux_raw"] == [row.flux_raw for row in forced(night, second)]
    assert export_forced(night.settings, [second], "all", tmp_path / "forced", force=True) == [file]
    assert parquet.read_metadata(file).num_rows > FRAMES  # type: ignore[no-untyped-call]


def test_frames_that_come_later_are_measured_and_no_other_again(raw: Path, night: Night, tmp_path: Path) -> None:
    frames = sorted((raw / "first").glob("*.fits"))
    light = [path for path in frames if path.name.startswith("Simulated")]
    folder = tmp_path / "tonight"
    folder.mkdir()
    same = {name: getattr(night.settings, name) for name in ("catalog_file", "forced_places")}
    late = Night.open(tmp_path / "late", **same)
    for path in frames:
        if path not in light[FIRST:]:
            (folder / path.name).write_bytes(path.read_bytes())
    ingest(late, folder)
    [number] = light_observations(late)
    done = publish(late, number)
    assert done["force_fluxes"] == FIRST
    all_of(forced(late, number), FIRST)
    before = {row.image_id: row for row in forced(late, number)}
    for path in light[FIRST:]:
        (folder / path.name).write_bytes(path.read_bytes())
    ingest(late, folder)
    done = publish(late, number)
    assert (done["force_places"], done["force_fluxes"]) == (0, FRAMES - FIRST)
    points = forced(late, number)
    all_of(points, FRAMES)
    assert [row.flux_raw for row in points if row.image_id in before] == [row.flux_raw for row in before.values()]


@pytest.mark.parametrize("rows_per_delete", [1, pruning.ROWS_PER_DELETE])
def test_rows_of_a_replaced_graph_go_and_shown_ones_stay(
    night: Night, monkeypatch: pytest.MonkeyPatch, rows_per_delete: int
) -> None:
    monkeypatch.setattr(pruning, "ROWS_PER_DELETE", rows_per_delete)
    [number] = light_observations(night)
    publish(night, number)
    old = night.facts().graph_pid
    changed = night.having(**APERTURES)
    publish(changed, number)
    shown = forced(changed, number)
    all_of(shown, FRAMES)
    engine = night.sessions.kw["bind"]
    [gone] = prune(engine, ALL, dry_run=False)
    assert gone.graph_pid == old
    assert forced(changed, number) == shown
    of_graph = "SELECT COUNT(*) FROM {} WHERE graph_pid = :g"
    assert night.rows(of_graph.format("forced_place"), g=old) == [(0,)]
    of_graph += " AND command LIKE 'force%'"
    assert night.rows(of_graph.format("process"), g=old) == [(0,)]
    for table in ("forced_flux", "forced_term"):
        lost = f"SELECT COUNT(*) FROM {table} WHERE placed_pid NOT IN (SELECT pid FROM forced_place)"
        assert night.rows(lost) == [(0,)], table
    assert publish(changed, number) == Counter(), "what is shown is still known"
