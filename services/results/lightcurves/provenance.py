"""Where a light curve comes from: telescope, exposure, and the processes whose numbers it has."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.observing import Instrument, Observation, ObsSite
from schema.queries.choices import of_process
from services.choices import canonical
from services.chosen import Chosen
from services.results.lightcurves.observation_facts import ObservationFacts


def provenance(session: Session, observation: ObservationFacts) -> dict[str, Any]:
    """Facts by name, without those that nobody knows; PIDs are those whose results the views show."""
    row = session.execute(
        select(
            Instrument.telescope,
            ObsSite.name,
            Observation.exposure_s,
            Observation.detrend_pid,
            Observation.zero_point_pid,
        )
        .select_from(Observation)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
        .outerjoin(ObsSite, ObsSite.obs_site_id == Observation.obs_site_id)
        .where(Observation.observation_id == observation.observation_id)
    ).one()
    facts = {
        "telescope": row.telescope or None,
        "observatory": row.name or None,
        "site": observation.site or None,
        "exposure_s": row.exposure_s or None,  # 0: frames of several exposure times
        "graph_pid": observation.graph_pid,
        "calibration_pid": observation.calibration_pid,
        "analysis_pid": observation.analysis_pid,
        "detrend_pid": row.detrend_pid,
        "zero_point_pid": row.zero_point_pid,
    }
    return {name: value for name, value in facts.items() if value is not None}


def published_by(session: Session, calibration_pid: int | None) -> dict[str, str]:
    """Tianyu's version and, as JSON, the choices that are not its defaults; empty where none were stored."""
    stored = None if calibration_pid is None else of_process(session, calibration_pid)
    if stored is None:
        return {}
    chosen = Chosen.of(stored).without_folders()
    return {"tianyu_version": chosen.version, "choices": canonical(chosen.choices)}
