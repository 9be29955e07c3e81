"""What this machine can solve with, and what it lacks."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.choices import Choices
from services.deployment import Deployment
from services.sky.catalogue import Catalogue, open_catalogue
from services.sky.solving.hints import Hints
from services.sky.solving.index_files import USUAL_FOLDERS, IndexFile, find_index_files
from services.sky.solving.index_solver import installed

INSTALL_FILES = (
    "install index files for the size of the field (Debian: astrometry-data-tycho2) or set TIANYU_INDEX_DIR to a "
    "folder with some"
)
INSTALL_PACKAGE = "install the solver with `pip install 'tianyu[solve]'`"
NAME_POINTING = "say where the telescope pointed with --radec (setting solve_radec)"
NAME_CATALOGUE = "let the catalogue be asked (setting catalog), or name one's own table (catalog_file)"
FETCH = "bring the field's stars here with `tianyu catalog fetch`"
NAME_SCALE = "say the size of a pixel (setting pixel_scale_arcsec)"


@dataclass(frozen=True)
class Solvers:
    """Index files that can be searched (none where the library is missing), and the catalogue."""

    index_files: Sequence[IndexFile]
    catalogue: Catalogue | None
    lacking: tuple[str, ...] = ()  # of the search among index files
    remedies: tuple[str, ...] = ()

    def can_try(self, hints: Hints) -> bool:
        """Could any of it work? The catalogue needs to know where to look."""
        return bool(self.index_files) or (self.catalogue is not None and hints.place is not None)

    def reason(self, hints: Hints, tried: Sequence[str] = ()) -> str:
        """Why a field is not solved."""
        remedies = list(self.remedies)
        lacking = list(self.lacking)
        if self.catalogue is None:
            lacking.append("no catalogue")
            remedies.append(NAME_CATALOGUE)
        elif tried:
            remedies.append(FETCH)
        if hints.place is None:
            remedies.append(NAME_POINTING)
        if hints.scale_arcsec is None and tried:
            remedies.append(NAME_SCALE)
        parts = [f"known beforehand: {hints}"]
        parts += [f"lacking: {', '.join(lacking)}"] if lacking else []
        parts += [f"tried: {'; '.join(tried)}"] if tried else []
        parts += [f"to solve it, {', or '.join(remedies)}"] if remedies else []
        return "; ".join(parts)


def open_solvers(deployment: Deployment, choices: Choices, patience_s: float | None = None) -> Solvers:
    """What the operator names and the machine has: milliseconds where there is nothing.

    patience_s: how long the archive may take for all answers together; None: as long as is set for each.
    """
    files = find_index_files(deployment.index_dir)
    catalogue = open_catalogue(deployment, choices, patience_s)
    if not files:
        where = str(deployment.index_dir) if deployment.index_dir is not None else ", ".join(USUAL_FOLDERS)
        return Solvers((), catalogue, (f"no index files in {where}",), (INSTALL_FILES,))
    if not installed():
        return Solvers((), catalogue, ("the Python package astrometry",), (INSTALL_PACKAGE,))
    return Solvers(files, catalogue)
