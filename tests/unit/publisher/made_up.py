"""Observations that were never taken, published and ended by rows alone; and what was published, in words."""

import atexit
import re
import shutil
from collections.abc import Collection
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.base import utc_now
from schema.found import Verdict
from schema.image import CALIBRATED, DEBIASED_FLAT, MASTER_BIAS, MASTER_DARK, MASTER_FLAT, TEMPLATE, Image
from schema.observing import Observation
from schema.processes import FAILED, SUCCEEDED, UNFINISHED, Process, ProcessDependence, ProcessGroup
from schema.queries import images
from schema.queries.frames import of_camera
from schema.skies import PlateSolution, Sky
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.engine.publisher.rerun import Rerun, rerun
from services.settings import Settings
from tests.ready_databases import migrate
from tests.unit.services import made_up

ROOT_IMAGES = {"stack": TEMPLATE, "stack_bias": MASTER_BIAS, "stack_dark": MASTER_DARK}
IMAGES = {"calibrate": CALIBRATED, "calibrate_flat": DEBIASED_FLAT, "combine_flat": MASTER_FLAT}
PID = re.compile(r"\b\d{19}\b")


@cache
def _migrated() -> Path:
    """A database without rows, made once."""
    path = Path(mkdtemp()) / "ready.db"
    atexit.register(shutil.rmtree, path.parent)
    migrate(f"sqlite:///{path}")
    return path


class Telescope:
    """A database of observations with frames, on which nothing ever ran."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        shutil.copyfile(_migrated(), folder / "made_up.db")
        self.engine = database.connect(f"sqlite:///{folder / 'made_up.db'}")
        self.sessions: sessionmaker[Session] = database.session_factory(self.engine)
        self.settings = Settings(**{"catalog": "none", "fan_out": 3} | settings)
        with self.sessions.begin() as session:
            made_up.base_rows(session)
            session.add(ProcessGroup(group_id=2, name="gpu"))

    def observe(self, kind: str = "light", frames: int = 4, **more: Any) -> int:
        """An observation with frames; returns its id."""
        with self.sessions.begin() as session:
            number = made_up.add_observation(session, kind, **({"name": kind} if kind != "light" else {}), **more)
            made_up.add_frames(session, number, frames, kind)
        return number

    def publish(self, observation: int, priority: int = 0, **more: Any) -> Publication:
        """Publish an observation."""
        with self.sessions.begin() as session:
            return Publisher(session, self.settings, priority).publish(observation, **more)

    def rerun(self, observation: int, step: str, **more: Any) -> Rerun:
        """Publish a rerun."""
        with self.sessions.begin() as session:
            return rerun(session, self.settings, observation, step, **more)

    def succeed(self, solver: str | None = "solve", failed: Collection[str] = ()) -> None:
        """All that was published succeeds but for ``failed`` commands; the newest ``solver`` solves the template."""
        with self.sessions.begin() as session:
            new = session.scalars(select(Process).where(Process.status.in_(UNFINISHED)).order_by(Process.pid)).all()
            for process in new:
                process.status, process.propagated, process.finished_at = SUCCEEDED, True, made_up.BEGAN
                if process.command in failed:
                    process.status, process.error = FAILED, f"no {process.command}"
                    continue
                self._give_image(session, process)
                self._show(session, process)
                if process.command == solver:
                    stacked = images.of_graph(session, process.graph_pid, TEMPLATE)[0]
                    session.add(PlateSolution(pid=process.pid, image_id=stacked.image_id, solved=True))

    def _give_image(self, session: Session, process: Process) -> None:
        is_root = '"root":true' in process.parameters
        kind = ROOT_IMAGES.get(process.command) if is_root else IMAGES.get(process.command)
        if kind is not None and images.by_pid(session, process.pid) is None:
            images.add_image(
                session,
                kind=kind,
                site_id=1,
                path=f"{kind}/{process.pid}.fits",
                observation_id=process.observation_id,
                pid=process.pid,
                graph_pid=process.graph_pid,
                nx=64,
                ny=64,
                fwhm=3.0,
            )
        if process.command == "select":
            for image in images.of_graph(session, process.graph_pid, CALIBRATED):
                session.add(Verdict(image_id=image.image_id, pid=process.pid, good=True, weight=1.0))

    def _show(self, session: Session, process: Process) -> None:
        observation = session.get_one(Observation, process.observation_id)
        if process.command == "detect" and observation.sky_id is None:
            sky = Sky(name=f"sky {observation.observation_id}", created_at=made_up.BEGAN)
            session.add(sky)
            session.flush()
            observation.sky_id = sky.sky_id
        if process.command == "calibrate_relative" and '"default":true' in process.parameters:
            observation.graph_pid, observation.calibration_pid = process.graph_pid, process.pid

    def add_frames(self, observation: int, frames: int) -> None:
        """Frames that come later."""
        with self.sessions.begin() as session:
            there = len(of_camera(session, observation, "light"))
            for number in range(there, there + frames):
                path = f"raw/{observation}/light_{number:04d}.fits"
                images.add_image(session, kind="light", site_id=1, path=path, observation_id=observation, nx=64, ny=64)

    def forget_solve(self) -> None:
        """The graphs are as earlier versions published them."""
        with self.sessions.begin() as session:
            for process in session.scalars(select(Process).where(Process.command == "detect")):
                process.parameters = re.sub(r',"solved":\d+', "", process.parameters)

    def delete_images(self, kind: str) -> None:
        """The images of this kind are gone."""
        with self.sessions.begin() as session:
            session.execute(update(Image).where(Image.kind == kind).values(deleted_at=utc_now()))

    def describe(self, publication: Publication) -> str:
        """Each process that was published, in order of PID: what it is told and what it waits for (!: required)."""
        with self.sessions() as session:
            numbers = {pid: f"#{n}" for n, pid in enumerate(session.scalars(select(Process.pid).order_by(Process.pid)))}
            lines = [_line(session, numbers, one.pid) for one in publication.processes]
        notes = [PID.sub(lambda pid: numbers[int(pid[0])], note) for note in publication.notes]
        taken = publication.taken_over if isinstance(publication, Rerun) else {}
        over = [f"{numbers[new]} is {numbers[old]}" for old, new in sorted(taken.items(), key=lambda pair: pair[1])]
        graph = numbers[publication.graph_pid or 0]
        return "\n".join([f"graph {graph}", *notes, *lines, *([", ".join(over)] if over else [])]) + "\n"


def _line(session: Session, numbers: dict[int, str], pid: int) -> str:
    process = session.get_one(Process, pid)
    edges = session.execute(
        select(ProcessDependence.parent_pid, ProcessDependence.required)
        .where(ProcessDependence.child_pid == pid)
        .order_by(ProcessDependence.parent_pid)
    )
    parents = [numbers[parent] + ("!" if required else "") for parent, required in edges]
    told = PID.sub(lambda found: numbers[int(found[0])], process.parameters)
    facts = f"graph {numbers[process.graph_pid]}, observation {process.observation_id}, {process.status}"
    engine = f"priority {process.priority}, group {process.group_id}, attempts {process.max_attempts}"
    waits = f"needs {' '.join(parents) or 'nothing'}, pending {process.pending}"
    return f"{numbers[pid]} {process.command} {told} ({facts}; {engine}) {waits}"
