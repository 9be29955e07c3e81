"""A site made of rows and small files, as graphs of every age and state leave them."""

import os
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.base import utc_now
from schema.found import ReferenceFrame
from schema.image import CALIBRATED, Image
from schema.observing import Filter, Instrument, Observation, Target
from schema.processes import SUCCEEDED, Process, ProcessDependence, ProcessGroup, Site
from schema.queries import images
from schema.queries.housekeeping import Policy
from services.operating.housekeeping import Collection, collect
from services.operating.housekeeping.image_kinds import MADE, PARTIAL
from services.settings import Settings

NOTHING = Policy(MADE, frozenset())
PARTIALS = Policy(MADE, frozenset(PARTIAL))
ALL = Policy(MADE, frozenset({*PARTIAL, CALIBRATED}))
CONTENT = b"x" * 100
BEGAN = datetime(2024, 3, 4, 20, 0, 0)
HERE, ELSEWHERE = 1, 2


@dataclass
class House:
    """The database and the root of a site."""

    engine: Engine
    root: Path

    @property
    def sessions(self) -> sessionmaker[Session]:
        return database.session_factory(self.engine)

    @property
    def settings(self) -> Settings:
        return Settings(site="here", root=self.root)

    def found(self) -> None:
        """Two sites, a group, and what observations share."""
        self.root.mkdir()
        with self.sessions.begin() as session:
            session.add_all(
                [
                    Site(site_id=HERE, name="here", root=str(self.root)),
                    Site(site_id=ELSEWHERE, name="elsewhere", root="/nowhere"),
                    ProcessGroup(group_id=1, name="cpu"),
                    Filter(filter_id=1, name="R"),
                    Instrument(instrument_id=1, name="camera", telescope=""),
                ]
            )

    def observation(self, graph_pid: int | None, kind: str = "light") -> int:
        with self.sessions.begin() as session:
            target = Target(kind=kind, name=f"{kind} {time.time_ns()}")
            session.add(target)
            session.flush()
            observation = Observation(
                site_id=HERE,
                target_id=target.target_id, filter_id=1, instrument_id=1, exposure_s=60.0, binning="1x1",
                night=date(2024, 3, 4), created_at=BEGAN, graph_pid=graph_pid,
            )  # fmt: skip
            session.add(observation)
            session.flush()
            return observation.observation_id

    def process(
        self, pid: int, observation: int, *parents: int, graph: int = 1, status: str = SUCCEEDED, days: float = 0.0
    ) -> int:
        """A process that ended so many days ago, and its (optional) dependencies."""
        with self.sessions.begin() as session:
            now = session.execute(select(utc_now())).scalar_one()
            session.add(
                Process(
                    pid=pid, graph_pid=graph, command="check", parameters="{}", site_id=HERE, group_id=1,
                    observation_id=observation, status=status, propagated=status == SUCCEEDED,
                    created_at=BEGAN, finished_at=now - timedelta(days=days) if status == SUCCEEDED else None,
                )
            )  # fmt: skip
            session.flush()
            session.add_all(ProcessDependence(parent_pid=p, child_pid=pid, required=False) for p in parents)
        return pid

    def image(
        self,
        pid: int,
        observation: int,
        kind: str = CALIBRATED,
        *parents: int,
        graph: int = 1,
        site: int = HERE,
        path: str | None = None,
        days: float = 0.0,
        reference: int | None = None,
    ) -> str:
        """A process that succeeded, its image's row and file; with ``path`` a row that took a file over."""
        self.process(pid, observation, *parents, graph=graph, days=days)
        own = path or f"{kind}/{observation}/{pid}.fits"
        with self.sessions.begin() as session:
            image_id = images.add_image(
                session, kind=kind, site_id=site, path=f"{own}#{pid}" if path else own, observation_id=observation,
                pid=pid, graph_pid=graph,
            )  # fmt: skip
            if reference is not None:
                session.add(ReferenceFrame(image_id=image_id, pid=reference))
            # The digest of a row that took a file over is its own.
            session.execute(update(Image).where(Image.image_id == image_id).values(path=own))
        if path is None:
            self.file(own)
        return own

    def file(self, path: str, age_s: float = 0.0) -> Path:
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(CONTENT)
        os.utime(full, (time.time() - age_s,) * 2)
        return full

    def there(self) -> set[str]:
        """Paths of all files under the root."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def live(self) -> set[str]:
        """Paths that a row names whose image is not marked as deleted."""
        with self.sessions() as session:
            return set(session.scalars(select(Image.path).where(Image.deleted_at.is_(None), Image.pid.is_not(None))))

    def collect(self, policy: Policy = ALL, observation: int | None = None, *, dry_run: bool = False) -> Collection:
        return collect(self.engine, self.settings, policy, observation, dry_run=dry_run)

    def set_status(self, pid: int, status: str) -> None:
        with self.sessions.begin() as session:
            session.execute(update(Process).where(Process.pid == pid).values(status=status))
