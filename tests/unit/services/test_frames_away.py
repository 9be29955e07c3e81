"""Frames that are missing: a disk that is away is waited for, one file that is gone is in the end bad data."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest
from astropy.io import fits

from services.errors import DataError, MissingFrameError, TransientError
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.flats import CALIBRATE_FLAT, CalibrateFlatParameters
from services.steps.shared.header_claim import claim_of
from services.steps.shared.step import Context
from services.steps.stack_master import STACK_BIAS, StackMasterParameters
from tests.unit.services.steps.test_steps_bad_input import SHAPE, add, context, rejections, root, run, sessions, sky

__all__ = ["context", "root", "sessions"]


def add_night(context: Context, root: Path, kind: str = "light", n: int = 3) -> list[int]:
    (root / "raw" / "night").mkdir(parents=True)
    return [add(context, f"raw/night/{number}.fits", sky(number), kind) for number in range(n)]


def away(root: Path) -> None:
    (root / "raw" / "night").rename(root / "elsewhere")


def emptied(root: Path) -> None:
    """As a mount point without its disk; what is hidden there says nothing."""
    away(root)
    (root / "raw" / "night").mkdir()
    (root / "raw" / "night" / ".keep").touch()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("go", [away, emptied])
def test_a_folder_that_is_away_is_never_the_frames_fault(context: Context, root: Path, go: object, last: bool) -> None:
    frames = add_night(context, root)
    go(root)  # type: ignore[operator]
    context = replace(context, last_attempt=last)
    for step, parameters in (
        (CALIBRATE, CalibrateParameters(frame=frames[0])),
        (CALIBRATE_FLAT, CalibrateFlatParameters(frame=frames[0])),
        (STACK_BIAS, StackMasterParameters(kind="bias", frames=tuple(frames), root=True)),
    ):
        with pytest.raises(TransientError, match=r"raw/night' is away or empty: is the disk mounted") as raised:
            run(context, step, parameters)
        assert not isinstance(raised.value, MissingFrameError)
    (root / "raw" / "night").rename(root / "mount point") if go is emptied else None
    (root / "elsewhere").rename(root / "raw" / "night")
    run(context, CALIBRATE, CalibrateParameters(frame=frames[0]))


def test_a_file_that_is_gone_is_bad_data_in_the_last_attempt(context: Context, root: Path) -> None:
    frames = add_night(context, root)
    (root / "raw" / "night" / "1.fits").unlink()
    with pytest.raises(TransientError, match=r"1\.fits' is gone: its folder is there, with other files"):
        run(context, CALIBRATE, CalibrateParameters(frame=frames[1]))
    with pytest.raises(DataError, match=r"1\.fits' is gone.*it was missing in each attempt"):
        run(replace(context, last_attempt=True), CALIBRATE, CalibrateParameters(frame=frames[1]))


def test_the_others_make_the_master_when_one_is_gone_for_good(context: Context, root: Path) -> None:
    frames = add_night(context, root, "bias")
    (root / "raw" / "night" / "1.fits").unlink()
    parameters = StackMasterParameters(kind="bias", frames=tuple(frames), root=True)
    with pytest.raises(MissingFrameError):
        run(context, STACK_BIAS, parameters)
    write = run(replace(context, last_attempt=True), STACK_BIAS, parameters)
    with context.reading.begin() as session:
        write(session)
    [(reason, _)] = rejections(context, "raw/night/1.fits")
    assert "missing in each attempt" in (reason or "")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOTCONN, errno.EHOSTDOWN])
def test_errors_of_the_system_pass(context: Context, root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    frames = add_night(context, root)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "the system says no")

    monkeypatch.setattr(fits, "open", fail)
    with pytest.raises(TransientError, match=r"cannot be read now: .*the system says no"):
        run(replace(context, last_attempt=True), CALIBRATE, CalibrateParameters(frame=frames[0]))


def test_a_derived_image_is_missed_only_with_its_root(context: Context, root: Path) -> None:
    with pytest.raises(TransientError, match="is away or empty"):
        context.images.read("master_bias/1/7.fits")
    (root / "master_bias").mkdir()
    with pytest.raises(DataError, match="is it there and whole"):
        context.images.read("master_bias/1/7.fits")


def test_a_header_is_waited_for_and_in_the_end_done_without(context: Context, root: Path) -> None:
    add_night(context, root)
    away(root)
    with pytest.raises(TransientError):
        claim_of(context, "raw/night/0.fits", SHAPE)
    assert claim_of(replace(context, last_attempt=True), "raw/night/0.fits", SHAPE) is None
