"""The step `zero_point` on rows of a made-up night: what it stores, and the magnitudes that the view gives by it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from pipeline.flags import Flag
from pipeline.statistics import robust_scatter
from schema import database
from schema.found import Verdict
from schema.image import CALIBRATED, TEMPLATE
from schema.observing import Observation
from schema.photometry import Aperture, Flux, ZeroPoint, ZeroPointStar
from schema.processes import SUCCEEDED
from schema.queries import images
from schema.queries.measurements import insert_fluxes
from schema.skies import Sky, Source, SourceCrossmatch, SourcePosition
from services.choices import Choices
from services.deployment import Deployment
from services.errors import DataError
from services.image_store import LocalImageStore
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.zero_points import read_zero_points
from services.results.plots.zero_points_plot import draw_zero_points
from services.steps.shared.step import Context
from services.steps.zero_point import ZERO_POINT, ZeroPointParameters
from tests.unit.photometry.zero_point_night import Night, Truth, make
from tests.unit.services import made_up

PID, DETECT, CROSSMATCH = made_up.GRAPH_PID + 5000, made_up.GRAPH_PID + 10, made_up.GRAPH_PID + 11
SHAPE = (700, 1000)  # of the template, ny, nx: u goes to 1, v to 0.7
CAUGHT = (0.6, 0.95)  # of the light, by aperture
SCALE_DEG = 1.0 / 3600.0  # a pixel
CURVES = """
SELECT source_id, image_id, aperture, mag, mag_error FROM light_curve ORDER BY aperture, source_id, image_id
"""


class Field:
    """A night in a database; rows as `detect`, `extract` and `crossmatch` leave them."""

    def __init__(self, sessions: sessionmaker[Session], night: Night) -> None:
        self.sessions, self.night = sessions, night
        u, v = night.places.u, night.places.v
        self.xy = np.column_stack([u * 500.0 + 499.5, v * 500.0 + 349.5])
        with sessions.begin() as session:
            made_up.base_rows(session)
            self.observation = made_up.add_observation(session)
            for pid, command in ((DETECT, "detect"), (CROSSMATCH, "crossmatch"), (PID, "zero_point")):
                made_up.add_process(session, pid, command, SUCCEEDED, self.observation)
            self.source_ids = self._sources(session)
            self.image_ids = self._images(session)
            for t, image_id in enumerate(self.image_ids.tolist()):
                flux = np.column_stack([night.flux[:, t] * share for share in CAUGHT])
                error = np.column_stack([night.error[:, t] * share for share in CAUGHT])
                insert_fluxes(session, image_id, self.source_ids, flux, error, np.zeros(flux.shape, dtype=np.int32))
            observation = session.get_one(Observation, self.observation)
            observation.graph_pid = made_up.GRAPH_PID

    def _sources(self, session: Session) -> np.ndarray:
        sky = Sky(name="field", created_at=made_up.BEGAN)
        session.add(sky)
        session.flush()
        n = len(self.xy)
        ids = np.arange(1, n + 1)
        places = list(zip(ids.tolist(), self.xy[:, 0].tolist(), self.xy[:, 1].tolist(), strict=True))
        radec = [(120.0 - (x - 499.5) * SCALE_DEG, (y - 349.5) * SCALE_DEG) for _, x, y in places]
        session.execute(
            insert(Source),
            [
                {"source_id": i, "sky_id": sky.sky_id, "pid": DETECT, "x": x, "y": y, "ra_deg": ra, "dec_deg": dec}
                for (i, x, y), (ra, dec) in zip(places, radec, strict=True)
            ],
        )
        session.execute(
            insert(SourcePosition),
            [{"pid": DETECT, "source_id": i, "x": x, "y": y, "flux": 1.0, "flag": 0} for i, x, y in places],
        )
        session.execute(
            insert(SourceCrossmatch),
            [
                {
                    "source_id": i,
                    "match_rank": rank,
                    "pid": CROSSMATCH,
                    "gaia_source_id": 10 * i + rank,
                    "distance_arcsec": distance,
                    "g_mag": g + fainter,
                    "bp_mag": g + fainter + 0.6 * colour,
                    "rp_mag": g + fainter - 0.4 * colour,
                    "variable": False,
                    "is_match": rank == 1,
                }
                for (i, _, _), g, colour in zip(
                    places, self.night.g_mag.tolist(), self.night.places.colour.tolist(), strict=True
                )
                for rank, distance, fainter in ((1, 0.1, 0.0), (2, 30.0, 2.0))
            ],
        )
        return ids

    def _images(self, session: Session) -> np.ndarray:
        shared = {"site_id": 1, "observation_id": self.observation, "graph_pid": made_up.GRAPH_PID}
        size = {"ny": SHAPE[0], "nx": SHAPE[1]}
        images.add_image(session, kind=TEMPLATE, path="stack/template.fits", pid=DETECT - 1, **shared, **size)
        session.execute(
            insert(Aperture),
            [
                {
                    "graph_pid": made_up.GRAPH_PID,
                    "observation_id": self.observation,
                    "aperture": number,
                    "kind": "circle",
                    "radius": 3.0 + 3.0 * number,
                    "annulus_inner": 12.0,
                    "annulus_outer": 20.0,
                }
                for number in range(len(CAUGHT))
            ],
        )
        image_ids = [
            images.add_image(
                session,
                kind=CALIBRATED,
                path=f"calibrated/{t}.fits",
                pid=made_up.GRAPH_PID + 100 + t,
                jd_utc=made_up.JD0 + 0.002 * t,
                **shared,
            )
            for t in range(self.night.good.size)
        ]
        pid = made_up.GRAPH_PID + made_up.SELECT
        session.add_all(
            Verdict(image_id=image_id, pid=pid, good=good, weight=float(good))
            for image_id, good in zip(image_ids, self.night.good.tolist(), strict=True)
        )
        return np.array(image_ids)

    def run(self, choices: Choices | None = None) -> None:
        """Run the step as a worker would."""
        context = Context(
            PID,
            made_up.GRAPH_PID,
            self.observation,
            self.sessions,
            LocalImageStore(Path("/nowhere")),
            Deployment(),
            choices or Choices(),
        )
        parameters = ZeroPointParameters(crossmatch=CROSSMATCH)
        write = ZERO_POINT.start(context, parameters.model_dump_json())
        if write is not None:
            with self.sessions.begin() as session:
                write(session)

    def curves(self) -> tuple[np.ndarray, np.ndarray]:
        """Magnitudes and errors of the view: [apertures, stars, frames]."""
        with self.sessions() as session:
            rows = np.array(session.execute(text(CURVES)).all(), dtype=np.float64)
        shape = (len(CAUGHT), self.source_ids.size, self.image_ids.size)
        return rows[:, 3].reshape(shape), rows[:, 4].reshape(shape)

    def change(self, statement: Any) -> None:
        with self.sessions.begin() as session:
            session.execute(statement)

    def count(self, table: Any) -> int:
        with self.sessions() as session:
            return int(session.scalar(select(func.count()).select_from(table)) or 0)

    def shown(self) -> int | None:
        """PID of the zero points that the view shows."""
        with self.sessions() as session:
            return session.get_one(Observation, self.observation).zero_point_pid


@pytest.fixture
def sessions(ready_sqlite_url: str) -> Iterator[sessionmaker[Session]]:
    engine = database.connect(ready_sqlite_url)
    yield database.session_factory(engine)
    engine.dispose()


@pytest.fixture
def field(sessions: sessionmaker[Session]) -> Field:
    clouds = np.zeros(30)
    clouds[20:24] = 1.0
    truth = Truth(stars=80, frames=30, colour_term=0.15, gradient=(0.02, -0.01, 0.0, 0.0, 0.01), faintest=15.5)
    return Field(sessions, make(truth, clouds))


def test_the_view_gives_gaias_magnitudes_with_honest_errors(field: Field) -> None:
    """In each aperture, over all stars and frames, clouds included: level to 2 mmag, errors to 10 %."""
    field.run()
    mag, error = field.curves()
    assert np.isfinite(mag).all()
    assert field.shown() == PID
    pull = (mag - field.night.g_mag[:, None]) / error
    for aperture in range(len(CAUGHT)):
        assert abs(np.mean((mag - field.night.g_mag[:, None])[aperture])) < 0.002
        assert np.sqrt(np.mean(pull[aperture] ** 2)) == pytest.approx(1.0, abs=0.1)
    with field.sessions() as session:
        rows = session.scalars(select(ZeroPoint).where(ZeroPoint.aperture == 1).order_by(ZeroPoint.image_id)).all()
        transparency = np.array([row.transparency for row in rows])
        assert rows[0].colour_term == pytest.approx(0.15, abs=0.01)
        assert min(row.stars for row in rows) > 60
    # Clouds of 1 mag let 40 % through.
    assert transparency[20:24] == pytest.approx(10**-0.4, abs=0.01)
    assert transparency[:20] == pytest.approx(1.0, abs=0.01)


def test_every_source_has_its_place_and_colour(field: Field) -> None:
    """One without a colour of its own has the field's median, in error by the field's spread."""
    stranger = int(field.source_ids[7])
    field.change(delete(SourceCrossmatch).where(SourceCrossmatch.source_id == stranger))
    field.run()
    with field.sessions() as session:
        stars = session.scalars(select(ZeroPointStar).order_by(ZeroPointStar.source_id)).all()
    assert [star.source_id for star in stars] == field.source_ids.tolist()
    assert [star.u for star in stars] == pytest.approx(field.night.places.u.tolist())
    assert [star.v for star in stars] == pytest.approx(field.night.places.v.tolist())
    colours = np.delete(field.night.places.colour, 7)
    assert stars[7].colour == pytest.approx(np.median(colours))
    assert stars[7].colour_error == pytest.approx(robust_scatter(colours[None])[0])
    assert stars[8].colour == pytest.approx(field.night.places.colour[8])
    assert stars[8].colour_error < 0.02
    assert not stars[7].used
    assert sum(star.used for star in stars) > 60
    mag, error = field.curves()
    assert np.median(mag[1, 7]) == pytest.approx(field.night.g_mag[7], abs=0.15)
    assert np.median(error[1, 7]) == pytest.approx(0.15 * stars[7].colour_error, rel=0.1)


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param({"variable": True}, id="variable"),
        pytest.param({"is_match": False}, id="no match"),
        pytest.param({"bp_mag": None}, id="no colour"),
    ],
)
def test_stars_that_gaia_speaks_against_are_left_out(field: Field, spoilt: dict[str, Any]) -> None:
    brightest = int(field.source_ids[np.argmin(field.night.g_mag)])
    rows = SourceCrossmatch
    field.change(update(rows).where(rows.source_id == brightest, rows.match_rank == 1).values(**spoilt))
    field.run()
    with field.sessions() as session:
        assert session.get_one(ZeroPointStar, (PID, brightest)).used is False


def test_blends_and_neighbours_are_left_out(field: Field) -> None:
    """A second source that is hardly farther away, and one of a tenth of the light within the aperture of 6 px."""
    blend, pair, apart = field.source_ids[np.argsort(field.night.g_mag)[:3]].tolist()
    rows = SourceCrossmatch
    for source, distance, fainter in ((blend, 0.14, 6.0), (pair, 5.0, 2.5), (apart, 7.0, 2.5)):
        g_mag = float(field.night.g_mag[source - 1]) + fainter
        field.change(
            update(rows)
            .where(rows.source_id == source, rows.match_rank == 2)
            .values(distance_arcsec=distance, g_mag=g_mag)
        )
    field.run()
    with field.sessions() as session:
        used = {source: session.get_one(ZeroPointStar, (PID, source)).used for source in (blend, pair, apart)}
    assert used == {blend: False, pair: False, apart: True}


def test_saturated_stars_and_flagged_points_are_left_out(field: Field) -> None:
    """A star that saturates on every tenth frame is off by half on all; another is flagged where it is wild."""
    saturated, hit = field.source_ids[np.argsort(field.night.g_mag)[:2]].tolist()
    some = field.image_ids[::10].tolist()
    one = int(field.image_ids[3])
    field.change(update(Flux).where(Flux.source_id == saturated).values(flux=0.5 * Flux.flux))
    field.change(
        update(Flux).where(Flux.source_id == saturated, Flux.image_id.in_(some)).values(flag=int(Flag.SATURATED))
    )
    field.change(
        update(Flux)
        .where(Flux.source_id == hit, Flux.image_id == one)
        .values(flux=3.0 * Flux.flux, flag=int(Flag.COSMIC_RAY))
    )
    field.run()
    with field.sessions() as session:
        assert session.get_one(ZeroPointStar, (PID, saturated)).used is False
        assert session.get_one(ZeroPointStar, (PID, hit)).used is True
        counts = session.scalars(select(ZeroPoint.stars).where(ZeroPoint.aperture == 0).order_by(ZeroPoint.image_id))
        stars = list(counts)
    assert stars[3] < max(stars)


def test_where_all_stars_are_crowded_they_must_do(field: Field) -> None:
    field.change(update(Flux).values(flag=int(Flag.CROWDED)))
    field.run()
    mag, _ = field.curves()
    assert abs(np.mean(mag[1] - field.night.g_mag[:, None])) < 0.002


@pytest.mark.parametrize("left", [0, 2])
def test_a_field_that_gaia_does_not_know_has_no_zero_points(field: Field, left: int) -> None:
    """No match, or fewer than three: the step succeeds, writes nothing, and the view has no magnitudes."""
    field.change(delete(SourceCrossmatch).where(SourceCrossmatch.source_id > left))
    field.run()
    assert (field.count(ZeroPoint), field.count(ZeroPointStar), field.shown()) == (0, 0, None)
    mag, _ = field.curves()
    assert np.isnan(mag).all()


def test_frames_without_stars_have_no_magnitudes_and_do_not_stop_others(field: Field) -> None:
    empty = int(field.image_ids[4])
    field.change(delete(Flux).where(Flux.image_id == empty, Flux.source_id > 1))
    field.run()
    with field.sessions() as session:
        assert session.get(ZeroPoint, (PID, empty, 0)) is None
        assert session.scalar(select(func.count()).select_from(ZeroPoint)) == 2 * (field.image_ids.size - 1)


def test_rejected_frames_get_zero_points_too(field: Field) -> None:
    """Their magnitudes are there, with the flag of a bad frame; the night's terms come from the others."""
    bad = field.image_ids[10:12].tolist()
    field.change(update(Verdict).where(Verdict.image_id.in_(bad)).values(good=False))
    field.change(update(Flux).where(Flux.image_id.in_(bad)).values(flux=0.3 * Flux.flux))
    field.run()
    with field.sessions() as session:
        rows = session.scalars(select(ZeroPoint).where(ZeroPoint.aperture == 0).order_by(ZeroPoint.image_id)).all()
    assert rows[10].zero_point - rows[9].zero_point == pytest.approx(2.5 * np.log10(0.3), abs=0.01)


def test_the_plot_shows_what_the_rows_say(field: Field, tmp_path: Path) -> None:
    """The clouds, the colour term, and residuals of the stars that are those of the night."""
    field.run()
    with field.sessions() as session:
        observation = find_observation(session, field.observation)
        night = read_zero_points(session, observation)
        drawn = draw_zero_points(session, observation, tmp_path / "zero_points.png")
    assert drawn.stat().st_size > 10_000
    dimmed = night.zero_point[:20].mean() - night.zero_point[20:24].mean()
    assert dimmed == pytest.approx(1.0, abs=0.01)
    assert night.colour_term == pytest.approx(0.15, abs=0.01)
    order = np.argsort(field.night.g_mag)
    np.testing.assert_allclose(night.g_mag, field.night.g_mag[order])
    own = (field.night.g_mag - field.night.true_mag)[order]
    # Each star is as far from the fit as Gaia's magnitude was made to be from its light.
    assert np.corrcoef(night.residual[:40], own[:40])[0, 1] > 0.8
    assert np.std(night.residual[:40] - own[:40]) < 0.003


def test_an_observation_without_zero_points_has_no_plot(field: Field, tmp_path: Path) -> None:
    with field.sessions() as session, pytest.raises(DataError, match="has no zero points"):
        draw_zero_points(session, find_observation(session, field.observation), tmp_path / "zero_points.png")
