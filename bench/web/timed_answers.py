"""How long answers take, one after the other, each a page or a table as a person or a program asks for it."""

import io
import json
from collections.abc import Callable, Iterator
from statistics import median
from uuid import uuid4

import numpy as np
from astropy.table import Table

from bench.engine.programs import BenchError
from bench.engine.report import Goal
from bench.storage.table import Measured
from bench.web.service import Service
from bench.web.survey import CENTRE, FRAMES, LATER_NIGHTS, Survey

REPEATS = 7  # the first of which is a warm-up
IN_CONE, LISTED, ROWS, UPLOADED = 200, 1_000, 100_000, 20_000
MATCHED_ARCSEC, PLACED_ARCSEC = 2.0, 0.3
LENGTH, KIND = 8, 1  # bytes before a block of points


class TimedAnswers:
    """Of one service about one survey."""

    def __init__(self, service: Service, survey: Survey) -> None:
        self._service, self._survey = service, survey
        self._random = np.random.default_rng(3)

    def all(self) -> Iterator[Measured]:
        """Measure everything."""
        night = f"/observation/{self._survey.night}"
        points = FRAMES
        yield self._each("the nights", lambda: self._page("/"), None)
        yield self._each(f"a star's page with its curve of {points:,} points", self._star, Goal(0.5))
        yield self._each(f"a night's page, {FRAMES:,} frames", lambda: self._page(night), Goal(1.0))
        yield self._each("the curves of its frames", lambda: self._page(f"{night}/frames.json"), Goal(1.0))
        stars = f"its field with all {self._survey.ids.size:,} stars"
        yield self._each(stars, lambda: self._page(f"{night}/field", f"{night}/stars.json"), Goal(1.0))
        cone = min(IN_CONE, self._survey.ids.size // 2)
        yield self._each(f"cone search, {cone} stars", lambda: self._cone(cone), Goal(1.0))
        nights = f"the same stars on all {1 + LATER_NIGHTS} nights, with their scatter"
        yield self._each(nights, lambda: self._cone_nights(cone), Goal(1.0))
        rows = min(ROWS, self._survey.points // 4)
        for name in ("votable", "votable/b2"):
            yield self._each(
                f"{rows:,} rows of light curves as {name}", lambda name=name: self._rows(rows, name), Goal(2.0)
            )
        listed = min(LISTED, self._survey.ids.size)
        yield self._each(f"light curves of {listed:,} stars, to the client", lambda: self._list(listed), Goal(60.0), 1)
        uploaded = min(UPLOADED, self._survey.ids.size)
        for kind in ("JOIN", "LEFT JOIN"):
            what = f"{uploaded:,} uploaded places matched within {MATCHED_ARCSEC:g}″, {kind}"
            yield self._each(what, lambda kind=kind: self._match(uploaded, kind), Goal(60.0), 1)

    def _each(self, what: str, work: Callable[[], None], goal: Goal | None, repeats: int = REPEATS) -> Measured:
        taken = [self._service.taking(work) for _ in range(repeats)]
        clock, cpu = zip(*(taken[1:] or taken), strict=True)
        return Measured(f"{what}, s", median(clock), median(cpu), goal)

    def _page(self, *paths: str) -> None:
        for path in paths:
            status, content = self._service.ask(path)
            _require(status == 200, path, content)

    def _star(self) -> None:
        star = self._random.integers(self._survey.ids.size // 2, self._survey.ids.size)
        self._page(f"/star/{star}", f"/star/{star}/curve.json")

    def _cone(self, count: int) -> None:
        _, radius = self._survey.nearest(count)
        path = f"/scs?RA={CENTRE[0]}&DEC={CENTRE[1]}&SR={radius!r}&RESPONSEFORMAT=csv"
        status, content = self._service.ask(path)
        _require(status == 200 and content.count(b"\n") == count + 1, path, content)

    def _cone_nights(self, count: int) -> None:
        _, radius = self._survey.nearest(count)
        adql = (
            "SELECT s.source_id, s.ra, s.dec, s.gaia_g_mag, t.observation_id, t.scatter "
            "FROM tianyu.source_catalog AS s JOIN tianyu.light_curve_statistics AS t ON t.source_id = s.source_id "
            f"WHERE 1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE({CENTRE[0]}, {CENTRE[1]}, {radius!r}))"
        )
        self._tap(adql, count + LATER_NIGHTS * min(count, self._survey.seen_later))

    def _rows(self, count: int, name: str) -> None:
        first = int(self._random.integers(self._survey.ids.size // 4, self._survey.ids.size // 2))
        wanted = f"source_id BETWEEN {first} AND {first + count // FRAMES}"
        adql = f"SELECT TOP {count} * FROM tianyu.light_curve WHERE {wanted}"
        status, content = self._service.tap(adql, MAXREC=count, RESPONSEFORMAT=name)
        _require(status == 200 and len(content) > 100 * count, adql, content)

    def _tap(self, adql: str, rows: int) -> None:
        status, content = self._service.tap(adql, MAXREC=rows + 1, RESPONSEFORMAT="csv")
        _require(status == 200 and content.count(b"\n") == rows + 1, adql, content)

    def _list(self, count: int) -> None:
        left = self._random.permutation(self._survey.ids)[:count].tolist()
        points = 0
        while left:
            wanted = {"sources": left, "observations": list(range(1, 2 + LATER_NIGHTS)), "aperture": "best"}
            status, content = self._service.ask("/api/points", json.dumps(wanted | {"usable_only": False}).encode())
            end = json.loads(content[content.rindex(b"{") :])
            _require(status == 200 and end.get("sources", 0) > 0, "/api/points", content[-200:])
            left, points = left[end["sources"] :], points + end["points"]
        _require(points >= FRAMES * count, "/api/points", f"{points} points".encode())

    def _match(self, count: int, kind: str) -> None:
        chosen = self._random.permutation(self._survey.ids.size)[:count]
        moved = self._random.normal(0, PLACED_ARCSEC / 3600.0 / 3.0, (count, 2))
        ra, dec = (self._survey.places[chosen] + moved).T
        sent = io.BytesIO()
        Table({"n": np.arange(count), "ra": ra, "dec": dec}).write(sent, format="votable")
        adql = (
            f"SELECT t.n, s.source_id FROM TAP_UPLOAD.t AS t {kind} tianyu.source_catalog AS s ON "
            f"1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(t.ra, t.dec, {MATCHED_ARCSEC} / 3600.0))"
        )
        values = {"QUERY": adql, "LANG": "ADQL", "UPLOAD": "t,param:t", "MAXREC": "1000000", "RESPONSEFORMAT": "csv"}
        mark = uuid4().hex
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in values.items()
        ]
        head = f'--{mark}\r\nContent-Disposition: form-data; name="t"; filename="t.vot"\r\n\r\n'
        body = "".join(parts).encode() + head.encode() + sent.getvalue() + f"\r\n--{mark}--\r\n".encode()
        status, content = self._service.ask("/tap/sync", body, f"multipart/form-data; boundary={mark}")
        pairs = set(content.decode().split()[1:])
        wanted = {f"{n},{self._survey.ids[one]}" for n, one in enumerate(chosen.tolist())}
        _require(status == 200 and wanted <= pairs, adql, content)


def _require(holds: bool, what: str, content: bytes) -> None:
    if not holds:
        raise BenchError(f"{what[:200]}: not the answer that was expected: {content[:500].decode(errors='replace')}")
