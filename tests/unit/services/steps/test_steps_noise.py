"""From raw calibration frames without facts in their headers to gain, read noise, dark current and flat noise."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy.orm import Session, sessionmaker

from schema import database, models
from schema.image import Image
from schema.queries import images
from services.choices import Choices
from services.deployment import Deployment
from services.image_store import open_store
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.flats import CALIBRATE_FLAT, COMBINE_FLAT, CalibrateFlatParameters, CombineFlatParameters
from services.steps.shared.step import AnyStep, Context, Parameters
from services.steps.stack_master import STACK_BIAS, STACK_DARK, StackMasterParameters
from tests.unit.services import made_up

SHAPE = (512, 512)
GAIN, READ_NOISE, DARK, EXPOSURE_S = 1.7, 9.0, 0.4, 60.0  # e-/ADU, e-, e-/s, s
FLAT_LEVELS = (20_000.0, 26_000.0, 23_000.0)  # ADU
BIAS, DARK_MASTER, FLAT, LIGHT = 10, 20, 40, 50  # PIDs


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    sessions: sessionmaker[Session] = database.session_factory(engine)
    with sessions.begin() as session:
        made_up.base_rows(session)
        assert made_up.add_observation(session) == 1
    yield Context(0, 1, 1, sessions, open_store(tmp_path), Deployment(root=tmp_path), Choices())
    engine.dispose()


def add(context: Context, name: str, kind: str, electrons: np.ndarray, rng: np.random.Generator, **more: object) -> int:
    """A frame of these mean electrons, as the camera writes it."""
    counts = (rng.poisson(electrons) + rng.normal(0.0, READ_NOISE, SHAPE)) / GAIN + 1000.0
    fits.writeto(context.deployment.root / name, np.rint(counts).astype(np.uint16))
    with context.reading.begin() as session:
        return images.add_image(
            session, kind=kind, site_id=1, path=name, observation_id=1, ny=SHAPE[0], nx=SHAPE[1], **more
        )


def run(context: Context, pid: int, step: AnyStep, parameters: Parameters) -> Image:
    """Run a step as process ``pid``; returns the image that it made."""
    outputs = step.start(replace(context, pid=pid), parameters.model_dump_json())
    with context.reading.begin() as session:
        outputs(session)
    with context.reading() as session:
        made = images.by_pid(session, pid)
    assert made is not None
    return made


def masters(context: Context, rng: np.random.Generator, gain: float | None = None) -> tuple[Image, Image, Image]:
    ones = np.ones(SHAPE)
    bias_frames = [add(context, f"b{i}.fits", "bias", 0 * ones, rng, gain=gain) for i in range(2)]
    bias = run(context, BIAS, STACK_BIAS, StackMasterParameters(kind="bias", frames=tuple(bias_frames), root=True))
    dark_frames = [
        add(context, f"d{i}.fits", "dark", DARK * EXPOSURE_S * ones, rng, exposure_s=EXPOSURE_S) for i in range(3)
    ]
    dark = run(
        context,
        DARK_MASTER,
        STACK_DARK,
        StackMasterParameters(kind="dark", frames=tuple(dark_frames), bias=BIAS, root=True),
    )
    response = 1 + 0.01 * rng.standard_normal(SHAPE)
    flats = []
    for number, level in enumerate(FLAT_LEVELS):
        frame = add(context, f"f{number}.fits", "flat", level * GAIN * response, rng, exposure_s=2.0, gain=gain)
        run(context, 30 + number, CALIBRATE_FLAT, CalibrateFlatParameters(frame=frame, bias=BIAS, dark=DARK_MASTER))
        flats.append(30 + number)
    return bias, dark, run(context, FLAT, COMBINE_FLAT, CombineFlatParameters(flats=tuple(flats)))


def test_what_no_header_tells_is_measured(context: Context) -> None:
    """Within 2 % all of it, from two bias frames, three darks and three flats."""
    rng = np.random.default_rng(11)
    bias, dark, flat = masters(context, rng)
    assert bias.background_rms == pytest.approx(np.sqrt((READ_NOISE / GAIN) ** 2 + 1 / 12), rel=0.02)
    assert dark.background == pytest.approx(DARK / GAIN, rel=0.02)
    assert (flat.gain, flat.gain_source) == (pytest.approx(GAIN, rel=0.02), "measured")
    # Photon noise of all electrons, read noise of each flat, and that of two bias frames under all of them.
    electrons = GAIN * np.array(FLAT_LEVELS)
    variance = electrons.sum() + 3 * READ_NOISE**2 + 9 * READ_NOISE**2 / 2
    assert flat.flat_error == pytest.approx(np.sqrt(variance) / electrons.sum(), rel=0.03)

    sky = np.full(SHAPE, 400.0)
    sky[100:103, 100:103] += 4000.0
    frame = add(context, "light.fits", "light", sky + DARK * EXPOSURE_S, rng, exposure_s=EXPOSURE_S, airmass=1.2)
    parameters = CalibrateParameters(frame=frame, bias=BIAS, dark=DARK_MASTER, flat=FLAT)
    image = run(context, LIGHT, CALIBRATE, parameters)
    assert (image.gain, image.gain_source) == (pytest.approx(GAIN, rel=0.02), "measured")
    assert (image.read_noise, image.read_noise_source) == (pytest.approx(READ_NOISE, rel=0.03), "measured")
    assert image.dark_electrons == pytest.approx(DARK * EXPOSURE_S, rel=0.03)
    assert image.flat_error == flat.flat_error
    assert image.airmass == 1.2
    assert image.scintillation is None


def test_a_header_is_believed_and_its_contradiction_told(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(12)
    masters(context, rng, gain=1.0)
    said = capsys.readouterr()  # on either, for other tests may have set up logging
    assert "the measured gain contradicts the header's, which is used" in said.out + said.err
    frame = add(context, "light.fits", "light", np.full(SHAPE, 400.0), rng, exposure_s=EXPOSURE_S, gain=1.0)
    image = run(context, LIGHT, CALIBRATE, CalibrateParameters(frame=frame, bias=BIAS, flat=FLAT))
    assert (image.gain, image.gain_source) == (1.0, "header")


def test_the_mean_of_partial_masters_keeps_the_noise_of_those_that_know_it(context: Context) -> None:
    """A leaf of one bias frame cannot tell its noise; the root still can."""
    rng = np.random.default_rng(13)
    frames = [add(context, f"b{i}.fits", "bias", np.zeros(SHAPE), rng) for i in range(4)]
    run(context, 1, STACK_BIAS, StackMasterParameters(kind="bias", frames=tuple(frames[:3]), root=False))
    lone = run(context, 2, STACK_BIAS, StackMasterParameters(kind="bias", frames=tuple(frames[3:]), root=False))
    root = run(context, 3, STACK_BIAS, StackMasterParameters(kind="bias", parents=(1, 2), root=True))
    assert lone.background_rms is None
    assert root.background_rms == pytest.approx(READ_NOISE / GAIN, rel=0.02)
