"""In which photometric system a table's g, r, i and z are, and that exports call it by its name."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from pipeline.zero_points.standard_magnitudes import Transformation
from services.errors import ConfigurationError
from services.results.lightcurves.standard import Facts, system_of
from services.sky.catalogue.standard_table import read_standards

PLACES = ("ra=RA", "dec=Dec")


def _origin(folder: Path, band: str, declared: tuple[str, ...], *more: str) -> str:
    """Of a table like ATLAS-REFCAT2 with these of its columns besides places and magnitudes."""
    columns = {"RA": [10.0, 10.1], "Dec": [20.0, 20.1], "V": [14.1, 15.1], "g": [14.0, 15.0], "z": [13.0, 14.0]}
    path = folder / "stars.csv"
    Table(columns | {name: [99.9, 12.0] for name in more}).write(path, format="ascii.csv", overwrite=True)
    found = read_standards(path, (*PLACES, *declared), band, "standard_file")
    assert found is not None
    assert np.isfinite(found.magnitude).all()
    return found.origin


@pytest.mark.parametrize(
    ("band", "declared", "more", "origin"),
    [
        ("g", (), ("rp1", "r1", "r10"), "table-ps1"),
        ("z", (), ("rp1", "r1", "r10"), "table-ps1"),
        ("V", (), ("rp1", "r1", "r10"), "table"),
        ("g", (), ("r1",), "table"),
        ("g", ("system=Pan-STARRS",), (), "table-ps1"),
        ("g", ("system=SDSS",), ("rp1", "r1", "r10"), "table"),
    ],
)
def test_refcat2_is_pan_starrs(
    tmp_path: Path, band: str, declared: tuple[str, ...], more: tuple[str, ...], origin: str
) -> None:
    assert _origin(tmp_path, band, declared, *more) == origin


def test_a_column_of_the_catalogue_is_no_band_before_somebody_says_so(tmp_path: Path) -> None:
    """Its other columns are Gaia's, and V may be anything."""
    path = tmp_path / "gaia.csv"
    Table({"source_id": [1, 2], "V": [14.1, 15.1]}).write(path, format="ascii.csv")
    with pytest.raises(ConfigurationError, match=r"gaia.csv' has a column 'V', .* \"V=V\" if they are and \"V=none\""):
        read_standards(path, (), "V", "catalog_file")
    declared = read_standards(path, ("V=V",), "V", "catalog_file")
    assert declared is not None
    assert declared.magnitude.tolist() == [14.1, 15.1]
    assert read_standards(path, ("V=none",), "V", "catalog_file") is None
    assert read_standards(path, (), "B", "catalog_file") is None
    assert read_standards(path, (), "V", "standard_file") is not None, "which is of standard stars alone"


def test_a_system_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected SDSS or Pan-STARRS"):
        _origin(tmp_path, "g", ("system=Sloan",))


def test_exports_call_the_system_by_its_name() -> None:
    assert system_of("g", "table") == system_of("g", "synthetic") == "SDSS, AB"
    assert system_of("g", "table-ps1") == "Pan-STARRS, AB"
    by = Transformation("g", 0.1, 0.01, 0.8, 0.3, 1.7)
    statement = Facts(by, "table-ps1", None, 0.02, 40).statement("g")
    assert statement.startswith("g (Pan-STARRS, AB) from filter g")
    assert "SDSS" not in statement
