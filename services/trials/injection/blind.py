"""Which stars a night's statistics put forward as variable, knowing nothing of what was injected."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.photometry import Variability
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts


def blind_candidates(session: Session, facts: ObservationFacts) -> set[int]:
    """Sources that `analyze` called candidates.

    Raises:
        DataError: it judged none.
    """
    judged = session.execute(
        select(Variability.source_id, Variability.candidate).where(Variability.pid == facts.analysis_pid)
    ).all()
    if not judged:
        raise DataError(
            f"observation {facts.observation_id} ({facts.title}) was never searched for variables: "
            f"`tianyu rerun --from analyze {facts.observation_id}` does it"
        )
    return {source_id for source_id, candidate in judged if candidate}
