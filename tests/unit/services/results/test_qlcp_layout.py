"""QLCP's files have the light curves of the view, and no name from a header leads out of their folder."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from sqlalchemy import update
from sqlalchemy.orm import Session

from schema import database
from schema.observing import Target
from schema.photometry import ReferenceStar
from services.image_store import open_store
from services.results.layouts import qlcp
from services.results.lightcurves.observation_facts import observation_facts
from services.results.lightcurves.reading import read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.plots.roles import read_targets
from tests.unit.services.made_up import MadeUp, add_light_curves, add_observation, base_rows


@pytest.fixture
def made(ready_sqlite_url: str, tmp_path: Path) -> tuple[Session, MadeUp]:
    session = database.session_factory(database.connect(ready_sqlite_url))()
    base_rows(session)
    rng, store = np.random.default_rng(3), open_store(tmp_path)
    made = add_light_curves(session, add_observation(session), rng, n_stars=20, n_frames=24, store=store)
    return session, made


def exported(session: Session, made: MadeUp, folder: Path) -> tuple[qlcp.Catalogue, list[Path], list[str]]:
    observation = observation_facts(session, made.observation_id)
    target = find_source(session, observation, source_id=made.variable)
    catalogue = qlcp.read_catalogue(session, observation, [target])
    written, left_out = qlcp.write_all(session, open_store(folder), catalogue, folder / "red")
    return catalogue, written, left_out


def test_the_files_have_the_light_curves_of_the_view(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    check = int(truth.source_ids[17])
    role = update(ReferenceStar).where(ReferenceStar.source_id == check)
    session.execute(role.values(role="check", is_reference=False))
    catalogue, written, left_out = exported(session, truth, tmp_path)
    assert left_out == []
    assert {path.relative_to(tmp_path / "red").as_posix() for path in written} == set(qlcp.files_of(catalogue))
    red = tmp_path / "red"
    assert (red / "lc_HAT-P-32_R.pdf").read_bytes().startswith(b"%PDF")
    observation = observation_facts(session, truth.observation_id)
    curve = read_light_curve(session, observation, find_source(session, observation, source_id=truth.variable), 1)
    expected = -2.5 * np.log10(curve.values("flux_relative")[curve.usable])
    [text] = red.glob("cali_HAT-P-32_AP9/*_vc00_*.txt")
    magnitude, error = np.loadtxt(text, usecols=(1, 2), unpack=True)
    np.testing.assert_allclose(magnitude, expected, atol=6e-6)
    assert (error > 0).all()
    assert len(list(red.glob("cali_HAT-P-32_AP9/*_chk*.txt"))) == 1
    calibrated = Table.read(red / "cali_HAT-P-32_R.fits", hdu=1)
    found = np.asarray(calibrated["CaliTarget9"]).ravel()
    np.testing.assert_allclose(found[np.isfinite(found)], expected, atol=1e-12)
    stars = Table.read(red / "cata_HAT-P-32_R.fits", hdu=2)
    assert list(stars["Role"][:1]) == ["target"]
    assert set(stars["Role"]) == {"target", "reference", "check"}
    frames = Table.read(red / "cata_HAT-P-32_R.fits", hdu=1)
    assert len(frames) == len(truth.image_ids)
    assert len((red / "offset_HAT-P-32_R.txt").read_text().splitlines()) == len(frames)


def test_no_name_leads_out_of_the_folder(made: tuple[Session, MadeUp], tmp_path: Path) -> None:
    session, truth = made
    session.execute(update(Target).values(name="../../e\x1bvil 星/x"))
    catalogue, written, _ = exported(session, truth, tmp_path)
    assert catalogue.name == "evilx_R"
    assert all(path.resolve().is_relative_to((tmp_path / "red").resolve()) for path in written)


def test_targets_that_the_calibration_was_told_come_first(made: tuple[Session, MadeUp]) -> None:
    session, truth = made
    observation = observation_facts(session, truth.observation_id)
    assert read_targets(session, observation) == []
    named = int(truth.source_ids[9])
    session.execute(update(ReferenceStar).where(ReferenceStar.source_id == named).values(role="target"))
    assert read_targets(session, observation) == [named]
