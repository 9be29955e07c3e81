"""CPU seconds of one process, in which a night is made, or an engine's statements run on SQLite, at growing sizes.

CPU and not wall time: other programs of a machine change it by some per cent, and wall time by anything.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from sqlalchemy import text

from bench.engine import graphs
from schema import database
from schema.attempts import Usage
from schema.queries import choices, life, publishing, scheduling
from schema.queries.measurements import insert_fluxes
from services.trials.simulate import night_spec, simulate
from tests.integration.small_night import SPEC, Night

BY_COMMAND = """
SELECT p.command, SUM(a.cpu_seconds) FROM process_attempt a JOIN process p ON p.pid = a.pid GROUP BY p.command
"""
AT_ONCE = 500  # processes that are ready; the others wait for them
DEPENDENCIES = 3
HANDLED = 400  # processes that are taken and ended while the others wait
STARS, APERTURES, IMAGES = 1000, 3, 10  # of what is inserted at each size
FIRST = 10_000_000  # ids of what is made up
REPEATS = 5
FILL = """
INSERT INTO {table}
WITH RECURSIVE n(i) AS (SELECT :low UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :high)
SELECT :first + i / 3 % :stars, :first + i / (3 * :stars), i % 3, {values} FROM n
"""
TABLES = {"flux": "1000.5, 10.5, 0", "relative_flux": ":first, 1.5, 0.01"}
ONE_STAR = (
    "SELECT bjd_tdb, flux_relative, flux_relative_error FROM light_curve WHERE source_id = :source AND aperture = 1"
)


@dataclass
class Series:
    """Costs at growing sizes."""

    what: str
    unit: str
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds by step
    per_piece: bool = False  # seconds of one piece of work while there are so many; else of all


def nights(what: str, sizes: Iterable[int], changes: Callable[[int], dict[str, object]], folder: Path) -> Series:
    """A night for each size: published and made in this process."""
    series = Series(what, what)
    for size in sizes:
        place = folder / f"{what}-{size}"
        raw = simulate(night_spec("demo", **SPEC | changes(size)), place / "raw")
        (place / "work").mkdir()
        start = time.process_time()
        night = Night.open(place / "work", catalog="none")
        night.publish(raw)
        published = time.process_time()
        night.work()
        end = time.process_time()
        series.sizes.append(size)
        series.seconds.append(end - start)
        steps = {str(command): float(seconds) for command, seconds in night.rows(BY_COMMAND)}
        steps |= {"headers, publishing": published - start, "scheduling": end - published - sum(steps.values())}
        for step, seconds in steps.items():
            series.parts[step].append(seconds)
        night.sessions.kw["bind"].dispose()
    return series


def frames(sizes: Iterable[int], folder: Path) -> Series:
    """Frames of 128², so short that 1,000 are one night."""
    return nights("frames", sizes, lambda size: {"n_frames": size, "exposure_s": 5.0, "cadence_s": 10.0}, folder)


def stars(sizes: Iterable[int], folder: Path, pixels: int) -> Series:
    """Four frames, as large for few stars as for many."""
    frame = {"n_frames": 4, "shape": (pixels, pixels), "drift": (3.0, -2.0), "n_transits": 0, "mag_max": 17.0}
    quiet = {"n_smeared": 0, "cloudy_fraction": 0.0}
    return nights("stars", sizes, lambda size: {**frame, **quiet, "n_stars": size}, folder)


def waiting(sizes: Iterable[int], folder: Path) -> tuple[Series, Series]:
    """Publishing so many processes, all of them; taking and ending one of them, while the others wait."""
    published = Series("processes, published", "processes")
    handled = Series("processes, one taken and ended", "waiting processes", per_piece=True)
    for size in sizes:
        place = folder / f"waiting-{size}"
        place.mkdir()
        night = Night.open(place)
        processes = graphs.band(size, AT_ONCE, DEPENDENCIES)
        start = time.process_time()
        with night.sessions.begin() as session:
            kept = choices.keep(session, "any", night.settings.choices.text())
            publishing.publish(session, processes, site=night.settings.site, choices_id=kept)
        published.sizes.append(size)
        published.seconds.append(time.process_time() - start)
        handled.sizes.append(size)
        handled.seconds.append(_handle(night) / HANDLED)
        night.sessions.kw["bind"].dispose()
    return published, handled


def _handle(night: Night) -> float:
    done, start = 0, time.process_time()
    while done < HANDLED:
        for item in database.transact(night.sessions, scheduling.take_ready)[: HANDLED - done]:
            with night.sessions.begin() as session:
                claim = life.claim(
                    item.pid, item.attempt,
                    site=item.site, group=item.group, worker="w", host="h", version="v", lease_s=60.0,
                ).run(session)  # fmt: skip
                assert claim is not None
            with night.sessions.begin() as session:
                assert life.succeed(item.pid, item.attempt, Usage(0.0, 0.0, 0, 0, 0)).run(session)
            done += 1
        while database.transact(night.sessions, scheduling.propagate):
            pass
    return time.process_time() - start


def rows(sizes: Iterable[int], folder: Path) -> tuple[Series, Series]:
    """Inserting a frame's fluxes, and reading a star's light curve, where there are so many rows of others."""
    inserted = Series("rows, a frame inserted", "rows in table flux", per_piece=True)
    read = Series("rows, a light curve read", "rows in table flux", per_piece=True)
    place = folder / "rows"
    place.mkdir()
    night = Night.open(place, catalog="none")
    night.publish(simulate(night_spec("demo", **SPEC), folder / "rows-raw"))
    night.work()
    [(source,)] = night.rows("SELECT MIN(source_id) FROM source")
    there, image = 0, 2 * FIRST
    random = np.random.default_rng(1)
    for size in sizes:
        with night.sessions.begin() as session:
            for table, values in TABLES.items():
                ids = {"low": there, "high": size, "first": FIRST, "stars": STARS}
                session.execute(text(FILL.format(table=table, values=values)), ids)
        there = size
        inserts, reads = [], []
        for _ in range(REPEATS):
            start = time.process_time()
            for _ in range(IMAGES):
                flux = random.normal(1000, 10, (STARS, APERTURES))
                image += 1
                with night.sessions.begin() as session:
                    none = np.zeros(flux.shape, np.int32)
                    insert_fluxes(session, image, FIRST + np.arange(STARS), flux, flux, none)
            inserts.append((time.process_time() - start) / IMAGES)
            start = time.process_time()
            for _ in range(10 * IMAGES):
                assert night.rows(ONE_STAR, source=source)
            reads.append((time.process_time() - start) / (10 * IMAGES))
        for series, costs in ((inserted, inserts), (read, reads)):
            series.sizes.append(size)
            series.seconds.append(median(costs))
    return inserted, read
