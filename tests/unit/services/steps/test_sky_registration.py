"""One list of sources for many nights: whatever the telescope, its scale, orientation and parity."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.healpix import cells
from schema import database
from schema.base import utc_now
from schema.image import Image
from schema.observing import Filter, Instrument, Observation, Target
from schema.processes import Process, ProcessGroup, Site
from schema.queries.images import path_digest
from schema.skies import PlateSolution, Sky, SkyImage, Source, SourcePosition
from services.steps.shared.sky_registration import Found, give_coordinates, register_sources
from tests.conftest import MAIN
from tests.ready_databases import SQLITE, ReadyDatabases

SHAPE = (800, 1000)
STARS = 150
CENTROID_PX = 0.05
FIELDS = [(31.04, 46.69), (0.02, -12.0), (210.0, 89.7)]


def camera(centre: tuple[float, float], scale: float, angle: float, mirrored: bool) -> SkyWcs:
    """TAN about the middle of the frame: arcsec a pixel, angle of the rotation, parity."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    parity = 1.0 if mirrored else -1.0
    cd = np.array([[parity * c, parity * -s], [s, c]]) * scale / 3600.0
    return SkyWcs(((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2), centre, cd, None, None)


def field(centre: tuple[float, float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Stars of the sky that the wide camera of these tests sees, no two within 12 arcsec."""
    wide = camera(centre, 2.3, 0.0, False)
    xy = np.empty((0, 2))
    while len(xy) < STARS:
        new = rng.uniform(0, 1, 2) * (SHAPE[1], SHAPE[0])
        if not len(xy) or np.hypot(*(xy - new).T).min() > 12 / 2.3:
            xy = np.vstack([xy, new])
    return wide.to_sky(xy)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, ready_databases: ReadyDatabases) -> Iterator[str]:
    with ready_databases.lend(MAIN if "server" in request.keywords else SQLITE, tmp_path) as url:
        yield url


@pytest.fixture
def sessions(url: str) -> Iterator[sessionmaker[Session]]:
    engine = database.connect(url)
    factory = database.session_factory(engine)
    with factory.begin() as session:
        session.add(Site(name="s", root="/"))
        session.add(Instrument(name="c", telescope="t"))
        session.add(Filter(name="R"))
        session.add(Target(kind="light", name="field"))
    yield factory
    engine.dispose()


class Nights:
    """Templates of one field, registered one after the other."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self.pid = 1000

    def context(self, session: Session, observation_id: int | None = None) -> Any:
        """A new `detect`, of a new observation by default."""
        self.pid += 10
        if observation_id is None:
            night = date(2024, 1, 1 + self.pid // 10 % 28)
            observation = Observation(
                site_id=1,
                target_id=1,
                filter_id=1,
                instrument_id=1,
                exposure_s=1.0,
                binning="1",
                night=night,
                created_at=utc_now(),
            )
            session.add(observation)
            session.flush()
            observation_id = observation.observation_id
        return SimpleNamespace(pid=self.pid, graph_pid=self.pid - 5, observation_id=observation_id)

    def template(self, session: Session, pid: int) -> int:
        path = f"template/{pid}.fits"
        ny, nx = SHAPE
        image = Image(kind="template", site_id=1, path=path, path_digest=path_digest(1, path), nx=nx, ny=ny)
        session.add(image)
        session.flush()
        return image.image_id

    def register(
        self,
        session: Session,
        xy: NDArray[np.float64],
        flux: NDArray[np.float64],
        wcs: SkyWcs | None,
        claim: SkyWcs | None = None,
        **which: Any,
    ) -> tuple[list[int], Any]:
        context = self.context(session, **which)
        solution = None
        if wcs is not None:
            ra, dec = wcs.centre(SHAPE)
            solution = PlateSolution(
                pid=context.pid - 1, image_id=0, solved=True, ra_deg=ra, dec_deg=dec, radius_deg=wcs.radius(SHAPE),
                wcs=wcs.text(), rms_arcsec=0.1, matches=99,
            )  # fmt: skip
            session.add(solution)
        found = Found(self.template(session, context.pid), xy, flux, SHAPE, wcs, solution, claim)
        ids = register_sources(session, context, found)
        session.add_all(
            SourcePosition(pid=context.pid, source_id=one, x=x, y=y, flux=f)
            for one, (x, y), f in zip(ids, xy.tolist(), flux.tolist(), strict=True)
        )
        return ids, context


@pytest.fixture
def nights(sessions: sessionmaker[Session]) -> Nights:
    return Nights(sessions)


def seen(
    wcs: SkyWcs, radec: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which stars a camera sees, and where, with the noise of centroids."""
    xy = wcs.to_pixels(radec)
    inside = np.flatnonzero(((xy > 0) & (xy < (SHAPE[1] - 1, SHAPE[0] - 1))).all(axis=1))
    return inside, xy[inside] + rng.normal(0, CENTROID_PX, (inside.size, 2))


@pytest.mark.parametrize("centre", FIELDS)
@pytest.mark.parametrize(("angle", "mirrored"), [(0.0, False), (137.0, False), (251.0, True)])
def test_two_telescopes_see_one_list_of_sources(
    nights: Nights, centre: tuple[float, float], angle: float, mirrored: bool
) -> None:
    rng = np.random.default_rng(3)
    stars, flux = field(centre, rng), 10 ** rng.uniform(2, 5, STARS)
    wide, narrow = camera(centre, 2.3, 0.0, False), camera(centre, 1.1, angle, mirrored)
    seen_wide, xy_wide = seen(wide, stars, rng)
    seen_wide, xy_wide = seen_wide[5:], xy_wide[5:]  # some are below the wide camera's threshold
    seen_narrow, xy_narrow = seen(narrow, stars, rng)
    with nights.sessions.begin() as session:
        first, _ = nights.register(session, xy_wide, flux[seen_wide], wide)
    with nights.sessions.begin() as session:
        second, _ = nights.register(session, xy_narrow, 7.0 * flux[seen_narrow], narrow)
    by_star = dict(zip(seen_wide.tolist(), first, strict=True))
    new = set(seen_narrow.tolist()) - set(seen_wide.tolist())
    for star, source_id in zip(seen_narrow.tolist(), second, strict=True):
        if star in by_star:
            assert source_id == by_star[star]
        else:
            assert source_id not in by_star.values()
    with nights.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Sky)) == 1
        assert session.scalar(select(func.count()).select_from(Source)) == len(by_star) + len(new)
        assert session.scalar(select(func.count()).select_from(SkyImage)) == 2
        assert session.scalars(select(Observation.sky_id)).all() == [1, 1]
        rows = {row.source_id: row for row in session.scalars(select(Source))}
        for star, source_id in [*by_star.items(), *zip(seen_narrow.tolist(), second, strict=True)]:
            row = rows[source_id]
            # The first camera's noise, on its coarser pixels; in pixels of the first template for the second's too.
            apart = np.hypot((row.ra_deg - stars[star, 0] + 180) % 360 - 180, 0) * np.cos(np.radians(stars[star, 1]))
            assert np.hypot(apart, row.dec_deg - stars[star, 1]) * 3600 < 6 * CENTROID_PX * 2.3
            assert row.healpix == cells(np.array([[row.ra_deg, row.dec_deg]]))[0]
            assert np.hypot(*(np.array([row.x, row.y]) - wide.to_pixels(stars[[star]])[0])) < 6 * CENTROID_PX


def test_another_field_is_another_sky(nights: Nights) -> None:
    rng = np.random.default_rng(4)
    for centre in (FIELDS[0], (FIELDS[0][0] + 3.0, FIELDS[0][1])):
        stars = field(centre, rng)
        wcs = camera(centre, 2.3, 10.0, False)
        which, xy = seen(wcs, stars, rng)
        with nights.sessions.begin() as session:
            nights.register(session, xy, np.ones(which.size), wcs)
    with nights.sessions() as session:
        skies = session.scalars(select(Sky).order_by(Sky.sky_id)).all()
        assert [round(sky.ra_deg or 0.0, 2) for sky in skies] == [31.04, 34.04]


def test_a_night_without_wcs_is_laid_on_the_solved_sky_of_its_camera(nights: Nights) -> None:
    rng = np.random.default_rng(5)
    stars, flux = field(FIELDS[0], rng), 10 ** rng.uniform(2, 5, STARS)
    wcs = camera(FIELDS[0], 2.3, 0.0, False)
    which, xy = seen(wcs, stars, rng)
    with nights.sessions.begin() as session:
        first, _ = nights.register(session, xy[3:], flux[which][3:], wcs)
    with nights.sessions.begin() as session:
        second, _ = nights.register(session, xy + np.array([31.0, -17.0]), flux[which], None)
    assert second[3:] == first
    with nights.sessions() as session:
        for star, source_id in zip(which[:3].tolist(), second[:3], strict=True):  # new ones have coordinates too
            row = session.get_one(Source, source_id)
            assert row.dec_deg == pytest.approx(stars[star, 1], abs=6 * CENTROID_PX * 2.3 / 3600)
            assert row.healpix is not None


def test_a_solved_night_gives_its_coordinates_to_an_unsolved_sky(nights: Nights) -> None:
    rng = np.random.default_rng(6)
    stars, flux = field(FIELDS[0], rng), 10 ** rng.uniform(2, 5, STARS)
    wcs = camera(FIELDS[0], 2.3, 0.0, False)
    which, xy = seen(wcs, stars, rng)
    shift = np.array([25.0, 40.0])
    moved = replace(wcs, crpix=(wcs.crpix[0] + shift[0], wcs.crpix[1] + shift[1]))
    with nights.sessions.begin() as session:
        first, _ = nights.register(session, xy, flux[which], None)
    with nights.sessions() as session:
        assert session.scalars(select(Source.ra_deg).distinct()).all() == [None]
    with nights.sessions.begin() as session:
        second, _ = nights.register(session, xy + shift, flux[which], moved)
    assert second == first
    with nights.sessions() as session:
        sky = session.scalars(select(Sky)).one()
        assert sky.wcs_matches == 99
        ours = SkyWcs.from_text(sky.wcs or "")
        assert np.abs(ours.to_pixels(stars[which]) - xy).max() < 6 * CENTROID_PX  # of the sky's own pixels
        for star, source_id in zip(which.tolist(), second, strict=True):
            row = session.get_one(Source, source_id)
            assert row.dec_deg == pytest.approx(stars[star, 1], abs=6 * CENTROID_PX * 2.3 / 3600)


def test_a_night_that_is_solved_anew_joins_the_sky_that_others_solved(nights: Nights) -> None:
    rng = np.random.default_rng(9)
    stars, flux = field(FIELDS[0], rng), 10 ** rng.uniform(2, 5, STARS)
    wide, turned = camera(FIELDS[0], 2.3, 0.0, False), camera(FIELDS[0], 1.5, 60.0, True)
    which, xy = seen(turned, stars, rng)
    with nights.sessions.begin() as session:
        pixels, context = nights.register(session, xy, flux[which], None)
    seen_wide, xy_wide = seen(wide, stars, rng)
    with nights.sessions.begin() as session:
        solved, _ = nights.register(session, xy_wide, flux[seen_wide], wide)
    assert not set(pixels) & set(solved)
    with nights.sessions.begin() as session:
        again, _ = nights.register(session, xy, flux[which], turned, observation_id=context.observation_id)
    by_star = dict(zip(seen_wide.tolist(), solved, strict=True))
    assert again == [by_star[star] for star in which.tolist()]
    with nights.sessions.begin() as session:  # and stays there
        once_more, _ = nights.register(session, xy, flux[which], turned, observation_id=context.observation_id)
    assert once_more == again


def test_a_night_whose_solution_was_wrong_leaves_that_sky(nights: Nights) -> None:
    rng = np.random.default_rng(10)
    stars = field(FIELDS[0], rng)
    right, wrong = camera(FIELDS[0], 2.3, 0.0, False), camera(FIELDS[1], 2.3, 0.0, False)
    which, xy = seen(right, stars, rng)
    with nights.sessions.begin() as session:
        _, context = nights.register(session, xy, np.ones(which.size), wrong)
    with nights.sessions.begin() as session:
        nights.register(session, xy, np.ones(which.size), right, observation_id=context.observation_id)
    with nights.sessions() as session:
        sky_id = session.get_one(Observation, context.observation_id).sky_id
        assert round(session.get_one(Sky, sky_id).ra_deg or 0.0, 2) == FIELDS[0][0]


def add_detect(session: Session, context: Any) -> None:
    """The process that registered an observation's sources."""
    session.add(ProcessGroup(name="cpu"))
    session.flush()
    session.add(
        Process(
            pid=context.pid, graph_pid=context.graph_pid, command="detect", parameters="{}", site_id=1, group_id=1,
            observation_id=context.observation_id, status="succeeded", pending=0, priority=0, attempt=1,
            max_attempts=3, propagated=True, created_at=utc_now(),
        )
    )  # fmt: skip


def test_a_template_that_is_solved_late_fills_in_the_coordinates(nights: Nights) -> None:
    rng = np.random.default_rng(7)
    stars = field(FIELDS[0], rng)
    wcs = camera(FIELDS[0], 2.3, 77.0, True)
    which, xy = seen(wcs, stars, rng)
    with nights.sessions.begin() as session:
        ids, context = nights.register(session, xy, np.ones(which.size), None)
        add_detect(session, context)
    solution = PlateSolution(
        pid=1, image_id=1, solved=True, ra_deg=FIELDS[0][0], dec_deg=FIELDS[0][1], radius_deg=0.4, wcs=wcs.text()
    )
    with nights.sessions.begin() as session:
        give_coordinates(session, context, solution)
    with nights.sessions() as session:
        for star, source_id in zip(which.tolist(), ids, strict=True):
            row = session.get_one(Source, source_id)
            assert row.dec_deg == pytest.approx(stars[star, 1], abs=6 * CENTROID_PX * 2.3 / 3600)
            assert row.healpix is not None


@pytest.mark.server
def test_two_templates_of_a_new_field_at_one_time_make_one_sky(nights: Nights) -> None:
    rng = np.random.default_rng(8)
    stars = field(FIELDS[0], rng)
    wcs = camera(FIELDS[0], 2.3, 0.0, False)
    which, xy = seen(wcs, stars, rng)
    ids: list[list[int]] = []

    def second() -> None:
        with nights.sessions.begin() as session:
            ids.append(nights.register(session, xy, np.ones(which.size), wcs)[0])

    thread = threading.Thread(target=second)
    with nights.sessions.begin() as session:
        ids.append(nights.register(session, xy, np.ones(which.size), wcs)[0])
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()  # it waits for this transaction
    thread.join(30)
    assert ids[0] == ids[1]
    with nights.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Sky)) == 1


WIDE = 31.7  # arcsec a pixel: stars are undersampled, and solutions differ by more than a pixel in the corners
POINTINGS = [((327.7, 12.6), 117.0), ((331.0, 14.0), 140.0), ((329.0, 12.0), 161.0)]  # chains: each shows part of each


def wide_field(centre: tuple[float, float], rng: np.random.Generator, number: int) -> NDArray[np.float64]:
    """Stars around and between the pointings, no two within two pixels."""
    xy = rng.uniform(-500, 1500, (number, 2))
    near = KDTree(xy).query_pairs(2.0, output_type="ndarray")  # type: ignore[no-untyped-call]
    return camera(centre, WIDE, 0.0, False).to_sky(np.delete(xy, near[:, 1], axis=0))


def bent(xy: NDArray[np.float64], rng: np.random.Generator, corner: float) -> NDArray[np.float64]:
    """Pixels at which stars are that a solution puts at xy: its error grows to the corners, and has a shift."""
    u, v = ((xy - np.array([SHAPE[1], SHAPE[0]]) / 2) / 500).T
    error = np.column_stack([u * u, u * v, v * v, u**3, v**3]) @ rng.normal(0, 1, (5, 2))
    return xy + corner * error / np.hypot(*error.T).max() + rng.normal(0, 0.5 * corner, 2)


def register_bent(
    nights: Nights, stars: NDArray[np.float64], pointing: int, corner: float
) -> tuple[NDArray[np.int64], list[int]]:
    rng = np.random.default_rng(pointing)
    centre, angle = POINTINGS[pointing]
    wcs = camera(centre, WIDE, angle, False)
    which, xy = seen(wcs, stars, rng)
    kept = rng.random(which.size) < 0.95  # faint ones are missed at times
    with nights.sessions.begin() as session:
        ids, _ = nights.register(session, bent(xy[kept], rng, corner), np.ones(kept.sum()), wcs)
    return which[kept], ids


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("pole", [False, True])
def test_a_star_is_one_source_in_whatever_order_its_nights_come(
    nights: Nights, order: tuple[int, int, int], pole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain of pointings of a wide field, with solutions that are off by 1.5 pixels (47 arcsec) in the corners."""
    if pole:
        moved = [((ra - 327.7, dec + 75.0), angle) for (ra, dec), angle in POINTINGS]  # across 0 h too
        monkeypatch.setitem(globals(), "POINTINGS", moved)
    stars = wide_field(POINTINGS[0][0], np.random.default_rng(11), 4000)
    ids_of: dict[int, set[int]] = {}
    times: dict[int, int] = {}
    for pointing in order:
        for star, source_id in zip(*register_bent(nights, stars, pointing, 1.5), strict=True):
            ids_of.setdefault(int(star), set()).add(source_id)
            times[int(star)] = times.get(int(star), 0) + 1
    assert sum(count > 1 for count in times.values()) > 500
    assert [star for star, ids in ids_of.items() if len(ids) > 1] == []
    assert len(set.union(*ids_of.values())) == len(ids_of)


def test_a_star_keeps_its_id_where_its_sky_is_another(nights: Nights) -> None:
    """Three pointings in a row, each sharing 40 % of its field with the next: three skies, and each star once."""
    rng = np.random.default_rng(12)
    stars = wide_field(FIELDS[0], rng, 1500)
    ids_of: dict[int, set[int]] = {}
    for step in range(3):
        wcs = camera((FIELDS[0][0] + 0.6 * 8.8 * step - 4.0, FIELDS[0][1]), WIDE * np.cos(np.radians(46.7)), 0.0, False)
        which, xy = seen(wcs, stars, rng)
        with nights.sessions.begin() as session:
            ids, _ = nights.register(session, xy, np.ones(which.size), wcs)
        for star, source_id in zip(which.tolist(), ids, strict=True):
            ids_of.setdefault(star, set()).add(source_id)
    assert [star for star, ids in ids_of.items() if len(ids) > 1] == []
    with nights.sessions() as session:
        assert session.scalars(select(Observation.sky_id).order_by(Observation.observation_id)).all() == [1, 2, 3]
        assert session.scalar(select(func.count()).select_from(Source)) == len(ids_of)


def test_two_skies_that_know_the_same_stars_are_joined_by_a_night_of_both(nights: Nights) -> None:
    """As earlier versions left them: the ids that came first go on, the others say whose star they are."""
    rng = np.random.default_rng(13)
    stars = field(FIELDS[0], rng)
    wcs = camera(FIELDS[0], 2.3, 0.0, False)
    which, xy = seen(wcs, stars, rng)
    with nights.sessions.begin() as session:
        first, _ = nights.register(session, xy, np.ones(which.size), wcs)
    with nights.sessions.begin() as session:
        session.add(Sky(sky_id=2, name="twin", created_at=utc_now()))
        session.flush()
        for row in session.scalars(select(Source)).all():
            place = {name: getattr(row, name) for name in ("x", "y", "ra_deg", "dec_deg", "healpix")}
            session.add(Source(source_id=row.source_id + 1000, sky_id=2, pid=7, **place))
    with nights.sessions.begin() as session:
        again, _ = nights.register(session, *(xy + 0.05, np.ones(which.size), wcs))
    assert again == first
    with nights.sessions() as session:
        twins = session.execute(select(Source.source_id, Source.same_as).where(Source.sky_id == 2)).all()
        assert {(one, other) for one, other in twins} == {(one + 1000, one) for one in first}


def test_a_night_that_is_solved_late_tells_which_of_its_stars_were_known(nights: Nights) -> None:
    rng = np.random.default_rng(14)
    stars, flux = field(FIELDS[0], rng), 10 ** rng.uniform(2, 5, STARS)
    wcs, turned = camera(FIELDS[0], 2.3, 0.0, False), camera(FIELDS[0], 1.5, 60.0, True)
    which, xy = seen(wcs, stars, rng)
    with nights.sessions.begin() as session:
        known, _ = nights.register(session, xy[4:], flux[which][4:], wcs)
    which_turned, xy_turned = seen(turned, stars, rng)
    with nights.sessions.begin() as session:
        ids, context = nights.register(session, xy_turned, flux[which_turned], None)
        assert not set(ids) & set(known)
        add_detect(session, context)
    solution = PlateSolution(pid=1, image_id=1, solved=True, wcs=turned.text())
    with nights.sessions.begin() as session:
        give_coordinates(session, context, solution)
    by_star = dict(zip(which[4:].tolist(), known, strict=True))
    with nights.sessions() as session:
        same_as = {row.source_id: row.same_as for row in session.scalars(select(Source))}
    assert [same_as[one] for one in ids] == [by_star.get(star) for star in which_turned.tolist()]
    with nights.sessions.begin() as session:  # `tianyu rerun --from detect`: the template has no solution of its own
        again, _ = nights.register(session, xy_turned, flux[which_turned], None, observation_id=context.observation_id)
    assert again == [same_as[one] or one for one in ids]


@pytest.mark.parametrize("blend_first", [False, True])
def test_two_stars_that_are_one_on_another_night(nights: Nights, blend_first: bool) -> None:
    """The brighter one of a blend is the star whose id both nights have; the fainter one is a star of its own."""
    rng = np.random.default_rng(15)
    wcs = camera(FIELDS[0], 10.0, 0.0, False)
    xy = rng.uniform(100, 700, (40, 2))
    resolved = np.vstack([xy, xy[0] + (1.6, 0.0)])
    blended = xy.copy()
    blended[0] += (0.4, 0.0)  # a quarter of its light is the fainter star's
    ids = {}
    for blend in (blend_first, not blend_first):
        places = blended if blend else resolved
        with nights.sessions.begin() as session:
            ids[blend], _ = nights.register(session, places, np.ones(len(places)), wcs)
    assert ids[True] == ids[False][:-1]
    assert ids[False][-1] not in ids[True]


@pytest.mark.parametrize(("off", "true"), [(3.0, True), (300.0, True), (0.0, False)])
def test_known_stars_bear_out_the_headers_wcs_of_a_night_that_is_not_solved_yet(
    nights: Nights, off: float, true: bool
) -> None:
    """Another camera, turned and mirrored; its headers are off by some or many pixels, or it shows other stars."""
    rng = np.random.default_rng(16)
    stars, flux = field(FIELDS[0], rng), 10 ** rng.uniform(2, 5, STARS)
    wcs, turned = camera(FIELDS[0], 2.3, 0.0, False), camera(FIELDS[0], 1.5, 60.0, True)
    which, xy = seen(wcs, stars, rng)
    with nights.sessions.begin() as session:
        known, _ = nights.register(session, xy, flux[which], wcs)
    which_turned, xy_turned = seen(turned, stars if true else field(FIELDS[0], rng), rng)
    claim = replace(turned, crpix=(turned.crpix[0] + off, turned.crpix[1] - off))
    with nights.sessions.begin() as session:
        ids, _ = nights.register(session, xy_turned, flux[which_turned], None, claim=claim)
    by_star = dict(zip(which.tolist(), known, strict=True))
    if true:
        assert ids == [by_star[star] for star in which_turned.tolist()]
    else:
        assert not set(ids) & set(known)
