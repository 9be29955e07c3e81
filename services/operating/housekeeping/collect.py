"""`tianyu gc`: mark the rows of what nobody needs, commit, then remove the files.

A crash in between leaves files whose rows are marked; the next call removes them, for it looks at the files that are
there and not at what it has just marked. Files are listed before rows are read, so that a file whose row is committed
meanwhile has one.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from schema import database
from schema.image import CALIBRATED
from schema.observing import Observation
from schema.processes import Site
from schema.queries import housekeeping, image_hold
from schema.queries.housekeeping import Policy
from services.errors import ConfigurationError
from services.operating.housekeeping.folders import File, files, observation_folders, remove
from services.operating.housekeeping.image_kinds import MADE, PARTIAL
from services.own_site import no_observation, require_own
from services.settings import Settings

ORPHAN_AGE_S = 3600.0  # before that, somebody may be at work on a file of which the database does not know yet
DAY_S = 86_400.0

What = Literal["unneeded", "orphan", "unfinished"]


@dataclass(frozen=True)
class Removed:
    """Files of one kind and observation (None: of none) that were, or would be, removed.

    ``what`` tells why: ``unneeded`` by the policy, ``orphan`` without a row in table image, ``unfinished`` by a killed
    attempt.
    """

    observation_id: int | None
    kind: str
    what: What
    files: int
    size_bytes: int


@dataclass
class Collection:
    """What one call did: files removed, files that could not be (and why), and folders that were left alone."""

    removed: list[Removed] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def policy_of(settings: Settings, older_than_days: float = 0.0) -> Policy:
    """The policy that the settings describe."""
    kinds = {*(() if settings.keep_partial else PARTIAL), *(() if settings.keep_calibrated else (CALIBRATED,))}
    return Policy(MADE, frozenset(kinds), older_than_days * DAY_S)


def collect(
    engine: Engine,
    settings: Settings,
    policy: Policy,
    observation_id: int | None = None,
    *,
    dry_run: bool = False,
    after_each: Callable[[], None] = lambda: None,
) -> Collection:
    """Remove what nobody needs, of one observation or of all, at the site of the settings.

    after_each: called when one observation is done.

    Raises:
        ConfigurationError: there is no such observation, it is another site's, or the root is not the one that is
            registered for the site.
    """
    root = settings.root.absolute()
    with database.reading_factory(engine)() as session:
        site_id = site_at_root(session, settings)
        held = image_hold.holder(session)
        if observation_id is None:
            wanted = sorted({*housekeeping.observations_with_images(session, site_id), *observation_folders(root)})
        elif (observation := session.get(Observation, observation_id)) is not None:
            if observation_id not in housekeeping.observations_with_images(session, site_id):
                require_own(session, settings.site, observation)  # else copies of its images are here
            wanted = [observation_id]
        else:
            raise no_observation(observation_id)
    collector = _Collector(engine, root, site_id, policy, dry_run)
    for number in wanted:
        collector.collect(number)
        after_each()
    if held is not None and not dry_run:
        collector.collection.notes.append(
            f"{held.holder} makes a backup since {held.since:%F %T} UTC: what was not marked as deleted before stays "
            "until it is done"
        )
    return collector.collection


def site_at_root(session: Session, settings: Settings) -> int:
    """Id of the settings' site, whose files lie in the settings' root.

    Raises:
        ConfigurationError: the site is not registered, or with another root, or the root is not there.
    """
    root = settings.root.absolute()
    site = session.scalar(select(Site).where(Site.name == settings.site))
    if site is None:
        raise ConfigurationError(
            f"site {settings.site!r} is not registered: correct TIANYU_SITE, or run `tianyu init` to register it"
        )
    # Another database's files would look like nobody's, and files on a disk that is not mounted like removed ones.
    if site.root != str(root):
        raise ConfigurationError(
            f"site {settings.site!r} has its root at {site.root!r}, the settings say {str(root)!r}: correct "
            "TIANYU_ROOT or TIANYU_DATABASE_URL; `tianyu init` registers a root that has moved"
        )
    if not root.is_dir():
        raise ConfigurationError(f"root folder {str(root)!r} is not there: is its disk mounted?")
    return site.site_id


class _Collector:
    def __init__(self, engine: Engine, root: Path, site_id: int, policy: Policy, dry_run: bool) -> None:
        self._sessions = database.session_factory(engine)
        self._reading = database.reading_factory(engine)
        self._root, self._site_id, self._policy, self._dry_run = root, site_id, policy, dry_run
        self.collection = Collection()

    def collect(self, number: int) -> None:
        """Collect in the folders of one observation; number 0 has what belongs to none."""
        observation_id = number or None
        found = [file for kind in MADE.derived for file in self._files(kind, number)]
        going = self._mark(observation_id, found) if observation_id is not None else set()
        with self._reading() as session:
            marked: dict[str, bool] = {}
            for kind in sorted({file.kind for file in found}):
                marked |= housekeeping.marked_paths(session, observation_id, self._site_id, kind)
        whole = [file for file in found if not file.temporary]
        unneeded = [file for file in whole if file.path in going or marked.get(file.path)]
        self._report(observation_id, "unneeded", [file for file in unneeded if self._remove(file)])
        if not self._policy.leftovers:
            return
        self._orphans(observation_id, [file for file in whole if file.path not in marked], "orphan")
        self._orphans(observation_id, [file for file in found if file.temporary], "unfinished")

    def _files(self, kind: str, number: int) -> list[File]:
        try:
            return list(files(self._root, kind, number))
        except NotADirectoryError:
            self.collection.notes.append(f"folder '{kind}/{number}' is a link or no folder: left alone")
        except OSError as error:
            self.collection.failures.append(f"folder '{kind}/{number}' cannot be read: {error.strerror}")
        return []

    def _mark(self, observation_id: int, found: Iterable[File]) -> set[str]:
        """Mark the rows of what may go; in a dry run only find it."""
        there = {file.path for file in found}
        arguments = (observation_id, self._site_id, self._policy, there)
        if self._dry_run:
            with self._reading() as session:
                deletable = housekeeping.deletable(session, *arguments)
        else:
            deletable = database.transact(
                self._sessions, lambda session: housekeeping.mark_deleted(session, *arguments)
            )
        return {file.path for file in deletable}

    def _orphans(self, observation_id: int | None, candidates: Iterable[File], what: What) -> None:
        """Remove what is old enough and nobody's, while the processes that made it cannot start again."""
        before = time.time() - max(ORPHAN_AGE_S, self._policy.older_than_s)
        old = {file.path: file for file in candidates if file.modified < before}
        if not old:
            return
        pid_of = {path: file.pid for path, file in old.items()}

        def work(session: Session) -> list[File]:
            orphans = housekeeping.orphans(session, pid_of, temporary=what == "unfinished")
            return [old[path] for path in orphans if self._remove(old[path])]

        if self._dry_run:
            with self._reading() as session:
                removed = work(session)
        else:
            removed = database.transact(self._sessions, work)
        self._report(observation_id, what, removed)

    def _remove(self, file: File) -> bool:
        if self._dry_run:
            return True
        try:
            return remove(self._root, file)
        except OSError as error:
            self.collection.failures.append(
                f"file {str(self._root / file.path)!r} cannot be removed: {error.strerror}; remove it by hand, or make "
                "its folder writable and run `tianyu gc` again"
            )
            return False

    def _report(self, observation_id: int | None, what: What, removed: Iterable[File]) -> None:
        count: Counter[str] = Counter()
        size: Counter[str] = Counter()
        for file in removed:
            count[file.kind] += 1
            size[file.kind] += file.size_bytes
        self.collection.removed += [
            Removed(observation_id, kind, what, count[kind], size[kind]) for kind in MADE.derived if count[kind]
        ]
