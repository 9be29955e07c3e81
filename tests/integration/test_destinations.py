"""Files that commands write never take the place of what Tianyu keeps, or of what no command wrote."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import make_url, update
from sqlalchemy.orm import Session

from schema.image import DERIVED
from schema.processes import Site
from schema.queries import images
from services.operating.housekeeping.image_kinds import MADE
from tests.integration.command_line import tianyu
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp

WRITERS = {
    "lightcurve --output": ("lightcurve", "--source", "{star}", "--output", "{path}"),
    "lightcurve --plot": ("lightcurve", "--source", "{star}", "--plot", "{path}"),
    "graph": ("graph", "{observation}", "--output", "{path}"),
}
# Commands that write into a folder, and one name that each uses there.
FOLDER_WRITERS = {
    "plot": (("plot", "{observation}", "--source", "{star}", "--output", "{folder}"), "lightcurve.png"),
    "transit": (("transit", "--source", "{star}", "--steps", "200", "--output", "{folder}"), "transit.ecsv"),
    "periods": (("analyze", "--all-nights", "--source", "{star}", "--output", "{folder}"), "{star}_period.png"),
}


@pytest.fixture
def made(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """A night with light curves, in a site whose root is a folder here."""
    monkeypatch.setenv("TIANYU_ROOT", str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    made = made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1))
    session.execute(update(Site).values(root=str(tmp_path / "root")))
    session.commit()
    return made


def frame(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(np.zeros((4, 4), np.uint16)).writeto(path)


def database_file() -> Path:
    return Path(str(make_url(os.environ["TIANYU_DATABASE_URL"]).database))


def raw_frame(path: Path) -> Path:
    frame(path / "raw.fits")
    return path / "raw.fits"


def compressed_frame(path: Path) -> Path:
    image = fits.CompImageHDU(np.zeros((4, 4), np.uint16))
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path / "raw.fits.fz")
    return path / "raw.fits.fz"


def gzip_frame(path: Path) -> Path:
    frame(path / "raw.fits.gz")
    return path / "raw.fits.gz"


def link_to_frame(path: Path) -> Path:
    (path / "lc.csv").symlink_to(raw_frame(path))
    return path / "lc.csv"


def other_database(path: Path) -> Path:
    shutil.copy(database_file(), path / "copy.db")
    return path / "copy.db"


def derived_image_to_be(path: Path) -> Path:
    (path / "root" / "calibrated" / "1").mkdir(parents=True)
    return path / "root" / "calibrated" / "1" / "7.fits"


def settings_file(path: Path) -> Path:
    (path / "tianyu.toml").write_text("max_attempts = 3\n")
    return path / "tianyu.toml"


def photograph(path: Path) -> Path:
    (path / "me.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return path / "me.jpg"


KEPT: dict[str, Callable[[Path], Path]] = {
    "the database": lambda _: database_file(),
    "its log to be": lambda _: Path(f"{database_file()}-journal"),
    "another database": other_database,
    "a frame": raw_frame,
    "a compressed frame": compressed_frame,
    "a frame in gzip": gzip_frame,
    "a link to a frame": link_to_frame,
    "a derived image to be": derived_image_to_be,
    "the settings": settings_file,
    "a photograph": photograph,
}


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("command", WRITERS)
def test_what_is_kept_is_not_replaced(made: MadeUp, tmp_path: Path, command: str, kept: str) -> None:
    path = KEPT[kept](tmp_path)
    before = path.read_bytes() if path.exists() else None
    told = tianyu(*filled(WRITERS[command], made, path))
    assert told.exit_code == 1
    assert f"file {str(path)!r} is not written: " in told.output
    assert "--force" in told.output
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_registered_file_is_not_replaced_by_either_of_its_names(
    made: MadeUp, session: Session, tmp_path: Path
) -> None:
    """Also one that cannot be known by what it holds: it is empty, or text."""
    (tmp_path / "root" / "raw").mkdir()
    for stored in ("raw/one.txt", str(tmp_path / "two.txt")):
        path = tmp_path / "root" / stored
        path.write_text("a frame, says the table")
        images.add_image(session, kind="light", site_id=1, path=stored)
        session.commit()
        told = tianyu("lightcurve", "--source", str(made.variable), "--output", os.path.relpath(path))
        assert told.exit_code == 1
        assert "registered in table image" in told.output
        assert path.read_text() == "a frame, says the table"


@pytest.mark.parametrize("command", FOLDER_WRITERS)
def test_a_frame_in_the_folder_stays(made: MadeUp, tmp_path: Path, command: str) -> None:
    words, name = FOLDER_WRITERS[command]
    [file] = filled((name,), made, tmp_path)
    frame(tmp_path / "results" / file)
    before = (tmp_path / "results" / file).read_bytes()
    told = tianyu(*filled(words, made, tmp_path / "results"))
    assert told.exit_code == 1
    assert f"{file}' is not written: it is a FITS image" in told.output
    assert (tmp_path / "results" / file).read_bytes() == before


@pytest.mark.parametrize("command", WRITERS)
def test_force_replaces(made: MadeUp, tmp_path: Path, command: str) -> None:
    path = raw_frame(tmp_path)
    before = path.read_bytes()
    assert tianyu(*filled(WRITERS[command], made, path), "--force").exit_code == 0
    assert path.read_bytes() != before


@pytest.mark.parametrize("format_name", ["csv", "ecsv", "fits", "votable", "parquet", "lightkurve"])
def test_what_a_command_wrote_it_writes_again(made: MadeUp, tmp_path: Path, format_name: str) -> None:
    words = ("lightcurve", "--observation", "1", "--source", str(made.variable), "--format", format_name)
    for _ in range(2):
        told = tianyu(*words, "--output", "lc", "--plot", "lc.png")
        assert told.exit_code == 0, told.output


def test_a_folder_is_written_again(made: MadeUp, tmp_path: Path) -> None:
    words = filled(FOLDER_WRITERS["plot"][0], made, tmp_path / "root" / "plots" / "1")
    for _ in range(2):
        assert tianyu(*words).exit_code == 0


@pytest.mark.parametrize("command", WRITERS)
def test_a_device_stays_a_device(made: MadeUp, command: str) -> None:
    assert tianyu(*filled(WRITERS[command], made, Path("/dev/null"))).exit_code == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_standard_output_by_its_sign(made: MadeUp) -> None:
    star = ("lightcurve", "--source", str(made.variable))
    assert tianyu(*star, "--output", "-").stdout == tianyu(*star).stdout
    assert tianyu(*star, "--plot", "-").stdout_bytes.startswith(b"\x89PNG")
    assert tianyu("graph", "1", "--output", "-").stdout == tianyu("graph", "1").stdout
    assert not Path("-").exists()


def test_two_files_of_one_name_are_refused(made: MadeUp) -> None:
    told = tianyu("lightcurve", "--source", str(made.variable), "--output", "lc", "--plot", "lc")
    assert told.exit_code == 1
    assert "are both 'lc'" in told.output


def test_all_kinds_of_derived_images_have_protected_folders() -> None:
    assert sorted(DERIVED) == sorted(MADE.derived)


def filled(words: tuple[str, ...], made: MadeUp, path: Path) -> tuple[str, ...]:
    values = {"star": made.variable, "observation": made.observation_id, "path": path, "folder": path}
    return tuple(word.format(**values) for word in words)
