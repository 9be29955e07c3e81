"""The truth of a night in files, written and read."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from astropy.table import Table

from pipeline.trials.simulation.conditions import FrameTable
from pipeline.trials.simulation.gaia_truth import GaiaTable, make_gaia
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.psf import PSFS
from pipeline.trials.simulation.star_field import StarTable
from pipeline.trials.simulation.truth import Truth
from services.errors import DataError, TransientError
from services.whole_files import whole_file

SPEC_FILE, STARS_FILE, FRAMES_FILE, FLUX_FILE = "spec.json", "stars.ecsv", "frames.ecsv", "relative_flux.npy"
GAIA_FILE = "gaia.csv"  # Gaia's column names
STAR_UNITS = {"x": "pix", "y": "pix", "mag": "mag", "period_d": "d", "epoch_jd": "d", "duration_d": "d"} | {
    **{"ra": "deg", "dec": "deg", "g_mag": "mag", "bp_rp": "mag"},
    **{"pm_ra_mas": "mas/yr", "pm_dec_mas": "mas/yr", "parallax_mas": "mas"},
}
FRAME_UNITS = {"jd_mid": "d", "dx": "pix", "dy": "pix", "rotation": "deg", "fwhm": "pix"}

Columns = TypeVar("Columns", StarTable, FrameTable)
Result = TypeVar("Result")


def truth_folder(out_dir: Path) -> Path:
    """Where the truth of the frames in ``out_dir`` lies."""
    return out_dir / "truth"


def write_truth(truth: Truth, out_dir: Path) -> None:
    """Write the truth of a night into ``out_dir``."""
    folder = truth_folder(out_dir)

    with whole_file(folder / SPEC_FILE, TransientError) as path:
        path.write_text(spec_text(truth.spec))
    with whole_file(folder / STARS_FILE, TransientError) as path:
        _write_table(truth.stars, STAR_UNITS, path)
    with whole_file(folder / FRAMES_FILE, TransientError) as path:
        _write_table(truth.frames, FRAME_UNITS, path)
    with whole_file(folder / FLUX_FILE, TransientError) as path, path.open("wb") as file:
        np.save(file, truth.relative_flux, allow_pickle=False)
    write_gaia(make_gaia(truth), folder / GAIA_FILE)


def write_gaia(gaia: GaiaTable, path: Path) -> None:
    """Write a catalogue as a table that `--catalog` takes."""
    names = [field.name for field in fields(gaia)]

    with whole_file(path, TransientError) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(zip(*(getattr(gaia, name).tolist() for name in names), strict=True))


def read_truth(out_dir: Path) -> Truth:
    """The truth of the night in ``out_dir``.

    Raises:
        DataError: a file of the truth is missing or broken; it is named.
    """
    folder = truth_folder(out_dir)
    spec = _read(folder / SPEC_FILE, _read_spec)
    stars = _read(folder / STARS_FILE, lambda path: _read_table(path, StarTable))
    frames = _read(folder / FRAMES_FILE, lambda path: _read_table(path, FrameTable))
    flux = _read(folder / FLUX_FILE, lambda path: np.load(path, allow_pickle=False))
    if flux.shape != (stars.id.size, frames.index.size):
        raise DataError(
            f"file {str(folder / FLUX_FILE)!r} has the shape {flux.shape}, expected {stars.id.size} stars by "
            f"{frames.index.size} frames as in the tables beside it; simulate the night again"
        )
    return Truth(spec, stars, frames, flux)


def spec_text(spec: NightSpec) -> str:
    """The specification as it is kept."""
    return json.dumps(asdict(spec), indent=1) + "\n"


def _write_table(columns: StarTable | FrameTable, units: Mapping[str, str], path: Path) -> None:
    table = Table({field.name: getattr(columns, field.name) for field in fields(columns)})
    for name, unit in units.items():
        table[name].unit = unit
    table.write(path, format="ascii.ecsv", overwrite=True)


def _read(path: Path, load: Callable[[Path], Result]) -> Result:
    try:
        return load(path)
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"file {str(path)!r} is not the truth of a simulated night: {error}; simulate the night again"
        ) from error


def _read_spec(path: Path) -> NightSpec:
    found = json.loads(path.read_text())
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    shape = dict(found["psf"])
    return NightSpec(**values | {"psf": PSFS[shape.pop("kind")](**shape)})


def _read_table(path: Path, kind: type[Columns]) -> Columns:
    table = Table.read(path, format="ascii.ecsv")
    return kind(**{field.name: np.asarray(table[field.name]) for field in fields(kind)})
