"""Which observation: by its id, or the only one that has light curves; and what titles say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.image import CALIBRATED, Image
from schema.observing import LIGHT, Filter, Instrument, Observation, Target
from schema.processes import Site
from services.errors import ConfigurationError, DataError
from services.own_site import no_observation

IDS_IN_A_MESSAGE = 10


@dataclass(frozen=True)
class ObservationFacts:
    """What titles and file headers say of an observation, and the processes whose results the views show."""

    observation_id: int
    target: str
    filter: str
    instrument: str
    night: date
    sky_id: int | None
    graph_pid: int | None
    calibration_pid: int | None
    analysis_pid: int | None
    site: str

    @property
    def title(self) -> str:
        """Target, filter and night, as plots show them."""
        return f"{self.target or 'no target'}, filter {self.filter or 'none'}, night {self.night.isoformat()}"


def _observations() -> Any:
    return (
        select(
            Observation.observation_id,
            Target.name,
            Filter.name,
            Instrument.name,
            Observation.night,
            Observation.sky_id,
            Observation.graph_pid,
            Observation.calibration_pid,
            Observation.analysis_pid,
            Site.name,
        )
        .join(Site, Site.site_id == Observation.site_id)
        .join(Target, Target.target_id == Observation.target_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .join(Instrument, Instrument.instrument_id == Observation.instrument_id)
    )


def observation_facts(session: Session, observation_id: int) -> ObservationFacts:
    """The observation with this id.

    Raises:
        ConfigurationError: there is none.
    """
    row = session.execute(_observations().where(Observation.observation_id == observation_id)).one_or_none()
    if row is None:
        raise no_observation(observation_id)
    return ObservationFacts(*row)


def find_observation(session: Session, observation_id: int | None = None) -> ObservationFacts:
    """The observation with this id, or without an id the only one that has light curves.

    Raises:
        ConfigurationError: there is no such observation, or several could be meant.
        DataError: no observation has light curves yet.
    """
    if observation_id is not None:
        return observation_facts(session, observation_id)
    found = with_light_curves(session)
    if not found:
        raise DataError("no observation has light curves yet: `tianyu status` shows what is still to be done")
    if len(found) > 1:
        several = len({one.site for one in found}) > 1
        named = "; ".join(
            f"{one.observation_id} ({one.title}{f', site {one.site}' * several})" for one in found[:IDS_IN_A_MESSAGE]
        )
        more = f" and {len(found) - IDS_IN_A_MESSAGE} more" if len(found) > IDS_IN_A_MESSAGE else ""
        raise ConfigurationError(f"several observations have light curves: {named}{more}; choose one (--observation)")
    return found[0]


def with_light_curves(session: Session) -> list[ObservationFacts]:
    """All observations that have light curves, by id."""
    calibrated = _observations().where(Target.kind == LIGHT, Observation.calibration_pid.is_not(None))
    return [ObservationFacts(*row) for row in session.execute(calibrated.order_by(Observation.observation_id))]


def without_copies(
    session: Session, observations: Sequence[ObservationFacts]
) -> tuple[list[ObservationFacts], list[ObservationFacts]]:
    """Observations, a frame counted once; and those left out, of the same frames as an earlier one at another site.

    Frames are the same whose camera, filter and times are; of times that nobody knows it cannot be told.
    """
    if len({one.site for one in observations}) < 2:
        return list(observations), []
    site: dict[Any, str] = {}
    kept: list[ObservationFacts] = []
    copies: list[ObservationFacts] = []
    for one in observations:
        query = select(Image.jd_utc).where(Image.graph_pid == one.graph_pid, Image.kind == CALIBRATED)
        times = frozenset(session.scalars(query))
        is_told = times and None not in times
        first = site.setdefault((one.instrument, one.filter, times), one.site) if is_told else one.site
        (kept if first == one.site else copies).append(one)
    return kept, copies
