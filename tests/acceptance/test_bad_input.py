"""One night with everything that can be wrong with frames: each is rejected and says why, the rest gives light curves.

The night is registered whole, then damaged behind the registration's back, then run: so both looks at a file are tried.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time, TimeDelta
from numpy.typing import NDArray

from services.trials.simulate import night_spec, simulate
from tests.forked import run_program

Pixels = NDArray[Any]


FRAMES, SIZE = 8, 256
TIMEOUT_S = 240
ODD_NAMES = ("with ' and \" quotes.fits", "new\nline.fits", "ünïcode-星.fits")
UNDECODABLE = b"odd\xff.fits"


@dataclass
class Night:
    """The folder of frames, the working folder, and what the runs said."""

    raw: Path
    workdir: Path
    whole: bytes  # of the frame that was truncated at first
    first: subprocess.CompletedProcess[str]

    def rows(self, query: str, *values: object) -> list[Any]:
        with sqlite3.connect(self.workdir / "tianyu.db") as connection:
            return connection.execute(query, values).fetchall()

    def reason(self, name: str) -> str:
        """Why the frame is rejected."""
        [(good, reason)] = self.rows("SELECT good, reason FROM frame WHERE path = ?", str(self.raw / name))
        assert good == 0, name
        return str(reason)

    def observation(self, target: str) -> int:
        query = "SELECT observation_id FROM observation JOIN target USING (target_id) WHERE kind = 'light' AND name = ?"
        [(observation_id,)] = self.rows(query, target)
        return int(observation_id)

    def light_curves(self, target: str) -> dict[int, int]:
        """Points on good frames by source, in the first aperture."""
        query = (
            "SELECT source_id, COUNT(*) FROM light_curve "
            "WHERE observation_id = ? AND aperture = 0 AND flux_relative IS NOT NULL AND image_good GROUP BY source_id"
        )
        return dict(self.rows(query, self.observation(target)))


def tianyu(*arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIANYU_")}
    environment |= {f"TIANYU_{name.upper()}": str(value) for name, value in settings.items()}
    return run_program(tuple(map(str, arguments)), environment | {"COLUMNS": "1000"}, TIMEOUT_S)


def change(
    path: Path,
    pixels: Callable[[Pixels], Pixels] | None = None,
    *,
    to: Path | None = None,
    minutes: float | None = None,
    **cards: object,
) -> Path:
    """Write a frame again with other pixels, time or header cards, there or as another file."""
    with fits.open(path) as hdus:
        data, header = hdus[0].data.copy(), hdus[0].header.copy()
    data = data if pixels is None else pixels(data)
    if data.dtype.kind == "f":
        del header["BZERO"], header["BSCALE"]
    if minutes is not None:
        header["DATE-OBS"] = (Time(header["DATE-OBS"]) + TimeDelta(60 * minutes, format="sec")).isot
    header.update(cards)
    fits.writeto(to or path, data, header, overwrite=True)
    return to or path


def blank(data: Pixels) -> Pixels:
    """Sky without a star."""
    return np.random.default_rng(5).normal(np.median(data), 10, data.shape).astype(data.dtype)


def zero_columns(data: Pixels) -> Pixels:
    data[:, 100:103] = 0
    return data


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def add_bad_frames(raw: Path) -> bytes:
    """Files that are bad from the start; returns the whole content of the truncated one."""
    frames = sorted(raw.glob("Simulated_R_*.fits"))
    (raw / "text.fits").write_text("This is no frame.\n")
    (raw / "empty.fits").write_bytes(b"")
    change(frames[0], lambda d: d[:200, :180], to=raw / "shape.fits", minutes=0.2)
    change(frames[1], lambda d: np.full(d.shape, np.nan, np.float32), to=raw / "nan.fits", minutes=0.2)
    change(frames[2], np.zeros_like, to=raw / "zero.fits", minutes=0.2)
    change(frames[3], lambda d: np.full_like(d, 65535), to=raw / "saturated.fits", minutes=0.2)
    change(frames[4], blank, to=raw / "blank.fits", minutes=0.2)
    shutil.copy(frames[5], raw / "copy.fits")
    change(frames[5], lambda d: d + 1, to=raw / "sametime.fits")
    for number, name in enumerate(ODD_NAMES):
        change(frames[6], to=raw / name, minutes=0.1 * (number + 1))
    change(frames[6], to=raw / "plain.fits", minutes=0.4).rename(os.fsdecode(os.fsencode(raw) + b"/" + UNDECODABLE))
    change(frames[0], to=raw / "alone.fits", minutes=0.3, OBJECT="Alone")
    change(frames[0], to=raw / "pair 1.fits", minutes=0.4, OBJECT="Pair")
    change(frames[1], to=raw / "pair 2.fits", minutes=0.4, OBJECT="Pair")
    for number in range(3):
        change(frames[number], blank, to=raw / f"starless {number}.fits", OBJECT="Starless")
    change(frames[7], to=raw / "truncated.fits", minutes=0.2)
    whole = (raw / "truncated.fits").read_bytes()
    half(raw / "truncated.fits")
    return whole


def damage(raw: Path) -> None:
    """Damage what is registered."""
    (raw / "gone.fits").unlink()
    half(raw / "cut.fits")
    change(raw / "replaced.fits", lambda d: d[:128, :128])
    half(raw / "bias_002.fits")
    change(raw / "bias_003.fits", lambda d: np.full(d.shape, np.nan, np.float32))
    change(raw / "dark_003.fits", lambda d: np.full_like(d, 65535))
    (raw / "flat_R_003.fits").write_text("This is no flat.\n")
    change(raw / "flat_R_004.fits", lambda d: (300 + np.indices(d.shape).sum(axis=0) % 2).astype(d.dtype))
    change(raw / "flat_R_005.fits", zero_columns)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("bad")
    raw = simulate(night_spec("demo", n_frames=FRAMES, shape=(SIZE, SIZE), n_smeared=0), folder / "raw")
    three = simulate(night_spec("demo", n_frames=6, shape=(128, 128), n_stars=3, n_smeared=0), folder / "three")
    for path in three.glob("*.fits"):
        change(path, to=raw / f"three {path.name}", OBJECT="Three", INSTRUME="SMALLCAM")
    for number, name in enumerate(("gone", "cut", "replaced")):
        change(raw / "Simulated_R_0002.fits", to=raw / f"{name}.fits", minutes=0.1 * (number + 1))
    whole = add_bad_frames(raw)
    workdir = folder / "work"
    workdir.mkdir()
    settings = {"database_url": f"sqlite:///{workdir / 'tianyu.db'}", "root": workdir}
    for arguments in (("init",), ("ingest", raw)):
        done = tianyu(*arguments, **settings)
        assert done.returncode == 0, done.stderr
    damage(raw)
    return Night(raw, workdir, whole, tianyu("run", raw, "--workdir", workdir, "--consumers", 1, "--no-plots"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("truncated.fits", "is truncated"),
        ("text.fits", "cannot be read as FITS"),
        ("empty.fits", "is empty (0 bytes)"),
        ("shape.fits", "is 180 x 200 pixels, most of its observation are 256 x 256"),
        ("nan.fits", "no pixel of the frame is finite"),
        ("zero.fits", "every pixel of the frame is 0"),
        ("saturated.fits", "every pixel of the frame is 65535"),
        ("copy.fits", "has the same content as"),
        (UNDECODABLE.decode(errors="surrogateescape").encode(errors="backslashreplace").decode(), "is not UTF-8"),
        ("gone.fits", "so it was in each attempt"),
        ("cut.fits", "is it whole?"),
        ("replaced.fits", "is 128 x 128 pixels, most of its observation are 256 x 256"),
        ("bias_002.fits", "is it whole?"),
        ("bias_003.fits", "no pixel of the frame is finite"),
        ("dark_003.fits", "every pixel of the frame is 65535"),
        ("flat_R_003.fits", "cannot be read as FITS"),
        ("flat_R_004.fits", "ADU above the bias, expected more than 0"),
    ],
)
def test_a_bad_frame_is_rejected_with_a_reason_that_names_it(night: Night, name: str, words: str) -> None:
    reason = night.reason(name)
    assert words in reason
    assert name in reason.replace("\\\\", "\\")


def test_a_frame_without_stars_is_rejected_when_it_cannot_be_aligned(night: Night) -> None:
    query = "SELECT good, reason FROM frame WHERE kind = 'light' AND reason LIKE ?"
    [(good, reason)] = night.rows(query, f"%{night.raw / 'blank.fits'}%")
    assert good == 0
    assert "no alignment of 0 stars" in reason


def test_the_rest_of_the_night_has_light_curves(night: Night) -> None:
    curves = night.light_curves("Simulated")
    whole = FRAMES + len(ODD_NAMES) + 1  # and the other frame of one time
    query = "SELECT COUNT(image_id) FROM frame WHERE observation_id = ? AND good = 0"
    [(rejected,)] = night.rows(query, night.observation("Simulated"))
    assert rejected <= 2  # the blank frame, which is not among the whole ones, and one that a cloud took
    assert len(curves) >= 20
    assert max(curves.values()) == whole - (rejected - 1)


def test_no_frame_is_lost(night: Night) -> None:
    """Each frame is used, or rejected with a reason."""
    silent = night.rows(
        "SELECT path FROM frame LEFT JOIN image_parent ON parent_id = frame_id "
        "WHERE good IS NOT 0 AND image_parent.image_id IS NULL"
    )
    assert silent == []
    unjudged = night.rows("SELECT path FROM frame WHERE image_id IS NOT NULL AND good IS NULL")
    assert unjudged == []
    assert night.rows("SELECT path FROM frame WHERE good = 0 AND COALESCE(reason, '') = ''") == []


def test_masters_are_made_of_the_good_frames(night: Night) -> None:
    query = (
        "SELECT image.kind, image.weight FROM image JOIN image frame USING (observation_id) "
        "WHERE image.kind LIKE 'master%' AND frame.nx = ? AND frame.pid IS NULL GROUP BY image.image_id"
    )
    assert dict(night.rows(query, SIZE)) == {"master_bias": 3.0, "master_dark": 4.0, "master_flat": 3.0}


@pytest.mark.parametrize(("target", "points"), [("Alone", 1), ("Pair", 2)])
def test_one_or_two_frames_give_what_they_can(night: Night, target: str, points: int) -> None:
    curves = night.light_curves(target)
    assert len(curves) >= 20
    assert max(curves.values()) == points


def test_three_stars_are_enough(night: Night) -> None:
    assert len(night.light_curves("Three")) >= 3


def test_an_observation_without_stars_says_so_and_stops_no_other(night: Night) -> None:
    starless = night.observation("Starless")
    assert night.first.returncode == 1
    [told] = [line for line in night.first.stderr.splitlines() if line.startswith("error:")]
    assert told.startswith(f"error: observation {starless} has no light curves: ")
    assert "none of 3 frames can be the reference: at most 0 stars found" in told
    assert "Traceback" not in night.first.stdout + night.first.stderr
    assert night.light_curves("Starless") == {}


def test_a_frame_that_is_whole_at_last_is_taken_in_by_the_next_run(night: Night) -> None:
    before = max(night.light_curves("Simulated").values())
    (night.raw / "truncated.fits").write_bytes(night.whole)
    tianyu("run", night.raw, "--workdir", night.workdir, "--consumers", 1, "--no-plots")
    path = str(night.raw / "truncated.fits")
    [(kind, good)] = night.rows("SELECT kind, good FROM frame WHERE path = ?", path)
    assert (kind, good) == ("light", 1)
    assert max(night.light_curves("Simulated").values()) == before + 1
    graphs = night.rows(
        "SELECT COUNT(DISTINCT graph_pid) FROM process WHERE observation_id = ?", night.observation("Simulated")
    )
    assert graphs == [(1,)]  # which the frame joins


def test_calibration_frames_alone_give_no_light_curves(night: Night, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in night.raw.glob("bias_00[145].fits"):
        shutil.copy(path, raw)
    done = tianyu("run", raw, "--workdir", tmp_path / "work", "--consumers", 1)
    assert done.returncode == 1
    assert "light frames are needed, calibration frames alone give no light curves" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
