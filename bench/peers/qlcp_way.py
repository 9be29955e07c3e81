"""QLCP by its manual: `qlcp.run` with its steps, apertures, the places of all stars, and a check star.

It knows no darks: its manual says to give them in place of the bias frames. It finds stars and measures them by
SExtractor, twice a frame (the first time for the FWHM), and moves frames by whole pixels.
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import qlcp

from bench.peers.scope import Scope, Steps, leave

MATCH_PX = 4.0  # the default, 10, takes neighbours for reference stars
STEPS = {
    "lbf": "masters",
    "i": "calibrate",
    "o": "align",
    "p": "photometry",
    "c": "catalogue",
    "d": "divide, write, draw",
}
FILES = {"bias": "bias-{:04d}.fits", "flat": "flat_R_{:03d}.fits", "lights": "Field_R_{:04d}.fits"}


def raw_folder(scope: Scope, folder: Path) -> Path:
    """Links by names that QLCP reads."""
    folder.mkdir()
    for kind, files in (("bias", scope.dark), ("flat", scope.flat), ("lights", scope.lights)):
        for number, file in enumerate(files, 1):
            (folder / FILES[kind].format(number)).symlink_to(file)
    return folder


def main(scope: Scope, work: Path) -> None:
    raw, steps = raw_folder(scope, work / "raw"), Steps()
    stars = list(range(len(scope.xy)))
    for letters, name in STEPS.items():
        with steps.timed(name):
            qlcp.run(
                str(raw),
                str(work / "red"),
                steps=letters,
                aper=[2 * radius for radius in scope.radii],  # diameters
                alt_coord=tuple(scope.ra_dec),
                starxy=scope.xy,
                match_max_dis=MATCH_PX,
                ind_tgt=stars,
                ind_ref=scope.references,
                ind_chk=scope.references[:1],
            )
    with (work / "red" / "cali_Field_R.pkl").open("rb") as file:
        _, calibrated, apertures, *_ = pickle.load(file)
    magnitudes = [calibrated[f"CaliTarget{name}"].T for name in apertures if name != "AUTO"]
    leave(work, 10 ** (-0.4 * np.stack(magnitudes, axis=2).astype(np.float64)), steps)


if __name__ == "__main__":
    main(Scope.read(Path(sys.argv[1])), Path(sys.argv[2]))
