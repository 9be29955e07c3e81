"""What becomes part of a queue's name or of a path holds nothing that means something there."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.image_store import LocalImageStore
from services.settings import Settings

TRICKS = ["../x", "a/b", "a.b", "a b", "", "-x", "x" * 33, "a\n", "a;b", "é", "a\0"]


@pytest.mark.parametrize("name", TRICKS)
def test_names_of_sites_and_groups_hold_no_other_characters(name: str) -> None:
    for given in ({"site": name}, {"default_group": name}, {"groups": {"detect": name}}):
        with pytest.raises(ValidationError):
            Settings(**given)


def test_paths_of_images_are_made_of_numbers(tmp_path: Path) -> None:
    path = LocalImageStore(tmp_path).derived_path("calibrated", 4, 1795238400000123456)
    assert re.fullmatch(r"calibrated/4/1795238400000123456\.fits", path)
