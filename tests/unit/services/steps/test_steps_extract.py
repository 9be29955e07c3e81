"""`extract` on a made-up image: what lands in which row."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from pipeline.flags import Flag
from pipeline.frame.masked_pixels import pixel_table
from pipeline.trials.simulation.star_stamps import draw_stars
from schema import database, models
from schema.found import FoundAlignment
from schema.image import CALIBRATED
from schema.photometry import Aperture, ApertureCorrection, Flux
from schema.queries import images
from schema.skies import Sky, Source, SourcePosition
from services.choices import Choices
from services.deployment import Deployment
from services.image_store import open_store
from services.steps.extract import EXTRACT, ExtractParameters
from services.steps.shared.step import Context
from tests.unit.services import made_up

SHAPE = (300, 300)
FWHM = 3.0
# Six stars alone, a bright one with a faint neighbour 4 px beside it, and one that this frame does not show.
XY = [(50, 50), (150, 50), (250, 50), (50, 150), (150, 150), (250, 150), (50, 250), (54, 250), (400, 50)]
FLUX = [1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5, 2e3, 1e5]
BLENDED = 3  # index of a star that was detected as a blend
DETECTION, IMAGE, ALIGNMENT, GRAPH = 14, 15, 16, 1  # PIDs
RADII = ((4.0, None), (3.0, 1.0))  # (radius, factor), px


def make(root: Path, shift: float) -> tuple[Context, sessionmaker[Session]]:
    """A database whose one frame shows the sources ``shift`` px to the right of where the template has them."""
    root.mkdir()
    engine = database.connect(f"sqlite:///{root / 'test.db'}")
    models.metadata.create_all(engine)
    sessions: sessionmaker[Session] = database.session_factory(engine)
    xy, flux = np.array(XY, dtype=np.float64), np.array(FLUX)
    image = draw_stars(SHAPE, xy[:, 0] + shift, xy[:, 1], flux, FWHM, 3.0)
    image += np.random.default_rng(2).normal(0.0, 5.0, SHAPE).astype(np.float32)
    store = open_store(root)
    store.write("c.fits", image, {"PIXELS": pixel_table(np.zeros(SHAPE, np.uint8))}, {})
    with sessions.begin() as session:
        made_up.base_rows(session)
        made_up.add_observation(session)
        image_id = images.add_image(
            session, kind=CALIBRATED, site_id=1, path="c.fits", observation_id=1, pid=IMAGE, graph_pid=GRAPH,
            ny=SHAPE[0], nx=SHAPE[1], fwhm=FWHM, gain=1.0, background_rms=5.0, background=20.0,
        )  # fmt: skip
        session.add(FoundAlignment(image_id=image_id, pid=ALIGNMENT, dx=shift, dy=0.0))
        session.add(Sky(sky_id=1, name="sky", created_at=datetime(2024, 3, 5)))
        session.flush()
        for number, ((x, y), light) in enumerate(zip(XY, FLUX, strict=True), start=1):
            session.add(Source(source_id=number, sky_id=1, pid=DETECTION, x=x, y=y))
            session.flush()
            session.add(
                SourcePosition(
                    pid=DETECTION, source_id=number, x=x, y=y, flux=light, fwhm=FWHM, semi_major=1.3, semi_minor=1.3,
                    theta_deg=0.0, kron_radius=1.3, flag=int(Flag.BLENDED) if number == BLENDED + 1 else 0,
                )
            )  # fmt: skip
        shared = {"graph_pid": GRAPH, "observation_id": 1, "annulus_inner": 12.0, "annulus_outer": 18.0}
        for number, (radius, factor) in enumerate(RADII):
            session.add(Aperture(aperture=number, radius=radius, factor=factor, **shared))
        session.add(Aperture(aperture=len(RADII), radius=2.5, kind="kron", **shared))
    return Context(99, GRAPH, 1, sessions, store, Deployment(root=root), Choices()), sessions


@pytest.fixture
def night(tmp_path: Path) -> dict[tuple[int, int], Flux]:
    context, sessions = make(tmp_path / "a", 0.4)
    return fluxes(context, sessions)


def fluxes(context: Context, sessions: sessionmaker[Session]) -> dict[tuple[int, int], Flux]:
    """Rows by index of the star and aperture."""
    outputs = EXTRACT.start(context, ExtractParameters(calibrated=IMAGE, detected=DETECTION).model_dump_json())
    with sessions.begin() as session:
        outputs(session)
    with sessions() as session:
        return {(row.source_id - 1, row.aperture): row for row in session.scalars(select(Flux))}


def test_every_source_has_a_row_in_every_aperture(night: dict[tuple[int, int], Flux]) -> None:
    assert set(night) == {(star, aperture) for star in range(len(XY)) for aperture in range(3)}
    for aperture in range(3):
        lost = night[8, aperture]
        assert (lost.flux, lost.flux_error) == (None, None)
        assert lost.flag == Flag.MISSING | Flag.EDGE


def test_fluxes_are_those_of_the_shifted_stars(night: dict[tuple[int, int], Flux]) -> None:
    """A Moffat of beta 3 and FWHM 3 px has 88 % within 4 px; a Kron ellipse of 4.2 px has a little more."""
    for star in range(6):
        found = [night[star, aperture].flux / FLUX[star] for aperture in range(3)]
        assert found[0] == pytest.approx(0.88, abs=0.02)
        assert found[1] == pytest.approx(0.75, abs=0.02)
        assert found[2] == pytest.approx(0.90, abs=0.02)
        assert found[2] > found[0]


def test_flags_of_the_template_go_to_the_fluxes(night: dict[tuple[int, int], Flux]) -> None:
    assert [night[star, 0].flag for star in range(6)] == [0, 0, 0, Flag.BLENDED, 0, 0]
    assert night[6, 0].flag == 0, "2 % of a neighbour's light"
    assert night[7, 0].flag == Flag.CROWDED
    assert night[7, 1].flag == Flag.CROWDED


def test_the_curve_of_growth_is_kept(tmp_path: Path) -> None:
    context, sessions = make(tmp_path / "b", 0.0)
    found = fluxes(context, sessions)
    with sessions() as session:
        rows = session.scalars(select(ApertureCorrection).order_by(ApertureCorrection.aperture)).all()
    assert [row.aperture for row in rows] == [0, 1, 2]
    assert all(row.stars == 5 for row in rows), "alone, bright and whole; no blend"
    for row in rows:
        # What lies within 12 px, 99 % of a Moffat's light.
        assert row.correction * found[0, row.aperture].flux == pytest.approx(0.99 * FLUX[0], rel=0.01)
        assert row.correction_error < 0.01 * row.correction


def test_nights_of_two_databases_are_not_mixed_up(tmp_path: Path) -> None:
    """Both have the same PIDs; what is kept of one is never taken for the other."""
    first, sessions = make(tmp_path / "c", 0.0)
    fluxes(first, sessions)
    second, others = make(tmp_path / "d", 0.0)
    with others.begin() as session:
        session.get_one(SourcePosition, (DETECTION, 1)).x = 60.0
    assert fluxes(second, others)[0, 0].flux < 0.1 * FLUX[0]
