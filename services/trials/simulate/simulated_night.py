"""Writing a whole simulated night into a folder."""

from collections.abc import Callable
from pathlib import Path

from astropy.io import fits

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.truth import make_truth
from services.errors import ConfigurationError, TransientError
from services.log import get_logger
from services.trials.simulate.simulated_frames import Frame, frames_of
from services.trials.simulate.truth_files import SPEC_FILE, spec_text, truth_folder, write_truth
from services.whole_files import whole_file

FITS_SUFFIXES = (".fits", ".fit", ".fts")

Progress = Callable[[int, int], None]  # frames written, frames in all
log = get_logger("simulate")


def simulate(spec: NightSpec, out_dir: Path, progress: Progress | None = None) -> Path:
    """Write the night's frames and truth; returns ``out_dir``.

    The same specification gives the same bytes of pixels. Into a folder of the same specification, an interrupted
    night can be written again.

    Raises:
        ConfigurationError: the specification cannot be met, or the folder holds other frames.
        TransientError: a file cannot be written; it is named, and no half file is left.
    """
    try:
        truth = make_truth(spec)
    except UnusableDataError as error:
        raise ConfigurationError(f"the simulated night is impossible: {error}") from error
    _claim_folder(spec, out_dir)
    write_truth(truth, out_dir)
    frames = list(frames_of(truth, make_detector(spec, spec.generator(Stream.DETECTOR))))
    for done, frame in enumerate(frames):
        if progress:
            progress(done, len(frames))
        _write_frame(frame, out_dir)
    if progress:
        progress(len(frames), len(frames))
    log.info("night simulated", folder=str(out_dir), frames=len(frames), stars=int(truth.stars.id.size))
    return out_dir


def _claim_folder(spec: NightSpec, out_dir: Path) -> None:
    """Make the folder, or make sure that what it holds is this very night."""
    spec_path = truth_folder(out_dir) / SPEC_FILE
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        frames = [path.name for path in out_dir.iterdir() if path.suffix.lower() in FITS_SUFFIXES]
        same = spec_path.exists() and spec_path.read_bytes() == spec_text(spec).encode()
        if same or not frames:
            truth_folder(out_dir).mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigurationError(f"{str(out_dir)!r} is not a folder: choose another one") from error
    except OSError as error:
        raise TransientError(f"folder {str(out_dir)!r} cannot be used: {error}; is it writable?") from error
    if frames and not same:
        raise ConfigurationError(
            f"folder {str(out_dir)!r} holds {len(frames)} other frames ({min(frames)}, …), "
            "expected an empty one or the same night's: choose another folder"
        )


def _write_frame(frame: Frame, out_dir: Path) -> None:
    hdu = fits.PrimaryHDU(frame.render())
    hdu.header.update(frame.header)
    with whole_file(out_dir / frame.name, TransientError) as path:
        hdu.writeto(path)
