"""`tianyu gc --rows`: what was replaced goes, what is shown stays, and nothing that went is taken for a result."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from schema.processes import WAITING
from schema.queries import pruning
from services.deployment import Retention
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.errors import ConfigurationError
from services.operating.housekeeping.prune import MEASURING, Policy, Pruned, prune
from services.operating.housekeeping.retention import carry_out
from services.operating.live.freeing import PORTIONS, Freeing
from services.steps import steps_of
from tests.integration.small_night import Night

APERTURES = {"aperture_radii": (2.5, 6.0)}
ALL = Policy(keep=0, days=0.0)
LIGHT = [step.command for step in steps_of("light")]
UNCHOSEN = {"solve_archive", "detrend", "crossmatch", "zero_point"}  # without a catalogue and detrending
UNCHOSEN |= {"append_relative"}  # which joins live nights only
UNCHOSEN |= {"force_places", "force_fluxes", "force_terms"}  # of places that somebody asks for
ROWS_OF = "SELECT COUNT(*) FROM {table} f JOIN image i ON i.image_id = f.image_id WHERE i.graph_pid = :graph"
LOST_ORIGINS = "SELECT COUNT(*) FROM process p WHERE p.origin_pid NOT IN (SELECT pid FROM process)"
OF_PROCESSES = ("relative_flux", "reference_star", "relative_calibration", "light_curve_statistics", "variability")


def publish(night: Night, **more: Any) -> Publication:
    number = night.observation()
    with night.sessions.begin() as session:
        return Publisher(session, night.settings).publish(number, **more)


def rows_of(night: Night, graph: int | None) -> list[int]:
    """Fluxes and relative fluxes of a graph."""
    tables = ("flux", "relative_flux")
    return [night.rows(ROWS_OF.format(table=table), graph=graph)[0][0] for table in tables]


def pruned(night: Night, policy: Policy = ALL, **more: Any) -> list[Pruned]:
    return prune(night.sessions.kw["bind"], policy, **more)


class Killed(Exception):
    pass


def test_a_replaced_graph_goes_also_where_it_is_interrupted(
    each_ready_url: str, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "ROWS_PER_DELETE", 50)
    night = Night.open(tmp_path / "work", database_url=SecretStr(each_ready_url))
    night.publish(raw)
    night.work()
    old, old_curves = night.facts().graph_pid, night.light_curves()
    changed = night.having(**APERTURES)
    publish(changed)
    changed.work()
    shown, new = night.light_curves(), night.facts().graph_pid
    fluxes, relative = rows_of(night, old)

    [told] = pruned(night)
    assert (told.graph_pid, told.what) == (old, "graph")
    assert told.rows >= fluxes + relative > 0
    assert rows_of(night, old) == [fluxes, relative]  # nothing was deleted yet

    def killed(_rows: int) -> None:
        if rows_of(night, old)[0] < fluxes:
            raise Killed

    with pytest.raises(Killed):
        pruned(night, dry_run=False, on_rows=killed)
    assert 0 < rows_of(night, old)[0] < fluxes
    assert not {command for command, _ in night.states(old)} & MEASURING  # nobody takes the rest for a result
    assert night.light_curves() == shown
    with pytest.raises(ConfigurationError, match="no extract of graph"):
        night.rerun("calibrate_relative", graph_pid=old)

    [left, *_] = pruned(night)
    assert (left.graph_pid, left.processes) == (old, 0)
    deleted: list[int] = []
    pruned(night, dry_run=False, on_rows=deleted.append)
    assert max(deleted) <= 2 * 50  # of two methods
    assert rows_of(night, old) == [0, 0]
    for table in OF_PROCESSES:
        assert night.rows(f"SELECT COUNT(*) FROM {table} WHERE pid NOT IN (SELECT pid FROM process)") == [(0,)]
    assert pruned(night) == []
    assert night.rows(LOST_ORIGINS) == [(0,)]
    assert night.light_curves() == shown

    assert publish(changed).processes == []
    publish(night)
    assert set(night.work()) == set(LIGHT[LIGHT.index("extract") :]) - UNCHOSEN
    assert night.facts().graph_pid not in (old, new)
    assert [row[:8] for row in night.light_curves()] == [row[:8] for row in old_curves]


def test_of_calibrations_the_shown_one_stays_and_the_newest_of_each_method(night: Night) -> None:
    graph = night.facts().graph_pid
    for _ in range(2):
        night.rerun("calibrate_relative")
        night.work()
    shown, count = night.light_curves(), rows_of(night, graph)
    assert night.facts().graph_pid == graph
    assert pruned(night, Policy(keep=2, days=0.0)) == []
    engine, retention = night.sessions.kw["bind"], {"retention": Retention(replaced_rows_days=0.0), "keep_graphs": 1}
    by_policy = night.settings.model_copy(update=retention)
    [told] = pruned(night, Policy(keep=1, days=0.0))
    assert (told.graph_pid, told.what) == (graph, "calibrations")
    [would] = carry_out(engine, by_policy, dry_run=True).gone
    assert (would.what, would.rows) == ("calibrations", told.rows)
    [gone] = carry_out(engine, by_policy).gone
    assert count[1] // 3 <= gone.rows <= told.rows
    assert night.rows("SELECT deleted_rows, files FROM retention_run") == [(gone.rows, 0)]
    assert rows_of(night, graph) == [count[0], count[1] * 2 // 3]
    pruned(night, dry_run=False)
    assert rows_of(night, graph) == [count[0], count[1] // 3]
    methods = night.rows("SELECT DISTINCT method FROM relative_calibration")
    assert len(methods) == 2
    assert len(night.rows("SELECT DISTINCT pid FROM light_curve_statistics")) == len(methods)
    assert night.light_curves() == shown
    assert publish(night).processes == []


def test_a_live_night_frees_what_it_replaced_itself_and_nothing_older(night: Night) -> None:
    graph, engine = night.facts().graph_pid, night.sessions.kw["bind"]

    def calibrate_again(freeing: Freeing) -> None:
        night.rerun("calibrate_relative")
        night.work()
        freeing.portion_is_done(night.observation())

    calibrate_again(Freeing(engine, night.settings))
    before, count = night.light_curves(), rows_of(night, graph)[1] // 2  # of one calibration by both methods
    freeing = Freeing(engine, night.settings.model_copy(update={"keep_graphs": 0}))
    for number in range(1, PORTIONS):
        calibrate_again(freeing)
        assert rows_of(night, graph)[1] == (2 + number) * count
    calibrate_again(freeing)
    assert freeing.at_work
    freeing.remove(for_s=0.0)
    assert rows_of(night, graph)[1] > 3 * count, "a batch at a time: frames come meanwhile"
    while freeing.at_work:
        freeing.remove(for_s=0.0)
    assert rows_of(night, graph)[1] == 3 * count  # the two from before, and the shown one
    assert night.light_curves() == before
    assert len(pruned(night, dry_run=False)) == 1
    assert rows_of(night, graph)[1] == count


def test_what_is_young_newest_or_at_work_stays(night: Night) -> None:
    old = night.facts().graph_pid
    publish(night, again=True)
    assert pruned(night) == []  # the new graph is still to be made, and the old one is shown
    night.work()
    assert pruned(night, Policy(keep=0, days=1.0)) == []
    assert pruned(night, Policy(keep=1, days=0.0)) == []
    assert [one.graph_pid for one in pruned(night)] == [old]
    with night.sessions.begin() as session:
        last = [one for one in pruning.processes(session, night.observation()) if one.graph_pid == old][-1]
        last.status = WAITING
    assert pruned(night) == []
    with pytest.raises(ConfigurationError, match="no observation 4711"):
        pruned(night, observation_id=4711)


def test_a_graph_that_began_to_work_meanwhile_is_left(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    old = night.facts().graph_pid
    publish(night, again=True)
    night.work()
    count = rows_of(night, old)
    monkeypatch.setattr(pruning, "lock", lambda _session, pids: dict.fromkeys(pids, WAITING))
    assert pruned(night, dry_run=False) == []
    assert rows_of(night, old) == count
