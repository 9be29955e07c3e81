"""Choices that are told to others name the operator's files, and not where they lie."""

import json

from schema.queries.choices import Stored
from services.choices import Choices
from services.chosen import Chosen, without_folders


def test_files_are_told_by_their_names() -> None:
    told = {
        "catalog_file": "/home/someone/stars/gaia.csv",
        "standard_file": None,
        "use_flat": ["R=/data/flats/flat_R.fits", "/data/flats/flat.fits", "1795989505635758292", "4"],
        "gain": 1.5,
        "solve_radec": "31.0d,46.0d",
    }
    assert without_folders(told) == {
        "catalog_file": "gaia.csv",
        "standard_file": None,
        "use_flat": ["R=flat_R.fits", "flat.fits", "1795989505635758292", "4"],
        "gain": 1.5,
        "solve_radec": "31.0d,46.0d",
    }


def test_what_a_graph_was_published_by_is_told_so() -> None:
    choices = Choices.model_validate({"catalog_file": "/home/someone/gaia.csv", "gain": 1.5})
    chosen = Chosen.of(Stored("1.0", choices.text()))
    assert "/home/someone/gaia.csv" in str(chosen)  # the operator's own commands
    assert chosen.without_folders().choices == {"catalog_file": "gaia.csv", "gain": 1.5}
    assert json.loads(choices.text())["catalog_file"] == "/home/someone/gaia.csv"
