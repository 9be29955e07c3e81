"""From the headers that were read to light curves, in a working folder: what `tianyu run` and `tianyu inject` do."""

from collections.abc import Callable

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from schema import database
from schema.observing import LIGHT, Observation, Target
from services.alike import notes_together
from services.engine.embedded import ProcessTree
from services.engine.publisher.changed_choices import by_other_choices
from services.engine.publisher.publish import Publisher
from services.engine.publisher.published import unpublished
from services.engine.publisher.stopped import stopped_before
from services.engine.publisher.target_choices import unknown_targets
from services.engine.publisher.templates import has_own_template, outgrown
from services.errors import ConfigurationError
from services.ingest.raw_folder import Folder
from services.ingest.register import Ingest, register
from services.operating.master_files import register_files
from services.operating.modes import Modes, left_alone, refuse_existing, with_light_curves, without_lacking
from services.operating.status import ObservationStatus, Overview, finished, overview, status
from services.own_site import is_of
from services.settings import Settings

Say = Callable[[str], None]
APPENDING = Modes()
Look = Callable[[], list[ObservationStatus]]
# Shows progress until the second says that all is done; the third tells what hinders.
Follow = Callable[[Look, Callable[[], bool], Callable[[], Overview]], None]


def reduce(
    tree: ProcessTree,
    settings: Settings,
    folder: Folder,
    follow: Follow,
    note: Say,
    refuse: Say,
    modes: Modes = APPENDING,
) -> list[int]:
    """Register, publish and process what was read; returns the published observations of the sky.

    ``note`` is told what is good to know, ``refuse`` why an observation cannot be published. The consumers leave when
    nothing is left to do.
    """
    publish(tree.engine, settings, folder, note, refuse, modes)
    return work_off(tree, settings, follow)


def work_off(tree: ProcessTree, settings: Settings, follow: Follow) -> list[int]:
    """Wait until nothing is left to do, and let the consumers leave; returns the published observations of the sky."""
    reading = database.reading_factory(tree.engine)

    def done() -> bool:
        tree.look_after()
        with reading() as session:
            return finished(session)

    def look() -> list[ObservationStatus]:
        with reading() as session:
            return status(session)

    def whole() -> Overview:
        with reading() as session:
            return overview(session)

    follow(look, done, whole)
    tree.dismiss()
    with reading() as session:
        return _published(session, settings.site)


def publish(
    engine: Engine, settings: Settings, folder: Folder, note: Say, refuse: Say, modes: Modes = APPENDING
) -> None:
    """Register what was read, and publish what is new, what has new frames, and what other choices are made for.

    Raises:
        ConfigurationError: by ``modes`` there is to be nothing that has light curves, or lacks masters.
    """
    sessions = database.session_factory(engine)

    def take_in(session: Session) -> Ingest:
        found = register(session, folder, site=settings.site, root=settings.root)
        if modes.existing == "error":
            refuse_existing(session, settings.site, (one.observation_id for one in found.observations))
        return found

    result = database.transact(sessions, take_in)
    given = database.transact(sessions, lambda session: register_files(session, settings))
    with sessions() as session:
        wanted, anew, kept = _wanted(session, settings, result, modes)
        if modes.missing is not None:
            wanted, skipped = without_lacking(session, settings, wanted, modes.missing)
            kept += skipped
    for line in [*(f"rejected {file!r}: {reason}" for file, reason in result.rejected), *result.notes, *given, *kept]:
        note(line)
    notes: list[str] = []
    for observation in wanted:
        try:
            with sessions.begin() as session:
                publication = Publisher(session, settings).publish(
                    observation,
                    again=observation in anew,
                    known=modes.known and _may_have_known(session, observation),
                    new_template=modes.new_template,
                    only=modes.only,
                )
        except ConfigurationError as error:
            refuse(str(error))
            continue
        notes += publication.notes
    for line in notes_together(notes):
        note(line)


def _may_have_known(session: Session, number: int) -> bool:
    """Whether an observation is of the sky, and goes on without a template of its own frames."""
    observation = session.get_one(Observation, number)
    is_light = session.get_one(Target, observation.target_id).kind == LIGHT
    return is_light and not has_own_template(session, observation)


def _wanted(
    session: Session, settings: Settings, result: Ingest, modes: Modes
) -> tuple[list[int], set[int], list[str]]:
    """Observations to publish, which of them anew, and in words, which are left as they are."""
    site = settings.site
    known = [one for one in result.observations if one.key.kind == LIGHT and one.published]
    made = with_light_curves(session, site)
    anew = made.intersection(one.observation_id for one in known) if modes.existing == "overwrite" else set()
    wanted, grown = unpublished(session, site), outgrown(session, site)
    if modes.new_template:
        grown = [one.observation_id for one in known]
    again = [*(one.observation_id for one in known if one.corrected), *sorted(anew)]
    grown += [number for number in dict.fromkeys(again) if number not in grown]
    grown += [number for number in stopped_before(session, site, settings.choices) if number not in grown]
    renewed, kept = by_other_choices(session, settings, but=grown)
    kept += unknown_targets(session, settings)
    wanted += grown + renewed
    if modes.existing != "skip":
        return wanted, anew, kept
    alone = made.intersection((*wanted, *(one.observation_id for one in known)))
    return [number for number in wanted if number not in made], anew, left_alone(alone)


def _published(session: Session, site: str) -> list[int]:
    query = (
        select(Observation.observation_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(is_of(site), Target.kind == LIGHT, Observation.graph_pid.is_not(None))
    )
    return list(session.scalars(query.order_by(Observation.observation_id)))
