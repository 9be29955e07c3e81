"""Fluxes and limits at places that were asked for, as files of nights: beside the light curves, never among them."""

from pathlib import Path

from sqlalchemy.orm import Session

from schema.light_curve_rows import ApertureChoice
from services.results.lightcurves.export import write_file
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lists.forced_curves import read_forced
from services.results.survey.night_files import forget_elsewhere, night_file
from services.whole_files import make_folder


def forced_file(folder: Path, observation: ObservationFacts) -> Path:
    """Where an observation's file is."""
    return night_file(folder, observation).with_name(f"forced-{observation.observation_id}.parquet")


def write_forced(
    session: Session, observation: ObservationFacts, folder: Path, aperture: ApertureChoice = "best"
) -> tuple[Path | None, int]:
    """Write the observation's file in place of its earlier one; the file, None where there are no points, and these.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    found = read_forced(session, [], [observation], aperture).table
    if not len(found):
        return None, 0
    path = forced_file(folder, observation)
    make_folder(path.parent)
    write_file(found, path, "parquet")
    forget_elsewhere(folder, path)
    return path, len(found)
