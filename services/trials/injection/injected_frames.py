"""The raw frames with the signals in them: headers, types and calibration frames as they were."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pipeline.detector.calibration import guess_saturation
from pipeline.trials.injection import scale_stars
from services.choices import Choices
from services.errors import ConfigurationError, DataError, TransientError
from services.steps.shared.raw_frames import errors_name
from services.trials.injection.plan import Plan
from services.trials.injection.processed_night import ProcessedNight, RawFrame

FRAMES_FOLDER = "frames"
WORK_BYTES = 10  # a pixel of a light frame: calibrated image, its masks, partial stacks and rows
SCALE = ("BSCALE", "BZERO", "BLANK")  # cards of stored numbers
SUMS = ("CHECKSUM", "DATASUM")  # cards that would no longer be true

Progress = Callable[[int, int], None]  # frames written, frames in all


def claim_folder(out_dir: Path) -> Path:
    """Make the output folder, which must be new or empty.

    Raises:
        ConfigurationError: it holds something, or cannot be made.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        held = next(out_dir.iterdir(), None)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigurationError(f"{str(out_dir)!r} is not a folder: choose another one") from error
    except OSError as error:
        raise ConfigurationError(f"folder {str(out_dir)!r} cannot be used: {error.strerror}; choose another") from error
    if held is not None:
        raise ConfigurationError(
            f"folder {str(out_dir)!r} is not empty (it holds {held.name!r}), expected a new or an empty one: "
            "choose another folder"
        )
    return out_dir.resolve()


def require_space(night: ProcessedNight, out_dir: Path) -> None:
    """Make sure that copies and light curves will fit.

    Raises:
        TransientError: they will not.
    """
    needed = sum(frame.size_bytes + WORK_BYTES * frame.shape[0] * frame.shape[1] for frame in night.aligned)
    free = shutil.disk_usage(out_dir).free
    if free < needed:
        raise TransientError(
            f"the disk of {str(out_dir)!r} has {free / 1e6:.0f} MB free, but {len(night.aligned)} frames with signals "
            f"and their light curves need {needed / 1e6:.0f} MB: free some space, or choose a folder on another disk"
        )


def write_frames(
    night: ProcessedNight, plan: Plan, choices: Choices, out_dir: Path, seed: int, progress: Progress | None = None
) -> Path:
    """Write the night's frames with the plan's signals; frames without alignment and calibration frames are linked.

    Returns the folder.

    Raises:
        DataError: a raw frame is missing or not what was registered.
        TransientError: a file cannot be written.
    """
    folder = out_dir / FRAMES_FOLDER
    for number, frame in enumerate(night.frames):
        if progress:
            progress(number, len(night.frames))
        target = folder / frame.copy
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if frame.alignment is None or frame.jd_utc is None:
                target.symlink_to(frame.path.resolve())
                continue
            factor = np.array([signal.flux(np.array([frame.jd_utc]))[0] for signal in plan.signals])
            xy = frame.alignment.to_frame(plan.xy)
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
            _write_frame(frame, target, xy, factor, frame.fwhm or night.fwhm, rng, choices)
        except OSError as error:
            raise TransientError(f"file {str(target)!r} cannot be written: {error}; is the disk full?") from error
    if progress:
        progress(len(night.frames), len(night.frames))
    return folder


def _write_frame(
    frame: RawFrame,
    target: Path,
    xy: NDArray[np.float64],
    factor: NDArray[np.float64],
    fwhm: float,
    rng: np.random.Generator,
    choices: Choices,
) -> None:
    """Scale the stored numbers themselves, so that the header's scale and zero and the type stay."""
    try:
        with fits.open(frame.path, memmap=False, do_not_scale_image_data=True) as hdus:
            hdu: Any = next(hdu for hdu in hdus if hdu.is_image and len(hdu.shape) >= 2)
            header, stored = hdu.header.copy(), np.asarray(hdu.data)
            if hdu is not hdus[0]:
                header.extend(hdus[0].header, unique=True)
    except (OSError, StopIteration, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"frame {str(frame.path)!r} cannot be read: {error}; injection needs the raw frames where they were "
            "registered"
        ) from error
    image = np.squeeze(stored)
    image = image.astype(image.dtype.newbyteorder("="))
    if image.shape != frame.shape:
        raise DataError(f"frame {str(frame.path)!r} is {image.shape}, it was {frame.shape} when it was registered")
    with errors_name(str(frame.path)):
        new = scale_stars(image, xy, factor, fwhm, rng, _untouched(image, header, frame, choices))
    for card in SUMS:
        header.remove(card, ignore_missing=True)
    primary = fits.PrimaryHDU(new.reshape(stored.shape), header)
    for card in SCALE:  # astropy takes new numbers for physical ones, and drops these
        if card in header:
            primary.header[card] = header[card]
    primary.writeto(target, output_verify="silentfix+ignore")


def _untouched(image: NDArray[Any], header: fits.Header, frame: RawFrame, choices: Choices) -> NDArray[np.bool_]:
    """Saturated and blank pixels of stored numbers."""
    level = frame.saturation or choices.saturation
    stored = guess_saturation(image) if level is None else (level - header.get("BZERO", 0)) / header.get("BSCALE", 1)
    full = np.zeros(image.shape, np.bool_) if stored is None else image >= stored
    return full | (image == header["BLANK"]) if "BLANK" in header else full
