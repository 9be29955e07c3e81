"""A frame as the telescope's camera gives it, written as FITS: a header that says all that ingest asks of it."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.deployment import TelescopeDeployment
from services.telescope.exposure import TakenExposure, WantedExposure

PART = ".part"
NO_FILE_NAME = re.compile(r"[^A-Za-z0-9+-]+")
LONGEST_NAME = 40  # characters of a target in a file's name
KINDS = {"light": "Light Frame", "bias": "Bias Frame", "dark": "Dark Frame", "flat": "Flat Field"}

Cards = dict[str, tuple[Any, str]]


def file_name(wanted: WantedExposure, pid: int, attempt: int) -> str:
    """Name of the frame that an attempt takes: no two have the same."""
    words = [
        NO_FILE_NAME.sub("_", text).strip("_")[:LONGEST_NAME] for text in (wanted.target or "", wanted.filter or "")
    ]
    what = wanted.kind if wanted.kind != "light" else ""
    return "-".join([word for word in (what, *words) if word] + [f"{pid}-{attempt}.fits"])


def of_process(folder: Path, pid: int) -> dict[int, Path]:
    """Whole frames that attempts of a process have taken, by attempt."""
    name = re.compile(rf"(?:.*-)?{pid}-(\d+)\.fits")
    files = list(folder.iterdir()) if folder.is_dir() else []
    return {int(found[1]): path for path in files if (found := name.fullmatch(path.name))}


def cards_of(wanted: WantedExposure, taken: TakenExposure, devices: TelescopeDeployment, pid: int) -> Cards:
    """Keywords with values and comments; what nobody knows is left out."""
    cards: Cards = {
        "IMAGETYP": (KINDS[wanted.kind], "kind of frame"),
        "DATE-OBS": (taken.start.replace(tzinfo=None).isoformat(timespec="milliseconds"), "start of exposure, UTC"),
        "TIMESYS": ("UTC", "time scale of DATE-OBS"),
        "EXPTIME": (taken.exposure_s, "exposure time, s"),
        "OBJECT": (wanted.target if wanted.kind == "light" else None, "target"),
        "FILTER": (wanted.filter, "filter"),
        "RA": (None if wanted.radec is None else wanted.radec[0], "[deg] where the telescope pointed, ICRS"),
        "DEC": (None if wanted.radec is None else wanted.radec[1], "[deg] where the telescope pointed, ICRS"),
        "INSTRUME": (devices.instrument, "camera"),
        "TELESCOP": (devices.name or None, "telescope"),
        "APTDIA": (
            None if devices.diameter_m is None else devices.diameter_m * 1000.0,
            "[mm] diameter of the telescope",
        ),
        "SITELAT": (devices.latitude_deg, "latitude, degrees north"),
        "SITELONG": (devices.longitude_deg, "longitude, degrees east"),
        "SITEELEV": (devices.elevation_m, "elevation, m"),
        "XBINNING": (wanted.binning, "binning along x"),
        "YBINNING": (wanted.binning, "binning along y"),
        "XPIXSZ": (taken.pixel_size_um, "[um] size of a binned pixel"),
        "YPIXSZ": (taken.pixel_size_um, "[um] size of a binned pixel"),
        "PIXSCALE": (
            None if devices.pixel_scale_arcsec is None else devices.pixel_scale_arcsec * wanted.binning,
            "arcsec a binned pixel",
        ),
        "EGAIN": (taken.electrons_per_adu, "electrons per ADU"),
        # Alone it would be read as electrons per ADU where it is small.
        "CAMGAIN" if taken.electrons_per_adu is None else "GAIN": (taken.gain, "gain as the camera counts it"),
        "OFFSET": (taken.offset, "as the camera counts it"),
        "SATURATE": (taken.saturation_adu, "largest count of the camera, ADU"),
        "CCD-TEMP": (taken.temperature_c, "temperature of the detector, C"),
        "SWCREATE": ("Tianyu", "program that took the frame"),
        "CAPTURE": (str(pid), "process that took the frame"),
    }
    return {name: (value, comment) for name, (value, comment) in cards.items() if value is not None}


def write_frame(path: Path, pixels: NDArray[Any], cards: Cards) -> None:
    """Write a frame so that it is whole on the disk or not there; unsigned counts get their BZERO.

    Raises:
        OSError: the disk is full or away.
    """
    from astropy.io import fits

    hdu = fits.PrimaryHDU(np.ascontiguousarray(pixels))
    hdu.header.update(cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{PART}")
    try:
        with temporary.open("wb") as file:
            hdu.writeto(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path, pid: int) -> None:
    """Remove what killed attempts of a process have half written."""
    for path in folder.glob(f".*{pid}-*.fits{PART}") if folder.is_dir() else ():
        path.unlink(missing_ok=True)
