"""What of a live night is published next: what came while the last portion was at work is the next portion.

What looks at the whole night runs once a portion, and takes the longer the more frames there are: portions grow with
it, and however many frames come, each is calibrated, aligned and measured once.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from schema import database
from schema.observing import LIGHT, Observation
from schema.queries.frames import ids_of_camera
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.engine.publisher.templates import has_known_template, templates
from services.errors import ConfigurationError
from services.operating.live.freeing import Freeing
from services.operating.live.rhythm import Rhythm
from services.operating.status import finished
from services.settings import Settings
from services.shown import frames as shown_frames

Say = Callable[[str], None]
MEANWHILE_S = 0.1  # of a round for what was replaced: ten portions of 1,300 stars are millions of rows
OVER_S = 1.0  # when no frames come any more


@dataclass(frozen=True)
class Portion:
    """How an observation is published: on which template, and with how many frames."""

    known: bool = False
    new_template: bool = False


def portion(session: Session, observation_id: int, rhythm: Rhythm, *, whole: bool, own: bool = False) -> Portion | None:
    """What to do with the frames there are; None where there are too few for a first template.

    ``whole``: the night is over, and its template is of all frames. ``own``: another night's template will not do.
    """
    observation = session.get_one(Observation, observation_id)
    count = len(ids_of_camera(session, observation_id, LIGHT))
    if not count:
        return None
    if whole:
        return Portion(new_template=observation.graph_pid is not None)
    if observation.graph_pid is None:
        if not own and has_known_template(session, observation):
            return Portion(known=True)
        return Portion() if count >= rhythm.first else None
    newest = next(templates(session, observation_id), None)
    made_of = 0 if newest is None else len(newest.frames)  # 0: it is another night's
    return Portion(new_template=0 < made_of < rhythm.best and count >= 2 * made_of)


class Portions:
    """Publishes observations of the sky, each when the portion before is done."""

    def __init__(self, engine: Engine, settings: Settings, rhythm: Rhythm, note: Say) -> None:
        self._sessions = database.session_factory(engine)
        self._freeing = Freeing(engine, settings)
        self._settings = settings
        self._rhythm = rhythm
        self._note = note
        self._waiting: set[int] = set()
        self._published_at: dict[int, float] = {}  # of what may be at work
        self._told: set[str] = set()

    def add(self, observations: Collection[int]) -> None:
        """Frames came, or there is another reason to look at these."""
        self._waiting |= set(observations)

    @property
    def at_work(self) -> bool:
        """Whether something is waiting, or of what was published something may not be finished, or is to be removed."""
        return bool(self._published_at or self._waiting) or self._freeing.at_work

    def advance(self, now: float, *, whole: bool = False) -> list[int]:
        """Publish what waits and is not held up; returns the observations whose portion is done since the last call."""
        done = self._finished()
        for observation_id in sorted(self._waiting):
            since = self._published_at.get(observation_id)
            if since is not None and (whole or now - since < self._rhythm.patience_s):
                continue
            self._waiting.discard(observation_id)
            if self._publish(observation_id, whole):
                self._published_at[observation_id] = now
        self._freeing.remove(OVER_S if whole else MEANWHILE_S)
        return done

    def _finished(self) -> list[int]:
        with self._sessions() as session:
            done = [number for number in self._published_at if finished(session, number)]
        for number in done:
            del self._published_at[number]
            self._freeing.portion_is_done(number)
        return done

    def _publish(self, observation_id: int, whole: bool) -> bool:
        """Whether there is something to wait for."""

        def work(session: Session) -> tuple[Portion | None, Publication | None]:
            own = self._settings.reference_frame is not None
            how = portion(session, observation_id, self._rhythm, whole=whole, own=own)
            if how is None:
                return None, None
            publisher = Publisher(session, self._settings)
            return how, publisher.publish(observation_id, known=how.known, new_template=how.new_template)

        try:
            how, publication = database.transact(self._sessions, work)
        except ConfigurationError as error:
            self.tell(str(error))
            return False
        if how is None or publication is None:
            name, first = f"observation {observation_id}", shown_frames(self._rhythm.first)
            self.tell(f"{name}: a new sky, it waits for {first} to make a template of")
            return False
        if publication.processes:
            self._say(observation_id, publication, how)
        return True

    def _say(self, observation_id: int, publication: Publication, how: Portion) -> None:
        for line in publication.notes:
            if line != publication.of_template:  # that is so all night
                self.tell(line)
        count = publication.runs()["extract"]
        template = ", a new template" if how.new_template else ""
        self._note(f"observation {observation_id}: {shown_frames(count)} to measure{template}")

    def tell(self, line: str) -> None:
        """Say it once a night."""
        if line not in self._told:
            self._told.add(line)
            self._note(line)
