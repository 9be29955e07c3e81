"""A small simulated night, processed within the test's own process: what a graph leaves, one step after the other."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.observing import Observation, Target
from schema.processes import Process, ProcessAttempt
from schema.queries import life, scheduling
from services.engine.consumer.worker import Worker
from services.engine.embedded import DATABASE_FILE, embedded_settings
from services.engine.publisher.publish import Publisher
from services.engine.publisher.published import unpublished
from services.engine.publisher.rerun import Rerun
from services.engine.publisher.rerun import rerun as publish_rerun
from services.errors import SurroundingsError
from services.ingest.raw_folder import Folder, read_folder
from services.ingest.register import register
from services.settings import Settings
from services.setup import initialise, open_engine
from services.trials.simulate import night_spec, simulate
from tests.ready_databases import ready_file

FRAMES = 8
SPEC: dict[str, Any] = {
    "n_frames": FRAMES,
    "shape": (128, 128),
    "n_stars": 20,
    "n_bias": 3,
    "n_dark": 3,
    "n_flat": 3,
    "drift": (6.0, -4.0),
    "seed": 5,
}
LIGHT_CURVES = """
SELECT l.source_id, p.path, l.aperture, l.flux_raw, l.flux_raw_error, l.flux_relative, l.flux_relative_error,
       l.reference_group, l.is_reference, l.flag, l.image_good, l.jd_utc
FROM light_curve l
JOIN image_parent ip ON ip.image_id = l.image_id
JOIN image p ON p.image_id = ip.parent_id AND p.kind = 'light'
ORDER BY p.path, l.aperture, l.source_id
"""


def simulate_night(folder: Path) -> Path:
    """Frames of the night."""
    return simulate(night_spec("demo", **SPEC), folder)


@dataclass
class Night:
    """A working folder (or a server's database) with the night in it."""

    settings: Settings
    sessions: sessionmaker[Session]

    @classmethod
    def open(cls, workdir: Path, **changes: Any) -> "Night":
        """The night in a working folder, with other settings than it was made with, if any."""
        settings = embedded_settings(workdir).model_copy(update=changes)
        file = workdir / DATABASE_FILE
        if "database_url" not in changes and not file.exists():
            file.write_bytes(ready_file())
        engine = open_engine(settings)
        initialise(settings, engine)
        return cls(settings, database.session_factory(engine))

    def copy(self, workdir: Path, **changes: Any) -> "Night":
        """The same in a folder of its own."""
        shutil.copytree(self.settings.root, workdir)
        return Night.open(workdir, **changes)

    def having(self, **changes: Any) -> "Night":
        """The same night with other settings."""
        return Night(self.settings.model_copy(update=changes), self.sessions)

    def publish(self, raw: Path | Folder) -> None:
        """Register and publish all."""
        folder = raw if isinstance(raw, Folder) else read_folder(raw)
        site, root = self.settings.site, self.settings.root
        database.transact(self.sessions, lambda session: register(session, folder, site=site, root=root))
        with self.sessions() as session:
            wanted = unpublished(session, self.settings.site)
        for observation in wanted:
            with self.sessions.begin() as session:
                Publisher(session, self.settings).publish(observation)

    def observation(self, kind: str = "light") -> int:
        """Id of the one observation of this kind."""
        query = select(Observation.observation_id).join(Target, Target.target_id == Observation.target_id)
        with self.sessions() as session:
            return session.scalars(query.where(Target.kind == kind)).one()

    def facts(self, kind: str = "light") -> Observation:
        """The observation's row."""
        number = self.observation(kind)
        with self.sessions() as session:
            return session.get_one(Observation, number)

    def rerun(self, step: str, kind: str = "light", **more: Any) -> Rerun:
        """Publish a rerun."""
        number = self.observation(kind)
        with self.sessions.begin() as session:
            return publish_rerun(session, self.settings, number, step, **more)

    def work(self, after: Callable[[str], None] = lambda command: None, *, beside: Sequence["Night"] = ()) -> list[str]:
        """Be manager and consumer until nothing is ready; returns the commands in the order in which they ran.

        ``beside``: nights of other sites in the same database, whose consumers work too.
        """
        workers = {night.settings.site: Worker(night.settings.deployment) for night in (self, *beside)}
        done: list[str] = []
        while ready := self._take():
            for item in ready:
                with self.sessions.begin() as session:
                    claim = life.claim(
                        item.pid, item.attempt,
                        site=item.site, group=item.group, worker="w", host="h", version="v", lease_s=60.0,
                    ).run(session)  # fmt: skip
                assert claim is not None
                report = workers[item.site].run(claim)
                if report.failure is not None:
                    # The surroundings are waited for, but not for long; all else fails at once.
                    spared = report.failure.error_class == SurroundingsError.error_class
                    again_s = 0.0 if spared else None
                    failing = life.fail(item.pid, item.attempt, report.failure, retry_in_s=again_s, spared=spared)
                    assert database.transact(self.sessions, failing.run)
                done.append(claim.command)
                after(claim.command)
        return done

    def _take(self) -> list[scheduling.Ready]:
        while database.transact(self.sessions, scheduling.propagate):
            pass
        return database.transact(self.sessions, scheduling.take_ready)

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query in SQL."""
        with self.sessions() as session:
            return [tuple(row) for row in session.execute(text(query), values)]

    def light_curves(self) -> list[tuple[Any, ...]]:
        """All that the view shows, without ids that a new graph changes."""
        return self.rows(LIGHT_CURVES)

    def states(self, graph_pid: int | None) -> dict[tuple[str, str], int]:
        """Processes of a graph by command and state."""
        query = select(Process.command, Process.status, func.count()).where(Process.graph_pid == graph_pid)
        with self.sessions() as session:
            rows = session.execute(query.group_by(Process.command, Process.status)).all()
        return {(command, status): count for command, status, count in rows}

    def commands_run(self, graph_pid: int | None) -> set[str]:
        """Commands of a graph of which a worker took at least one process."""
        query = select(Process.command).join(ProcessAttempt, ProcessAttempt.pid == Process.pid)
        with self.sessions() as session:
            return set(session.scalars(query.where(Process.graph_pid == graph_pid)))
