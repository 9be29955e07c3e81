"""The relative calibrations of an observation's graph: the one that the views show, and those that stand beside it."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.photometry import RelativeCalibration
from schema.processes import SUCCEEDED, Process
from services.results.lightcurves.observation_facts import ObservationFacts
from services.steps.calibrate_relative import CALIBRATE_RELATIVE


def calibrations(session: Session, observation: ObservationFacts) -> dict[str, int]:
    """Their PIDs by method, the shown one first; of several by one method the shown one, else the newest."""
    made = func.coalesce(Process.origin_pid, Process.pid)  # whose rows they are
    rows = session.execute(
        select(RelativeCalibration.method, RelativeCalibration.pid)
        .join(Process, made == RelativeCalibration.pid)
        .where(
            Process.graph_pid == observation.graph_pid,
            Process.command == CALIBRATE_RELATIVE.command,
            Process.status == SUCCEEDED,
        )
        .distinct()
        .order_by(RelativeCalibration.pid.desc())
    ).all()
    shown_first = sorted(rows, key=lambda row: row.pid != observation.calibration_pid)
    found: dict[str, int] = {}
    for method, pid in shown_first:
        found.setdefault(method, pid)
    return found
