"""Frames that are missing: a disk that is away is waited for, one file that is gone is in the end bad data."""

import errno
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from schema.image import Image
from services import disk, fits_reader
from services.errors import DataError, LostFrameError, SurroundingsError
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.flats import CALIBRATE_FLAT, CalibrateFlatParameters
from services.steps.shared.header_claim import Reference, claim_of
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
        with pytest.raises(SurroundingsError, match=r"raw/night' is away or empty: is the disk mounted"):
            run(context, step, parameters)
    (root / "raw" / "night").rename(root / "mount point") if go is emptied else None
    (root / "elsewhere").rename(root / "raw" / "night")
    run(context, CALIBRATE, CalibrateParameters(frame=frames[0]))


def test_a_file_that_is_gone_is_bad_data_in_the_last_attempt(context: Context, root: Path) -> None:
    frames = add_night(context, root)
    (root / "raw" / "night" / "1.fits").unlink()
    with pytest.raises(LostFrameError, match=r"1\.fits' is gone: its folder is there, with other files"):
        run(context, CALIBRATE, CalibrateParameters(frame=frames[1]))
    with pytest.raises(DataError, match=r"1\.fits' is gone.*so it was in each attempt"):
        run(replace(context, last_attempt=True), CALIBRATE, CalibrateParameters(frame=frames[1]))


def test_the_others_make_the_master_when_one_is_gone_for_good(context: Context, root: Path) -> None:
    frames = add_night(context, root, "bias")
    (root / "raw" / "night" / "1.fits").unlink()
    parameters = StackMasterParameters(kind="bias", frames=tuple(frames), root=True)
    with pytest.raises(LostFrameError):
        run(context, STACK_BIAS, parameters)
    write = run(replace(context, last_attempt=True), STACK_BIAS, parameters)
    with context.reading.begin() as session:
        write(session)
    [(reason, _)] = rejections(context, "raw/night/1.fits")
    assert "so it was in each attempt" in (reason or "")


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Path], None]:
    """Lets what lies in a folder give an error of the system when it is opened; of a file, that alone."""

    def break_down(number: int, place: Path) -> None:
        opened = io.open

        def fail(file: Any, *more: Any, **options: Any) -> Any:
            if isinstance(file, str | Path) and (Path(file) == place or place in Path(file).parents):
                raise OSError(number, "the system says no")
            return opened(file, *more, **options)

        monkeypatch.setattr(io, "open", fail)
        monkeypatch.setattr("builtins.open", fail)

    return break_down


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOTCONN, errno.EHOSTDOWN])
def test_a_disk_that_gives_errors_is_waited_for(
    context: Context, root: Path, unreadable: Callable[[int, Path], None], number: int
) -> None:
    frames = add_night(context, root)
    unreadable(number, root / "raw" / "night")
    with pytest.raises(SurroundingsError, match=r"0\.fits' cannot be read now: .*the system says no"):
        run(replace(context, last_attempt=True), CALIBRATE, CalibrateParameters(frame=frames[0]))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_frame_that_alone_gives_errors_is_bad_data_in_the_last_attempt(
    context: Context, root: Path, unreadable: Callable[[int, Path], None], number: int
) -> None:
    frames = add_night(context, root)
    unreadable(number, root / "raw" / "night" / "1.fits")
    with pytest.raises(LostFrameError, match=r"1\.fits' cannot be read: .*others in its folder can"):
        run(context, CALIBRATE, CalibrateParameters(frame=frames[1]))
    with pytest.raises(DataError, match=r"1\.fits' cannot be read.*so it was in each attempt"):
        run(replace(context, last_attempt=True), CALIBRATE, CalibrateParameters(frame=frames[1]))


def test_a_bad_sector_is_of_one_frame(context: Context, root: Path) -> None:
    """What Linux gives for its own memory's first page: a file that opens, and an error where it is read."""
    frames = add_night(context, root)
    (root / "raw" / "night" / "1.fits").unlink()
    (root / "raw" / "night" / "1.fits").symlink_to("/proc/self/mem")
    with pytest.raises(LostFrameError, match=r"1\.fits' cannot be read: .*others in its folder can"):
        run(context, CALIBRATE, CalibrateParameters(frame=frames[1]))


def test_an_error_in_the_midst_of_the_pixels_is_the_disks(
    context: Context, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems give what came before it, and then say that the file ends."""
    frames = add_night(context, root)
    path = "raw/night/0.fits"
    pixels = context.images.read(path)
    left = 1
    whole = fits_reader._fill

    def short(file: BinaryIO, array: NDArray[Any]) -> None:
        nonlocal left
        left -= 1
        whole(file if left < 0 else io.BytesIO(file.read(array.nbytes - 7)), array)

    monkeypatch.setattr(fits_reader, "_fill", short)
    np.testing.assert_array_equal(context.images.read(path), pixels)  # the disk is well again
    left = 2

    def fail(_: Path) -> None:
        raise OSError(errno.EIO, "the system says no")

    monkeypatch.setattr(disk, "read_through", fail)
    monkeypatch.setattr(disk, "others_can_be_read", lambda _: False)
    with pytest.raises(SurroundingsError, match=r"0\.fits' cannot be read now: .*the system says no"):
        run(context, CALIBRATE, CalibrateParameters(frame=frames[0]))

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "the disk says no")

    monkeypatch.setattr(fits_reader, "_fill", refuse)
    with pytest.raises(SurroundingsError, match=r"0\.fits' cannot be read now: .*the disk says no"):
        run(context, CALIBRATE, CalibrateParameters(frame=frames[0]))


def test_a_derived_image_is_missed_only_with_its_root(context: Context, root: Path) -> None:
    with pytest.raises(SurroundingsError, match="is away or empty"):
        context.images.read("master_bias/1/7.fits")
    with pytest.raises(SurroundingsError, match="is away or empty"):
        context.images.add_cards("master_bias/1/7.fits", {})
    (root / "master_bias").mkdir()
    for use in (context.images.read, lambda path: context.images.add_cards(path, {})):
        with pytest.raises(DataError, match="is it there and whole"):
            use("master_bias/1/7.fits")  # type: ignore[operator]


def test_nothing_is_written_where_the_root_is_away(context: Context, root: Path) -> None:
    """A disk that is mounted later would hide it."""
    root.rmdir()
    with pytest.raises(SurroundingsError, match=r"cannot be written: root folder .* is away"):
        context.images.write("calibrated/1/7.fits", np.zeros((5, 5), np.float32), {}, {})
    assert not root.exists()


def test_a_header_is_waited_for_and_in_the_end_done_without(context: Context, root: Path) -> None:
    add_night(context, root)
    last = replace(context, last_attempt=True)
    (root / "raw" / "night" / "0.fits").rename(root / "elsewhere.fits")
    with pytest.raises(LostFrameError):
        claim_of(context, Reference(Image(path="raw/night/0.fits")), SHAPE)
    assert claim_of(last, Reference(Image(path="raw/night/0.fits")), SHAPE) is None
    away(root)
    with pytest.raises(SurroundingsError):
        claim_of(last, Reference(Image(path="raw/night/0.fits")), SHAPE)
