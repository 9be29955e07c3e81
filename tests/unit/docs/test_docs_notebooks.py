"""The examples of docs/how-to/notebooks.md run, one after the other, on a night that the program reduces."""

import sys
from pathlib import Path

import pytest

from services.trials.simulate import night_spec, simulate
from tests.integration.small_night import SPEC
from tests.unit.docs.pages import DOCS, blocks

PAGE = DOCS / "how-to" / "notebooks.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(night_spec("demo", **SPEC), tmp_path / "raw" / "20240606_85")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH_TO_TIANYU", str(Path(sys.executable).parent / "tianyu"))
    names: dict[str, object] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block.replace("aper=", "plots=False, aper="), str(PAGE), "exec"), names)
    table = names["table"]
    assert len(table) == 2  # type: ignore[arg-type]
