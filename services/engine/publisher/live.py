"""Publishing a night that grows: what came since goes by the calibration that is there, and is laid out alone."""

from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation
from services.engine.publisher.appending import Calibration, append
from services.engine.publisher.graph import Graph
from services.engine.publisher.growing import Standing, standing_of
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Asked, Publisher
from services.engine.publisher.settling import Settled
from services.settings import Settings
from services.steps.calibrate_relative import CALIBRATE_RELATIVE


class LivePublisher(Publisher):
    """Publishes one observation as far as a live night waits for it.

    ``calibration``: of what. ``standing``: what there was when it was last published, where that is known. Masters are
    looked at where it is not, or no longer, or all frames are calibrated anew.
    """

    def __init__(
        self, session: Session, settings: Settings, calibration: Calibration, standing: Standing | None = None
    ) -> None:
        super().__init__(session, settings)
        self._calibration = calibration
        self._before = standing if calibration is Calibration.LATER else None
        self.standing: Standing | None = None  # when what was published is stored

    def lay_out(self, observation: Observation, publication: Publication, asked: Asked) -> tuple[Graph, Settled]:
        """A graph, and what is to be published of it."""
        if observation.observation_id != publication.observation_id or self.kind(observation) != LIGHT:
            return super().lay_out(observation, publication, asked)
        before = self._before
        grown = None if before is None or any(asked) else self._grow(observation, publication, before)
        if grown is not None:
            graph, settled = grown[0], append(self._session, observation, *grown, self._calibration)
            # What is calibrated whole has a key, by which it is found again.
            if all(process.command != CALIBRATE_RELATIVE.command for process in settled.processes):
                self.standing = standing_of(self._session, graph, settled, before)
                return graph, settled
        graph, settled = super().lay_out(observation, publication, asked)
        if graph.later:
            settled = append(self._session, observation, graph, settled, self._calibration)
        self.standing = standing_of(self._session, graph, settled)
        return graph, settled

    def _grow(
        self, observation: Observation, publication: Publication, before: Standing
    ) -> tuple[Graph, Settled] | None:
        """The graph with what came since; None where something else may have changed."""
        frames = self.frames(observation, LIGHT, former=True)
        if not before.holds(self._session, observation.observation_id, publication.choices.text(), frames):
            return None
        graph = self.graph(observation, publication, {})
        without_keys = before.lay_out(graph, frames)
        self.give_keys(graph, dict.fromkeys(without_keys))
        return graph, before.settled(self._session, graph)
