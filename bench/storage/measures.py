"""What is measured, one after the other, on one database."""

import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from bench.engine.report import Goal
from bench.storage.table import Measured
from schema import database, models, partitions, views
from schema.base import table_of
from schema.image import CALIBRATED, Image
from schema.light_curve_rows import points
from schema.observing import LIGHT, Filter, Instrument, Observation, Target
from schema.photometry import LightCurveStatistics, ReferenceStar
from schema.processes import ProcessGroup, Site
from schema.queries.measurements import (
    RelativeFluxes,
    flux_matrices,
    insert_fluxes,
    insert_relative_fluxes,
    relative_matrices,
)
from schema.skies import Sky, Source, SourcePosition

APERTURES, PID = 3, 7
SHARE = 10  # of the frames: the first and the last tenth tell whether rates stay
ASKED = 21  # single stars, single frames
READ_ROWS = 2_000_000  # of one bulk read
LISTED = 1_000  # stars of a list
INSERT_GOAL, READ_GOAL, STAR_GOAL = Goal(150_000, at_least=True), Goal(1_000_000, at_least=True), Goal(10.0)
LIST_GOAL = Goal(1_000_000, at_least=True)  # points a minute
MS, S_PER_NS, LOCK_WAIT_S = 1e3, 1e-9, 60
FRAME = text(
    "SELECT f.source_id, f.aperture, f.flux FROM source_position p "
    "JOIN flux f ON f.source_id = p.source_id AND f.image_id = :image WHERE p.pid = :pid"
)
STAR = text("SELECT image_id, aperture, flux, flux_error, flag FROM flux WHERE source_id = :star")


class Measures:
    """Fluxes of one field, frame by frame; relative ones of as many rows as are read at once."""

    def __init__(self, url: str, server: int | None, rows: int, stars: int, rows_per_range: int | None) -> None:
        self._engine = database.connect(url)
        self._sessions = database.session_factory(self._engine)
        self._server, self._rows_per_range = server, rows_per_range or partitions.ROWS_PER_RANGE
        self._ids = np.arange(1, stars + 1)
        self._frames = max(SHARE, rows // (stars * APERTURES))
        self._random = np.random.default_rng(1)
        with database.changing(self._engine, LOCK_WAIT_S) as connection:
            models.metadata.create_all(connection)
            views.make(connection)

    def all(self) -> Iterator[Measured]:
        """Measure everything."""
        yield from self._frames_in()
        yield from self._bulk()
        yield self._each("fluxes of one star, ms", self._star, STAR_GOAL)
        yield self._list()
        yield self._each("light curve of one star, by the view, ms", self._light_curve, None)
        yield self._each("fluxes of one frame, all stars, ms", self._frame, None)
        self._engine.dispose()

    def _taking(self, work: Callable[[], Any]) -> tuple[float, float]:
        """Seconds by the clock, and of CPU here and in the server."""
        used, began = time.process_time() + self._server_cpu(), time.perf_counter()
        work()
        return time.perf_counter() - began, time.process_time() + self._server_cpu() - used

    def _server_cpu(self) -> float:
        if self._server is None:
            return 0.0
        threads = Path(f"/proc/{self._server}/task").glob("*/schedstat")
        return S_PER_NS * sum(int(thread.read_text().split()[0]) for thread in threads)

    def _frames_in(self) -> Iterator[Measured]:
        shape = self._ids.size, APERTURES
        flux = self._random.lognormal(8.0, 2.0, shape)
        error, flag = np.sqrt(flux), np.zeros(shape, dtype=np.int32)
        taken = []
        self._lay_out()
        for image in range(1, self._frames + 1):
            self._add_image(image)
            now = flux * self._random.normal(1.0, 0.01, shape)

            def write(image: int = image, now: Any = now) -> None:
                with self._sessions.begin() as session:
                    insert_fluxes(session, image, self._ids, now, error, flag)

            taken.append(self._taking(write))
        few = self._frames // SHARE
        for name, part in (("the first tenth", taken[:few]), ("the last tenth", taken[-few:]), ("all", taken)):
            rows = len(part) * flux.size
            clock, cpu = (rows / sum(values) for values in zip(*part, strict=True))
            yield Measured(f"fluxes in, frame by frame, {name}, rows/s", clock, cpu, INSERT_GOAL)

    def _lay_out(self) -> None:
        with self._sessions.begin() as session:
            session.add_all([Site(site_id=1, name="local", root="/nowhere"), ProcessGroup(group_id=1, name="cpu")])
            session.add(Sky(sky_id=1, name="field", created_at=datetime(2026, 1, 1)))
            session.flush()
            places = [{"source_id": one, "pid": PID, "x": 0.0, "y": 0.0} for one in self._ids.tolist()]
            session.execute(insert(table_of(Source)), [place | {"sky_id": 1} for place in places])
            session.execute(insert(table_of(SourcePosition)), [place | {"flux": 1.0, "flag": 0} for place in places])
            session.add_all([Target(target_id=1, name="field", kind=LIGHT), Filter(filter_id=1, name="R")])
            session.add(Instrument(instrument_id=1, name="camera", telescope=""))
            session.flush()
            shown = dict.fromkeys(("graph_pid", "calibration_pid", "analysis_pid"), PID)
            night = {
                "night": date(2026, 1, 1),
                "created_at": datetime(2026, 1, 1),
                "exposure_s": 60.0,
                "binning": "1x1",
            }
            session.add(
                Observation(observation_id=1, site_id=1, target_id=1, filter_id=1, instrument_id=1, **night, **shown)
            )
            session.flush()
            each = [
                {"pid": PID, "source_id": one, "aperture": a} for one in self._ids.tolist() for a in range(APERTURES)
            ]
            role = {"method": "ensemble", "reference_group": 0, "is_reference": True}
            session.execute(insert(table_of(ReferenceStar)), [one | role for one in each])
            known = {"observation_id": 1, "calibration_pid": PID, "epochs": 1}
            best = [one | known | {"best_aperture": one["aperture"] == 1} for one in each]
            session.execute(insert(table_of(LightCurveStatistics)), best)

    def _add_image(self, image: int) -> None:
        row = {"image_id": image, "kind": CALIBRATED, "site_id": 1, "path": f"{image}", "path_digest": f"{image:032d}"}
        row |= {"observation_id": 1, "graph_pid": PID, "jd_utc": 2461000.0 + 0.001 * image}
        with self._sessions.begin() as session:
            session.execute(insert(table_of(Image)), [row])
        if self._server is not None and image % 100 == 1:  # as the manager looks
            with database.changing(self._engine, LOCK_WAIT_S) as connection:
                partitions.arrange(connection, self._rows_per_range)

    def _bulk(self) -> Iterator[Measured]:
        images = np.arange(1, max(2, min(self._frames, READ_ROWS // (self._ids.size * APERTURES))) + 1)
        rows, apertures = self._ids.size * images.size * APERTURES, range(APERTURES)
        curves = {
            aperture: RelativeFluxes(*self._random.normal(1.0, 0.01, (2, self._ids.size, images.size)))
            for aperture in apertures
        }

        def write() -> None:
            with self._sessions.begin() as session:
                insert_relative_fluxes(session, PID, self._ids, images, curves)

        def read(matrices: Callable[[Session], Any]) -> Callable[[], None]:
            def reading() -> None:
                with self._sessions() as session:
                    for _ in matrices(session):
                        pass

            return reading

        works = {
            "relative fluxes in, a night at once, rows/s": (write, INSERT_GOAL),
            "fluxes out into arrays, rows/s": (
                read(lambda session: flux_matrices(session, apertures, self._ids, images)), READ_GOAL
            ),
            "relative fluxes out into arrays, rows/s": (
                read(lambda session: relative_matrices(session, PID, apertures, self._ids, images)), READ_GOAL
            ),
        }  # fmt: skip
        for name, (work, goal) in works.items():
            clock, cpu = self._taking(work)
            yield Measured(name, rows / clock, rows / cpu, goal)

    def _each(self, what: str, work: Callable[[int], None], goal: Goal | None) -> Measured:
        """Median of many, one after the other; the first of them is a warm-up."""
        most = min(self._ids.size, self._frames)
        asked = self._random.integers(1, most, ASKED + 1).tolist()
        clock, cpu = zip(*(self._taking(lambda one=one: work(one)) for one in asked), strict=True)
        return Measured(what, MS * median(clock[1:]), MS * median(cpu[1:]), goal)

    def _star(self, star: int) -> None:
        with self._engine.connect() as connection:
            assert len(connection.execute(STAR, {"star": star}).all()) == self._frames * APERTURES

    def _list(self) -> Measured:
        """Points of many stars in their best apertures, as `tianyu lightcurve --targets` and the client read them."""
        stars = self._random.permutation(self._ids)[:LISTED].tolist()

        def read() -> None:
            with self._engine.connect() as connection:
                found = points(connection, stars, [1], aperture="best")
                assert sum(part["flag"].size for _, part in found) == len(stars) * self._frames

        clock, cpu = self._taking(read)
        told = f"light curves of {len(stars):,} stars, by the view, points/min"
        rows = 60 * len(stars) * self._frames
        return Measured(told, rows / clock, rows / cpu, LIST_GOAL)

    def _light_curve(self, star: int) -> None:
        with self._engine.connect() as connection:
            [(_, found)] = points(connection, [star], [1], aperture="best")
            assert found["flag"].size == self._frames

    def _frame(self, image: int) -> None:
        with self._engine.connect() as connection:
            assert len(connection.execute(FRAME, {"image": image, "pid": PID}).all()) == self._ids.size * APERTURES
