"""What a run does with observations that have light curves, and with those that lack masters."""

from collections import Counter
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest

from services.errors import ConfigurationError
from services.ingest.raw_folder import read_folder
from services.operating.modes import Modes
from services.operating.reduction import publish
from services.setup import open_engine
from tests.integration.small_night import Night


def run(night: Night, raw: Path, **modes: Any) -> list[str]:
    """Publish by these modes; returns what was said."""
    said: list[str] = []
    publish(open_engine(night.settings), night.settings, read_folder(raw), said.append, said.append, Modes(**modes))
    return said


def waiting(night: Night) -> Counter[str]:
    return Counter(row[0] for row in night.rows("SELECT command FROM process WHERE status = 'waiting'"))


def test_what_has_light_curves_is_left_or_made_anew_or_refused(processed: Night, raw: Path, tmp_path: Path) -> None:
    night = processed.copy(tmp_path / "work")
    curves, number = night.light_curves(), night.observation()
    other = night.having(detection_threshold=6.0)
    said = run(other, raw, existing="skip")
    assert f"observation {number} has light curves already: left as it is (--existing skip)" in said
    assert not waiting(night)
    with pytest.raises(ConfigurationError, match=rf"observation {number} has light curves already.*--existing error"):
        run(other, raw, existing="error")
    assert not waiting(night)
    run(night, raw)
    assert not waiting(night), "nothing is missing"
    run(night, raw, existing="overwrite")
    assert waiting(night)["calibrate"] == waiting(night)["extract"] == 8
    assert night.light_curves() == curves, "until the new ones are made"


def test_an_interrupted_night_goes_on_whatever_the_mode(raw: Path, tmp_path: Path) -> None:
    night = Night.open(tmp_path / "work")
    run(night, raw, existing="error")
    published = waiting(night)
    assert published["extract"] == 8
    for existing in ("skip", "error", "overwrite"):
        run(night, raw, existing=existing)
        assert waiting(night) == published


def test_what_lacks_masters_is_skipped_or_ends_the_run(raw: Path, tmp_path: Path) -> None:
    lights = Path(copytree(raw, tmp_path / "raw", ignore=ignore_patterns("dark*")))
    night = Night.open(tmp_path / "work")
    with pytest.raises(ConfigurationError, match=r"has no dark frames.*nothing was published \(--missing error\)"):
        run(night, lights, missing="error")
    said = run(night, lights, missing="skip")
    assert any("no dark frames" in line and "is skipped (--missing skip)" in line for line in said)
    assert not waiting(night)
    run(night.having(without=("dark",)), lights, missing="error")
    assert waiting(night)["extract"] == 8
