"""What of a live night is published next: what came while the last portion was at work is the next portion.

Each frame is calibrated, aligned and measured once. It goes by the reference stars of the last calibration of all
frames; the next one is made behind the frames, and not before WHOLE_SHARE times what the last took has passed: however
long the night is, a small share of the time goes into it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from schema import database
from schema.observing import LIGHT, Observation
from schema.queries.frames import ids_of_camera
from services.engine.publisher.appending import BEHIND, Calibration
from services.engine.publisher.growing import Standing
from services.engine.publisher.live import LivePublisher
from services.engine.publisher.publication import Publication
from services.engine.publisher.templates import has_known_template, templates
from services.errors import ConfigurationError
from services.operating.live.freeing import Freeing
from services.operating.live.rhythm import WHOLE_SHARE, Rhythm
from services.operating.status import finished
from services.settings import Settings
from services.shown import frames as shown_frames
from services.steps.append_relative import APPEND_RELATIVE
from services.steps.calibrate_relative import CALIBRATE_RELATIVE

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
        self._calibrating_since: dict[int, float] = {}  # all frames of these anew, behind later frames
        self._next_whole: dict[int, float] = {}
        self._replaced: set[int] = set()  # of these a calibration of all frames was made since they were last at rest
        self._standing: dict[int, Standing] = {}  # of these nothing is known to have changed but frames that came
        self._told: set[str] = set()

    def add(self, observations: Collection[int], *, changed: bool = False) -> None:
        """Frames came, or there is another reason to look at these; ``changed``: at all that there is of them."""
        self._waiting |= set(observations)
        if changed:
            for observation_id in observations:
                self._standing.pop(observation_id, None)

    @property
    def at_work(self) -> bool:
        """Whether something is waiting, or of what was published something may not be finished, or is to be removed."""
        return bool(self._published_at or self._waiting or self._calibrating_since) or self._freeing.at_work

    def advance(self, now: float, *, whole: bool = False) -> list[int]:
        """Publish what waits and is not held up; returns the observations whose portion is done since the last call."""
        done = self._finished(now, None if whole else BEHIND - 1)
        for observation_id in sorted(self._waiting):
            since = self._published_at.get(observation_id)
            if since is not None and (whole or now - since < self._rhythm.patience_s):
                continue
            if whole and observation_id in self._calibrating_since:
                continue
            self._waiting.discard(observation_id)
            publication = self._publish(observation_id, self._calibration(observation_id, now, whole), whole)
            if publication is not None:
                self._is_published(observation_id, publication, now)
        self._freeing.remove(OVER_S if whole else MEANWHILE_S)
        return done

    def _calibration(self, observation_id: int, now: float, whole: bool) -> Calibration:
        if whole:
            return Calibration.WHOLE
        if observation_id in self._calibrating_since or now < self._next_whole.get(observation_id, 0.0):
            return Calibration.LATER
        return Calibration.BEHIND

    def _is_published(self, observation_id: int, publication: Publication, now: float) -> None:
        self._published_at[observation_id] = now
        of_all = [process for process in publication.processes if process.command == CALIBRATE_RELATIVE.command]
        if any(process.priority >= BEHIND for process in of_all):
            self._calibrating_since[observation_id] = now
        elif of_all:
            self._replaced.add(observation_id)

    def _finished(self, now: float, priority: int | None) -> list[int]:
        """Observations of which a portion, up to a priority, or a calibration of all frames behind it, is done."""
        with self._sessions() as session:
            portions = [number for number in self._published_at if finished(session, number, priority)]
            for number in portions:
                took = now - self._published_at.pop(number)
                if number in self._replaced:  # its frames were measured meanwhile too
                    self._next_whole[number] = max(self._next_whole.get(number, 0.0), now + took)
            behind = [
                number
                for number in self._calibrating_since
                if number not in self._published_at and finished(session, number)
            ]
        for number in behind:
            took = now - self._calibrating_since.pop(number)
            self._next_whole[number] = now + WHOLE_SHARE * took
            self._replaced.add(number)
            self._waiting.add(number)  # frames that came meanwhile are to go by its reference stars
        at_rest = {*portions, *behind} & self._replaced - self._calibrating_since.keys()
        for number in at_rest:
            self._replaced.discard(number)
            self._freeing.portion_is_done(number)
        return sorted({*portions, *behind})

    def _publish(self, observation_id: int, calibration: Calibration, whole: bool) -> Publication | None:
        """What there is to wait for."""

        def work(session: Session) -> tuple[Portion, Publication, Standing | None] | None:
            own = self._settings.reference_frame is not None
            how = portion(session, observation_id, self._rhythm, whole=whole, own=own)
            if how is None:
                return None
            publisher = LivePublisher(session, self._settings, calibration, self._standing.get(observation_id))
            publication = publisher.publish(observation_id, known=how.known, new_template=how.new_template)
            return how, publication, publisher.standing

        try:
            published = database.transact(self._sessions, work)
        except ConfigurationError as error:
            self.tell(str(error))
            return None
        if published is None:
            name, first = f"observation {observation_id}", shown_frames(self._rhythm.first)
            self.tell(f"{name}: a new sky, it waits for {first} to make a template of")
            return None
        how, publication, standing = published
        if standing is None:
            self._standing.pop(observation_id, None)
        else:
            self._standing[observation_id] = standing
        if publication.processes:
            self._say(observation_id, publication, how)
        return publication

    def _say(self, observation_id: int, publication: Publication, how: Portion) -> None:
        for line in publication.notes:
            if line != publication.of_template:  # that is so all night
                self.tell(line)
        count = publication.runs()["extract"]
        if not count and publication.counts()[APPEND_RELATIVE.command]:
            return
        template = ", a new template" if how.new_template else ""
        self._note(f"observation {observation_id}: {shown_frames(count)} to measure{template}")

    def tell(self, line: str) -> None:
        """Say it once a night."""
        if line not in self._told:
            self._told.add(line)
            self._note(line)
