"""The examples of docs/how-to/notebooks.md run, and then the notebook, on a night that the program reduces."""

import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from services.trials.simulate import night_spec, simulate
from tests.integration.small_night import SPEC
from tests.unit.docs.pages import DOCS, blocks

PAGE = DOCS / "how-to" / "notebooks.md"
NOTEBOOK = DOCS / "notebooks" / "light-curves.ipynb"
PLOTS = 2


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(night_spec("demo", **SPEC), tmp_path / "raw" / "20240606_85")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH_TO_TIANYU", str(Path(sys.executable).parent / "tianyu"))
    names: dict[str, object] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block.replace("aper=", "plots=False, aper="), str(PAGE), "exec"), names)
    table = names["table"]
    assert len(table) == 2  # type: ignore[arg-type]
    monkeypatch.setenv("RESULTS", str(tmp_path / "red" / "20240606_85_red"))
    _require_notebook()


def _require_notebook() -> None:
    """It is kept without outputs, runs as it stands, and shows what it promises."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(shown) == PLOTS
    said = "".join(output.get("text", "") for output in cells[-1].outputs)  # which comes in pieces
    assert said.startswith("0 points")
