"""SExtractor with its default configuration, as a program on this machine."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

NAMES = ("source-extractor", "sex", "sextractor")  # Debian's, the program's own, others'
CONFIGURATION = Path("/usr/share/source-extractor")
TIMEOUT_S = 120


def program() -> str | None:
    """Path of the program; None where it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def extract(image: Path, parameters: Path, catalogue: Path, options: Mapping[str, object]) -> None:
    """Write a FITS catalogue of the columns that the file ``parameters`` names."""
    given = {
        "PARAMETERS_NAME": parameters,
        "FILTER_NAME": CONFIGURATION / "default.conv",
        "STARNNW_NAME": CONFIGURATION / "default.nnw",
        "CATALOG_NAME": catalogue,
        "CATALOG_TYPE": "FITS_1.0",
        "VERBOSE_TYPE": "QUIET",
        **options,
    }
    arguments = [str(text) for name, value in given.items() for text in (f"-{name}", value)]
    command = [str(program()), str(image), "-c", str(CONFIGURATION / "default.sex"), *arguments]
    subprocess.run(command, check=True, timeout=TIMEOUT_S)
