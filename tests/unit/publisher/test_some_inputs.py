"""Nothing is made of nothing: a step that needs some of many fails where none of them succeeded, and says why."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from schema.processes import FAILED, SKIPPED, SUCCEEDED, Process, ProcessDependence
from services.errors import DataError
from services.steps import ORDER, STEPS
from services.steps.append_relative import APPEND_RELATIVE
from services.steps.shared.needs import Each, Wait
from services.steps.shared.some_inputs import require_some
from services.steps.shared.step import Context
from tests.unit.publisher.made_up import Telescope

LAID_OUT = [step for step in ORDER if step is not APPEND_RELATIVE]  # which joins a live night only
SOME = [(step.command, need.commands) for step in LAID_OUT for need in step.needs_some]


@pytest.fixture(scope="module")
def telescope(tmp_path_factory: pytest.TempPathFactory) -> Telescope:
    made = Telescope(tmp_path_factory.mktemp("some"), catalog="gaia")
    for kind in ("bias", "dark", "flat", "light"):
        made.publish(made.observe(kind, frames=7))
    made.succeed()
    return made


def test_what_a_step_has_of_each_frame_it_needs_some_of() -> None:
    for step in ORDER:
        for need in step.needs:
            over_frames = any(STEPS[command].each is Each.FRAME for command in need.commands)
            assert not (over_frames and need.wait is Wait.OPTIONAL), (step.command, need.commands)


@pytest.mark.parametrize(("command", "commands"), SOME, ids=str)
def test_a_step_fails_where_none_of_what_it_needs_some_of_succeeded(
    telescope: Telescope, command: str, commands: tuple[str, ...]
) -> None:
    with telescope.sessions() as session:
        parent = select(Process.pid).where(Process.command.in_(commands))
        edges = select(ProcessDependence.child_pid).where(ProcessDependence.parent_pid.in_(parent))
        process = session.scalars(
            select(Process).where(Process.command == command, Process.pid.in_(edges)).order_by(Process.pid.desc())
        ).first()
        assert process is not None
        of_process = select(ProcessDependence.parent_pid).where(ProcessDependence.child_pid == process.pid)
        parents = session.scalars(
            select(Process.pid).where(Process.pid.in_(of_process), Process.command.in_(commands)).order_by(Process.pid)
        ).all()
    number = len(parents)
    end(telescope, parents, FAILED, "frame 'b.fits' is 3 bytes")
    end(telescope, parents[3:], FAILED, "cloudy")
    context = cast(Context, SimpleNamespace(pid=process.pid, reading=telescope.sessions))
    with pytest.raises(DataError) as raised:
        STEPS[command].start(context, process.parameters)
    most = "frame 'b.fits' is 3 bytes" if number <= 3 else f"most often ({number - 3}): cloudy"
    expected = (
        f"({command}): none of its {number} {commands[0]} processes succeeded ({number} failed); {most}; mend that"
    )
    assert expected in str(raised.value)
    end(telescope, parents[:1], SUCCEEDED)
    require_some(telescope.sessions, process.pid, command, STEPS[command].needs_some)
    end(telescope, parents, SUCCEEDED)


def test_frames_that_are_all_no_good_are_judged_and_a_failed_master_is_no_fault_of_theirs(telescope: Telescope) -> None:
    """`select` writes down why each is no good; where something else is at fault there is nothing to judge."""
    with telescope.sessions() as session:
        pids = {
            command: session.scalars(select(Process.pid).where(Process.command == command)).all()
            for command in ("combine_flat", "calibrate", "align", "choose_reference", "select")
        }
    needs, [pid] = STEPS["select"].needs_some, pids["select"]
    end(telescope, [*pids["calibrate"], *pids["choose_reference"]], FAILED, "no stars", error_class="data")
    end(telescope, pids["align"], SKIPPED, "a dependency that it requires did not succeed")
    require_some(telescope.sessions, pid, "select", needs)
    end(telescope, pids["calibrate"][:1], FAILED, "disk full", error_class="surroundings")
    with pytest.raises(DataError, match=r"none of its 7 align processes succeeded \(7 skipped\)"):
        require_some(telescope.sessions, pid, "select", needs)
    end(telescope, pids["calibrate"], SKIPPED, "a dependency that it requires did not succeed")
    end(telescope, pids["combine_flat"], FAILED, "all saturated", error_class="data")
    with pytest.raises(DataError, match="none of its 7 align processes succeeded"):
        require_some(telescope.sessions, pid, "select", needs)
    end(telescope, [one for some in pids.values() for one in some], SUCCEEDED)


def test_what_was_skipped_is_told_by_what_it_was_skipped_for(telescope: Telescope) -> None:
    with telescope.sessions() as session:
        flat = session.scalars(select(Process.pid).where(Process.command == "combine_flat")).one()
        calibrated = session.scalars(select(Process.pid).where(Process.command == "calibrate")).all()
        process = session.scalars(select(Process).where(Process.command == "choose_reference")).one()
    end(telescope, [flat], FAILED, "no light")
    end(telescope, calibrated, SKIPPED, "a dependency that it requires did not succeed")
    context = cast(Context, SimpleNamespace(pid=process.pid, reading=telescope.sessions))
    with pytest.raises(DataError, match=rf"\(7 skipped\); combine_flat {flat} failed: no light"):
        STEPS["choose_reference"].start(context, process.parameters)
    end(telescope, [flat, *calibrated], SUCCEEDED)


def end(telescope: Telescope, pids: Any, status: str, error: str | None = None, error_class: str | None = None) -> None:
    with telescope.sessions.begin() as session:
        session.execute(
            update(Process).where(Process.pid.in_(pids)).values(status=status, error=error, error_class=error_class)
        )
