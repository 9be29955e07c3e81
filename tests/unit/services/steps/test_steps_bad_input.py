"""What steps do with files that are damaged and disks that are full."""

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from schema import database, models
from schema.found import Rejection
from schema.image import MASTER_BIAS, FrameNote, Image
from schema.processes import Site
from schema.queries import images
from services.choices import Choices
from services.deployment import Deployment
from services.errors import ConfigurationError, DataError, TransientError
from services.image_store import open_store
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.flats import CALIBRATE_FLAT, COMBINE_FLAT, CalibrateFlatParameters, CombineFlatParameters
from services.steps.shared.step import AnyStep, Context, Outputs, Parameters
from services.steps.stack_master import STACK_BIAS, StackMasterParameters

SHAPE = (100, 120)
PID = 7


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def sessions(tmp_path: Path, root: Path) -> Iterator[sessionmaker[Session]]:
    root.mkdir()
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    with database.session_factory(engine).begin() as session:
        session.add(Site(name="local", root=str(root)))
    yield database.session_factory(engine)
    engine.dispose()


@pytest.fixture
def context(sessions: sessionmaker[Session], root: Path) -> Context:
    return Context(PID, 1, None, sessions, open_store(root), Deployment(root=root), Choices())


def sky(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 10, SHAPE).astype(np.uint16)


def add(context: Context, name: str, pixels: np.ndarray, kind: str = "light", **more: Any) -> int:
    """Write a frame and register it."""
    root = context.deployment.root
    fits.writeto(root / name, pixels)
    with context.reading.begin() as session:
        values: dict[str, Any] = {
            "kind": kind,
            "site_id": 1,
            "path": name,
            "ny": SHAPE[0],
            "nx": SHAPE[1],
            "exposure_s": 0.0,
        } | more
        return images.add_image(session, **values)


def run(context: Context, step: AnyStep, parameters: Parameters) -> Outputs:
    return step.start(context, parameters.model_dump_json())


def image(context: Context, name: str) -> Image:
    with context.reading() as session:
        return session.scalars(select(Image).where(Image.path == name)).one()


def rejections(context: Context, name: str) -> list[tuple[str | None, int | None]]:
    """Reason and process of each."""
    of_frame = select(Rejection.reason, Rejection.pid).where(Rejection.image_id == image(context, name).image_id)
    with context.reading() as session:
        return [(row.reason, row.pid) for row in session.execute(of_frame)]


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As on a full disk, the kernel refuses to write on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_transient_and_leaves_no_half_file(context: Context, root: Path) -> None:
    frame = add(context, "a.fits", sky(1))
    with (
        files_no_larger_than(20_000),
        pytest.raises(TransientError, match=r"calibrated/0/7\.fits' cannot be written.*is the disk full"),
    ):
        run(context, CALIBRATE, CalibrateParameters(frame=frame))
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["a.fits"]
    run(context, CALIBRATE, CalibrateParameters(frame=frame))
    assert (root / "calibrated" / "0" / "7.fits").is_file()


@pytest.mark.parametrize("content", [b"", b"no master", "half"], ids=["empty", "text", "truncated"])
def test_a_damaged_master_is_no_fault_of_the_frame(context: Context, root: Path, content: bytes | str) -> None:
    frame = add(context, "a.fits", sky(1))
    add(context, "bias.fits", sky(2), MASTER_BIAS, pid=5)
    path = root / "bias.fits"
    path.write_bytes(path.read_bytes()[:9000] if isinstance(content, str) else content)
    with pytest.raises(
        ConfigurationError, match=r"master_bias of process 5 is lost.*bias\.fits.*tianyu publish --again"
    ):
        run(context, CALIBRATE, CalibrateParameters(frame=frame, bias=5))


@pytest.mark.parametrize("damage", [0, 2880, 10_000], ids=["all", "header alone", "half"])
def test_a_frame_that_was_cut_is_named(context: Context, root: Path, damage: int) -> None:
    frame = add(context, "a.fits", sky(1))
    path = root / "a.fits"
    path.write_bytes(path.read_bytes()[:damage])
    with pytest.raises(DataError, match=r"a\.fits.*is it (there and )?whole"):
        run(context, CALIBRATE, CalibrateParameters(frame=frame))


def test_a_frame_that_is_no_image_of_the_sky_is_named(context: Context) -> None:
    frame = add(context, "a.fits", np.full(SHAPE, np.nan, np.float32))
    with pytest.raises(DataError, match=r"^frame 'a\.fits': no pixel of the frame is finite"):
        run(context, CALIBRATE, CalibrateParameters(frame=frame))


def test_one_bad_bias_frame_is_left_out_of_the_mean_and_rejected(context: Context, root: Path) -> None:
    frames = [add(context, f"{seed}.fits", sky(seed), "bias") for seed in range(3)]
    frames += [
        add(context, "nan.fits", np.full(SHAPE, np.nan, np.float32), "bias"),
        add(context, "shape.fits", sky(4)[:50], "bias"),
        add(context, "gone.fits", sky(5), "bias"),
    ]
    (root / "gone.fits").unlink()
    last = replace(context, last_attempt=True)  # before it, a file that is gone may come back
    outputs = run(last, STACK_BIAS, StackMasterParameters(kind="bias", frames=tuple(frames), root=True))
    with context.reading.begin() as session:
        outputs(session)
    master = image(context, f"{MASTER_BIAS}/0/{PID}.fits")
    expected = np.mean([sky(seed) for seed in range(3)], axis=0)
    np.testing.assert_allclose(fits.getdata(root / master.path), expected, rtol=1e-6)
    assert master.weight == 3
    for name, reason in (("nan", "no pixel"), ("shape", "120 x 50 pixels"), ("gone", "so it was in each attempt")):
        [(found, pid)] = rejections(context, f"{name}.fits")
        assert pid == PID
        assert reason in (found or "")
    assert rejections(context, "0.fits") == []


def test_a_branch_of_bad_bias_frames_alone_makes_no_image_but_rejects_them(context: Context) -> None:
    frame = add(context, "zero.fits", np.zeros(SHAPE, np.uint16), "bias")
    with context.reading.begin() as session:
        run(context, STACK_BIAS, StackMasterParameters(kind="bias", frames=(frame,), root=False))(session)
    assert len(rejections(context, "zero.fits")) == 1
    with pytest.raises(DataError, match=r"none of 1 bias frames can be used; frame 'zero\.fits': every pixel"):
        run(context, STACK_BIAS, StackMasterParameters(kind="bias", frames=(frame,), root=True))


def test_a_flat_darker_than_the_bias_is_named(context: Context) -> None:
    add(context, "bias.fits", sky(1).astype(np.float32), MASTER_BIAS, pid=5)
    frame = add(context, "flat.fits", sky(2) - np.uint16(500), "flat")
    with pytest.raises(DataError, match=r"flat 'flat\.fits' has mean -499.8 ADU above the bias"):
        run(context, CALIBRATE_FLAT, CalibrateFlatParameters(frame=frame, bias=5))


def combined_flats(context: Context, flats: dict[str, np.ndarray], **facts: Any) -> Image | None:
    """The master flat of frames above a bias of 1000 ADU, by name; None where nothing was made."""
    add(context, "bias.fits", sky(1).astype(np.float32), MASTER_BIAS, pid=5)
    pids = []
    for pid, (name, pixels) in enumerate(flats.items(), 20):
        parameters = CalibrateFlatParameters(frame=add(context, f"{name}.fits", pixels, "flat", **facts), bias=5)
        with context.reading.begin() as session:
            run(replace(context, pid=pid), CALIBRATE_FLAT, parameters)(session)
        pids.append(pid)
    combining = replace(context, pid=90)
    with context.reading.begin() as session:
        COMBINE_FLAT.run(combining, CombineFlatParameters(flats=tuple(pids)))(session)
    with context.reading() as session:
        return images.by_pid(session, 90)


def lit(level: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(level).normal(1000 + level, level**0.5, SHAPE).astype(dtype)


def test_flats_outside_their_limits_are_rejected_and_the_others_make_the_master(context: Context) -> None:
    flats = {"dusk": lit(60_000), "good": lit(30_000), "fine": lit(8_000), "night": lit(900)}
    master = combined_flats(context, flats)
    assert master is not None
    assert (master.weight, master.background) == (2, pytest.approx(19_000, rel=0.01))
    for name, level in (("dusk", "(59|60)..."), ("night", "...")):
        [(reason, pid)] = rejections(context, f"{name}.fits")
        assert re.search(rf"level of {level} ADU above the bias, expected 5000 to 50000\b", reason or "")
        assert pid == 90
    assert rejections(context, "good.fits") == []


def test_of_flats_that_are_all_outside_nothing_is_made(context: Context) -> None:
    assert combined_flats(context, {"a": lit(900), "b": lit(1200)}, saturation=65_535.0) is None
    assert len(rejections(context, "a.fits")) == len(rejections(context, "b.fits")) == 1
    chosen = replace(context, choices=Choices(flat_limits_adu=(500, 1000)), pid=91)
    with context.reading.begin() as session:
        COMBINE_FLAT.run(chosen, CombineFlatParameters(flats=(20, 21)))(session)
    assert [reason for reason, _ in rejections(context, "a.fits")][-1] is None  # taken back
    assert "expected 500 to 1000" in (rejections(context, "b.fits")[-1][0] or "")


def test_flats_that_are_all_saturated_are_as_those_outside(context: Context) -> None:
    full = np.where(lit(60_000) > 60_990, 65_535, 60_000).astype(np.uint16)
    assert np.mean(full == 65_535) > 0.5
    assert combined_flats(context, {"a": full, "b": full}, saturation=65_535.0) is None
    for name in ("a", "b"):
        [(reason, _)] = rejections(context, f"{name}.fits")
        assert "of the pixels are at or above the saturation level 65535" in (reason or "")


def test_a_flat_that_was_scaled_before_is_taken_as_it_is(context: Context) -> None:
    shape = 1 + 0.1 * np.sin(np.arange(SHAPE[1]) / 20) + np.zeros(SHAPE)
    master = combined_flats(context, {"scaled": shape.astype("f4")}, saturation=65_535.0)
    assert master is not None
    np.testing.assert_allclose(fits.getdata(context.deployment.root / master.path), shape / shape.mean(), rtol=1e-5)


def test_counts_that_were_stored_as_negative_ones_are_noted_once(context: Context) -> None:
    pixels = sky(4).astype(np.int16)
    pixels[20:24, 20:24] = -20_000  # 45536
    frame = add(context, "wrapped.fits", pixels)
    for pid in (31, 32):
        with context.reading.begin() as session:
            run(replace(context, pid=pid), CALIBRATE, CalibrateParameters(frame=frame))(session)
    with context.reading() as session:
        notes = session.scalars(select(FrameNote.note).where(FrameNote.image_id == frame)).all()
    assert notes == ["counts above 32767 were stored as negative ones: restored"]
