"""Master files that are given are read by the operator's own dialects, as frames are."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema import database, models
from schema.observing import Observation
from schema.processes import Site
from services.errors import ConfigurationError
from services.operating.master_files import register_files
from services.settings import Settings
from tests.unit.ingest.made_frames import write

OWN = 'about = "mine"\nrecognised = [{ INSTRUME = "mine" }]\n[keywords]\nexposure = ["SHUTTER"]\n'


def registered(session: Session, folder: Path, dialects: Path | None) -> list[str]:
    dark = str(folder / "dark.fits")
    return register_files(session, Settings(root=folder, site="here", use_dark=(dark,), dialects=dialects))


def test_a_given_dark_is_read_by_the_operators_dialect(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    write(tmp_path / "dark.fits", np.full((20, 30), 900, np.uint16), INSTRUME="mine", SHUTTER=30.0)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "mine.toml").write_text(OWN)
    with database.session_factory(engine)() as session:
        session.add(Site(name="here", root=str(tmp_path)))
        session.flush()
        with pytest.raises(ConfigurationError, match="tells no exposure time"):
            registered(session, tmp_path, None)
        [said] = registered(session, tmp_path, tmp_path / "words")
        assert "of 30 s" in said
        assert session.scalars(select(Observation.exposure_s)).all() == [30.0]
    engine.dispose()
