"""A graph of a survey's size published new, and once more when nearly all of it is there: what does a hit cost?

Nothing is computed: processes succeed by rows alone, with the images that theirs would have made.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from pydantic import SecretStr
from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.orm import Session, sessionmaker

from bench.engine.places import fresh_database
from bench.engine.report import Goal, Row
from schema import database
from schema.base import table_of, utc_now
from schema.found import FoundAlignment, Verdict
from schema.image import CALIBRATED, DEBIASED_FLAT, Image, ImageParent
from schema.observing import FLAT, LIGHT, Filter, Instrument, Observation, Target
from schema.processes import SUCCEEDED, Process, ProcessDependence
from schema.queries import images
from schema.queries.images import path_digest
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.settings import Settings, load
from services.setup import initialise, open_engine

ONE_IN = 100  # frames is registered anew
MADE = {"calibrate": CALIBRATED, "calibrate_flat": DEBIASED_FLAT}
HIT = Goal(5.0)  # ms
AS_NEW = Goal(1.0)  # times
ROWS = 5000  # of one statement
APERTURES = (2.5, 6.0)
MS = 1000.0


class Published(NamedTuple):
    """What was published, and what it took."""

    publication: Publication
    seconds: float
    cpu_seconds: float


class Night:
    """One observation whose frames were never taken."""

    def __init__(self, settings: Settings, kind: str, frames: int) -> None:
        self._settings = settings
        self._sessions: sessionmaker[Session] = database.session_factory(open_engine(settings))
        with self._sessions.begin() as session:
            target, camera, band = Target(kind=kind, name=kind), Instrument(name="c", telescope=""), Filter(name="R")
            session.add_all([target, camera, band])
            session.flush()
            site_id = images.site_id_of(session, settings.site)
            observation = Observation(
                site_id=site_id,
                target_id=target.target_id,
                filter_id=band.filter_id,
                instrument_id=camera.instrument_id,
                exposure_s=60.0,
                binning="1x1",
                night=date(2026, 1, 1),
                created_at=utc_now(),
            )
            session.add(observation)
            session.flush()
            self.number = observation.observation_id
            self._insert(session, (self._image(site_id, f"raw/{n:06d}.fits", kind) for n in range(frames)))

    def _image(self, site_id: int, path: str, kind: str, **more: Any) -> dict[str, Any]:
        facts = {"kind": kind, "site_id": site_id, "path": path, "path_digest": path_digest(site_id, path)}
        return facts | {"observation_id": self.number, "nx": 64, "ny": 64, "fwhm": 3.0, "star_count": 50} | more

    def _insert(self, session: Session, rows: Iterator[dict[str, Any]]) -> None:
        listed = list(rows)
        for start in range(0, len(listed), ROWS):
            session.execute(insert(table_of(Image)), listed[start : start + ROWS])

    def publish(self, **choices: Any) -> Published:
        """By these choices."""
        settings = self._settings.model_copy(update=choices)
        began, used = time.perf_counter(), time.process_time()
        with self._sessions.begin() as session:
            publication = Publisher(session, settings).publish(self.number)
        return Published(publication, time.perf_counter() - began, time.process_time() - used)

    def succeed(self) -> None:
        """All that was published has succeeded, with what theirs would have made of each frame."""
        with self._sessions.begin() as session:
            ended = {"status": SUCCEEDED, "propagated": True, "pending": 0, "finished_at": utc_now()}
            session.execute(update(Process).values(ended))
            makers = session.execute(
                select(Process.pid, Process.command, Process.graph_pid, Process.site_id).where(
                    Process.command.in_(MADE)
                )
            ).all()
            self._insert(
                session,
                (
                    self._image(site_id, f"{pid}.fits", MADE[command], pid=pid, graph_pid=graph)
                    for pid, command, graph, site_id in makers
                ),
            )
            raw = select(Image.image_id).where(Image.pid.is_(None)).limit(1)
            frame = session.execute(raw).scalar_one()
            made = select(Image.image_id, literal(frame)).where(Image.pid.is_not(None))
            session.execute(insert(table_of(ImageParent)).from_select(("image_id", "parent_id"), made))
            aligned = (
                select(Image.image_id, Process.pid, literal(1.0), literal(2.0))
                .join(ProcessDependence, ProcessDependence.parent_pid == Image.pid)
                .join(Process, Process.pid == ProcessDependence.child_pid)
                .where(Process.command == "align")
            )
            session.execute(insert(table_of(FoundAlignment)).from_select(("image_id", "pid", "dx", "dy"), aligned))

            judge = select(func.max(Process.pid)).where(Process.command == "select").scalar_subquery()
            judged = select(Image.image_id, judge, literal(True), literal(1.0)).where(Image.kind == CALIBRATED)
            session.execute(insert(table_of(Verdict)).from_select(("image_id", "pid", "good", "weight"), judged))

    def register_anew(self) -> None:
        """One frame in a hundred has another header."""
        with self._sessions.begin() as session:
            raw = select(Image.image_id).where(Image.pid.is_(None)).order_by(Image.image_id)
            changed = session.scalars(raw).all()[::ONE_IN]
            session.execute(update(Image).where(Image.image_id.in_(changed)).values(exposure_s=61.0))

    def close(self) -> None:
        """Give the connections back."""
        self._sessions.kw["bind"].dispose()


@contextmanager
def _settings(server_url: str | None) -> Iterator[Settings]:
    with TemporaryDirectory() as folder:
        if server_url is None:
            url = f"sqlite:///{Path(folder) / 'reuse.db'}"
            yield _ready(url, Path(folder))
        else:
            with fresh_database(server_url) as url:
                yield _ready(url, Path(folder))


def _ready(url: str, folder: Path) -> Settings:
    settings = load().model_copy(update={"database_url": SecretStr(url), "root": folder, "catalog": "none"})
    engine = open_engine(settings)
    initialise(settings, engine)
    engine.dispose()
    return settings


def measure(server_url: str | None, count: int, repeats: int) -> list[Row]:
    """Rows for graphs of about ``count`` processes: flats of which 1 % changed, and a night with other apertures."""
    return [
        *_compare(server_url, "flats, 1 % of the frames registered anew", FLAT, count, {}, repeats),
        *_compare(
            server_url, "a night, other apertures", LIGHT, count * 2 // 7, {"aperture_radii": APERTURES}, repeats
        ),
    ]


def _compare(
    server_url: str | None, what: str, kind: str, frames: int, choices: dict[str, Any], repeats: int
) -> Iterator[Row]:
    new, there, again = zip(*(_once(server_url, kind, frames, choices) for _ in range(repeats)), strict=True)
    count, hits = len(new[0].publication.processes), len(again[0].publication.taken_over)
    name = f"{what} ({count:,} processes, {hits:,} hits)"
    pairs = list(zip(new, again, strict=True))
    yield Row(f"{name}: new", "s", [one.seconds for one in new])
    yield Row(f"{name}: new, CPU a process", "ms", [MS * one.cpu_seconds / count for one in new])
    yield Row(f"{name}: nothing changed", "s", [one.seconds for one in there])
    yield Row(f"{name}: again", "s", [one.seconds for one in again])
    yield Row(f"{name}: again, over new", "times", [after.seconds / before.seconds for before, after in pairs], AS_NEW)
    yield Row(f"{name}: again, over new, CPU", "times", [b.cpu_seconds / a.cpu_seconds for a, b in pairs])
    yield Row(f"{name}: again, a hit", "ms", [MS * one.seconds / hits for one in again], HIT)
    yield Row(f"{name}: again, CPU a hit", "ms", [MS * one.cpu_seconds / hits for one in again])


def _once(server_url: str | None, kind: str, frames: int, choices: dict[str, Any]) -> tuple[Published, ...]:
    """New, with nothing changed, and again."""
    with _settings(server_url) as settings:
        night = Night(settings, kind, frames)
        new = night.publish()
        night.succeed()
        there = night.publish()
        if not choices:
            night.register_anew()
        again = night.publish(**choices)
        night.close()
    return new, there, again
