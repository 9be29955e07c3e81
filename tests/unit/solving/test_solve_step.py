"""`solve` on a made-up template: what lands in the row and in the header; and coordinates of single frames."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from pipeline.registration.alignment import Alignment
from pipeline.sky.astrometry import SkyWcs
from pipeline.trials.simulation.star_stamps import draw_stars
from schema import database, models
from schema.found import ReferenceFrame
from schema.image import CALIBRATED, TEMPLATE, ImageParent
from schema.observing import Observation, ToldPlace
from schema.queries import images
from schema.skies import PlateSolution
from services.choices import Choices
from services.deployment import Deployment
from services.errors import ConfigurationError, TransientError
from services.image_store import open_store
from services.place_notes import place_notes
from services.sky.solving.solution import Unsolved
from services.sky.solving.solvers import Solvers
from services.steps import solve, solve_later
from services.steps.shared.step import Context
from services.steps.solve import SOLVE, SolveParameters
from services.steps.solve_later import SOLVE_ARCHIVE, SOLVE_INDEX, SolveLaterParameters
from tests.unit.services import made_up
from tests.unit.solving.made_sky import CENTRE, JD_2017, SCALE_ARCSEC, SHAPE, KnownCatalogue, seen, stars_around, truth

TEMPLATE_PID, FRAME_PID, GRAPH, PID = 11, 12, 1, 99
PATH = "template/1/11.fits"
FWHM, NOISE = 2.5, 5.0


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """An observation that knows where it pointed, with a template whose file is not there yet."""
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    sessions: sessionmaker[Session] = database.session_factory(engine)
    with sessions.begin() as session:
        made_up.base_rows(session)
        made_up.add_observation(session)
        observation = session.get_one(Observation, 1)
        observation.ra_deg, observation.dec_deg, observation.pixel_scale_arcsec = CENTRE[0] + 0.3, CENTRE[1], 5.2
        for kind, pid in ((TEMPLATE, TEMPLATE_PID), (CALIBRATED, FRAME_PID)):
            images.add_image(
                session, kind=kind, site_id=1, path=f"{kind}/1/{pid}.fits", observation_id=1, pid=pid, graph_pid=GRAPH,
                ny=SHAPE[0], nx=SHAPE[1], weight=1.0, good=True, fwhm=FWHM, jd_utc=JD_2017,
            )  # fmt: skip
    deployment = Deployment(root=tmp_path, index_dir=tmp_path / "no index files")
    yield Context(PID, GRAPH, 1, sessions, open_store(tmp_path), deployment, Choices(catalog="none"))
    engine.dispose()


def write_template(context: Context, stars: bool = True) -> None:
    image = np.random.default_rng(3).normal(100.0, NOISE, SHAPE).astype(np.float32)
    if stars:
        field = seen(stars_around(), truth())
        image += draw_stars(SHAPE, field.xy[:, 0], field.xy[:, 1], field.flux * 5, FWHM, 3.0)
    context.images.write(PATH, image, {"WEIGHT": np.ones(SHAPE, np.int16)}, {"TIANYUPI": "11"})


def run(context: Context) -> PlateSolution:
    outputs = SOLVE.start(context, SolveParameters(template=TEMPLATE_PID).model_dump_json())
    with context.reading.begin() as session:
        outputs(session)
    with context.reading() as session:
        return session.scalars(select(PlateSolution)).one()


def with_catalogue(monkeypatch: pytest.MonkeyPatch, catalogue: KnownCatalogue) -> None:
    for module in (solve, solve_later):
        monkeypatch.setattr(module, "open_solvers", lambda *_: Solvers((), catalogue, ("no index files",)))


def test_without_any_solver_the_template_is_not_even_read(context: Context) -> None:
    """Its file is not there, so that reading it would be an error."""
    found = run(context)
    assert (found.pid, found.solved, found.wcs) == (PID, False, None)
    assert "no index files in" in (found.reason or "")
    assert "TIANYU_INDEX_DIR" in (found.reason or "")


def test_a_solved_template(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    write_template(context)
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    found, right = run(context), truth()
    assert (found.pid, found.solved, found.solver, found.reason) == (PID, True, "catalogue", None)
    assert (found.ra_deg, found.dec_deg) == pytest.approx(CENTRE, abs=0.2 / 3600)
    # 200 stars, good to 0.14 px each, 200 px from the centre: 5e-5.
    assert found.pixel_scale_arcsec == pytest.approx(SCALE_ARCSEC, rel=1.5e-4)
    assert found.position_angle_deg == pytest.approx(right.position_angle(SHAPE), abs=0.01)
    assert found.radius_deg == pytest.approx(right.radius(SHAPE), rel=1e-4)
    assert found.mirrored is right.mirrored is True
    assert found.sip_degree == 1
    assert found.matches is not None
    assert found.matches > 100
    assert found.rms_arcsec is not None
    assert found.rms_arcsec < 0.3 * SCALE_ARCSEC
    stored = SkyWcs.from_text(found.wcs or "")
    corner = np.array([[0.0, 0.0], [SHAPE[1] - 1.0, SHAPE[0] - 1.0]])
    np.testing.assert_allclose(stored.to_sky(corner), right.to_sky(corner), atol=0.3 / 3600)
    header = fits.getheader(context.deployment.root / PATH)
    assert header["TIANYUPI"] == "11"
    np.testing.assert_allclose(WCS(header).all_pix2world(corner, 0), stored.to_sky(corner), atol=1e-9)


def test_each_place_that_headers_tell_is_tried_and_the_wrong_one_is_named(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The likeliest is 23 degrees off, farther than the second try reaches; the WCS beside it is right."""
    write_template(context)
    places = (("RA, DEC", CENTRE[0] + 34.0), ("CRVAL1, CRVAL2", CENTRE[0]))
    with context.reading.begin() as session:
        session.get_one(Observation, 1).ra_deg = places[0][1]
        for number, (keys, ra) in enumerate(places):
            place = ToldPlace(observation_id=1, number=number, told_by=keys, ra_deg=ra, dec_deg=CENTRE[1])
            session.add(place)
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    found = run(context)
    assert (found.solved, found.solver) == (True, "catalogue"), found.reason
    assert found.ra_deg == pytest.approx(CENTRE[0], abs=0.2 / 3600)
    with context.reading() as session:
        note = " ".join(place_notes(session, [1])[1])
    assert "CRVAL1, CRVAL2 tells so, RA, DEC 23.1 degrees off" in note


@pytest.mark.parametrize(
    ("turned_by", "mirrored", "said"),
    [
        (3.0, True, []),
        (180.0, True, []),  # a German mount on the other side of the meridian
        (-90.0, True, ["degrees east of north, told were"]),
        (0.0, False, ["it is mirrored, told was that it is not"]),
    ],
)
def test_a_camera_that_is_turned_otherwise_than_told_is_noted(
    context: Context, monkeypatch: pytest.MonkeyPatch, turned_by: float, mirrored: bool, said: list[str]
) -> None:
    write_template(context)
    with context.reading.begin() as session:
        observation = session.get_one(Observation, 1)
        observation.position_angle_deg = truth().position_angle(SHAPE) + turned_by
        observation.mirrored = mirrored
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    assert run(context).solved
    with context.reading() as session:
        notes = place_notes(session, [1])[1]
    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))


def test_a_second_attempt_leaves_the_same_file(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    write_template(context)
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    file = context.deployment.root / PATH
    parameters = SolveParameters(template=TEMPLATE_PID).model_dump_json()
    SOLVE.start(context, parameters)
    once = file.read_bytes()
    SOLVE.start(context, parameters)
    assert file.read_bytes() == once


def test_a_template_that_is_not_solved_succeeds_with_the_reason(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_template(context)
    before = (context.deployment.root / PATH).read_bytes()
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    monkeypatch.setattr(solve, "solve_at_once", lambda *_: Unsolved("other stars than any"))
    found = run(context)
    assert (found.solved, found.reason, found.solver, found.wcs) == (False, "other stars than any", None, None)
    assert (context.deployment.root / PATH).read_bytes() == before


def test_a_template_without_stars_succeeds_with_a_reason(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    write_template(context, stars=False)
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    found = run(context)
    assert found.solved is False
    assert "no source above 5.0 sigma" in (found.reason or "") or "stars" in (found.reason or "")


def test_an_outage_is_tried_again_by_the_one_who_asks_the_archive(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`solve` goes on without, so that the frames can be measured."""
    write_template(context)
    catalogue = KnownCatalogue(stars_around(), away=True)
    with_catalogue(monkeypatch, catalogue)
    assert "the archive does not answer" in (run(context).reason or "")
    later = replace(context, pid=PID + 1)
    parameters = SolveLaterParameters(template=TEMPLATE_PID, before=(PID,)).model_dump_json()
    with pytest.raises(TransientError, match="the archive does not answer"):
        SOLVE_ARCHIVE.start(later, parameters)
    catalogue.away = False
    outputs = SOLVE_ARCHIVE.start(later, parameters)
    assert outputs is not None
    with context.reading.begin() as session:
        outputs(session)
    with context.reading() as session:
        found = session.get_one(PlateSolution, later.pid)
        assert found.solved
        assert found.ra_deg == pytest.approx(CENTRE[0], abs=0.2 / 3600)


def test_what_is_solved_is_not_sought_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    write_template(context)
    catalogue = KnownCatalogue(stars_around())
    with_catalogue(monkeypatch, catalogue)
    assert run(context).solved
    catalogue.asked.clear()
    parameters = SolveLaterParameters(template=TEMPLATE_PID, before=(PID,)).model_dump_json()
    for step in (SOLVE_INDEX, SOLVE_ARCHIVE):
        assert step.start(replace(context, pid=PID + 1), parameters) is None
    assert not catalogue.asked


CARDS_OF_TELESCOPES = {
    "a matrix": lambda cards: cards,
    "steps and a rotation": lambda cards: {
        **{key: value for key, value in cards.items() if not key.startswith("CD")},
        "CDELT1": -SCALE_ARCSEC / 3600, "CDELT2": -SCALE_ARCSEC / 3600, "CROTA2": 12.0,
    },
    "steps and a matrix": lambda cards: {
        **{key: value for key, value in cards.items() if not key.startswith("CD")}, "CDELT1": -1.0, "CDELT2": 1.0,
        **{f"PC{i}_{j}": (-1) ** i * cards[f"CD{i}_{j}"] for i in (1, 2) for j in (1, 2)},
    },
}  # fmt: skip


@pytest.mark.parametrize("cards", CARDS_OF_TELESCOPES)
def test_the_reference_frames_own_wcs_is_tried_first(
    context: Context, monkeypatch: pytest.MonkeyPatch, cards: str
) -> None:
    """90 arcsec off, and the header's pointing a quarter of a degree: neither is believed, the stars decide."""
    write_template(context)
    right, file = truth(), context.deployment.root / "raw.fits"
    claim = SkyWcs(right.crpix, (CENTRE[0] + 90 / 3600 / np.cos(np.radians(CENTRE[1])), CENTRE[1]), right.cd)
    written = CARDS_OF_TELESCOPES[cards](claim.cards())  # type: ignore[no-untyped-call]
    fits.PrimaryHDU(np.zeros(SHAPE, np.uint16), fits.Header(list(written.items()))).writeto(file)
    with context.reading.begin() as session:
        frame = images.add_image(session, kind="light", site_id=1, path="raw.fits", observation_id=1)
        calibrated = images.by_pid(session, FRAME_PID)
        assert calibrated is not None
        session.add(ReferenceFrame(image_id=calibrated.image_id, pid=FRAME_PID + 1))
        session.add(ImageParent(image_id=calibrated.image_id, parent_id=frame))
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    found = run(context)
    assert (found.solved, found.solver) == (True, "header")
    assert (found.ra_deg, found.dec_deg) == pytest.approx(CENTRE, abs=0.2 / 3600)


def test_a_template_that_was_deleted_is_named(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    with context.reading.begin() as session:
        template = images.by_pid(session, TEMPLATE_PID)
        assert template is not None
        template.deleted_at = datetime(2024, 3, 5)
    with_catalogue(monkeypatch, KnownCatalogue(stars_around()))
    with pytest.raises(ConfigurationError, match=r"rerun --from stack 1"):
        run(context)


def test_a_frame_gets_the_templates_coordinates_through_its_alignment(context: Context) -> None:
    """Shifted, turned by nearly half a circle and a little smaller: a star's pixel there gives the same place."""
    file = f"{CALIBRATED}/1/{FRAME_PID}.fits"
    context.images.write(file, np.zeros(SHAPE, np.float32), {}, {"TIANYUPI": "12"})
    alignment = Alignment(12.25, -7.5, 179.6, 1.0005, (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, 0.1, 100)
    wcs = truth()
    context.images.add_cards(file, wcs.through(alignment).cards())
    once = (context.deployment.root / file).read_bytes()
    context.images.add_cards(file, wcs.through(alignment).cards())
    assert (context.deployment.root / file).read_bytes() == once
    on_template = np.array([[10.0, 20.0], [600.5, 444.0], [0.0, 499.0]])
    found = WCS(fits.getheader(context.deployment.root / file)).all_pix2world(alignment.to_frame(on_template), 0)
    np.testing.assert_allclose(found, wcs.to_sky(on_template), atol=1e-9)
