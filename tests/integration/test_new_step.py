"""The step that CONTRIBUTING.md adds: one new file and one line of the order are all that it takes."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from services.steps import COMMANDS
from tests.acceptance.programs import Programs
from tests.integration.small_night import FRAMES, simulate_night
from tests.unit.docs.pages import CHECKOUT, blocks

PAGE = CHECKOUT / "CONTRIBUTING.md"
COUNTED = re.compile(r"bright stars .*?stars=(\d+)")
NAMED = re.compile(r"bright stars .*attempt=1 command=count_stars .*observation_id=\d+ pid=\d+ ")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another copy of the program, with the page's step."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(CHECKOUT / "services", folder / "services")
    for package in ("schema", "pipeline"):
        (folder / package).symlink_to(CHECKOUT / package)
    step, order = (block for block in blocks(PAGE, "python") if "COUNT_STARS" in block)
    (folder / "services" / "steps" / "count_stars.py").write_text(step + "\n")
    _add_to_order(folder / "services" / "steps" / "__init__.py", order)
    return folder


def _add_to_order(module: Path, shown: str) -> None:
    """Take the import and the one new line over from the page, to the place where it shows them."""
    imports = next(line for line in shown.splitlines() if line.startswith("from "))
    lines = shown.splitlines()
    [new] = [number for number, line in enumerate(lines) if line.strip() == "COUNT_STARS,"]
    around = "\n".join((lines[new - 1], lines[new + 1])) + "\n"
    text = module.read_text()
    assert text.count(around) == 1, f"the order has no {around!r}"
    text = text.replace(around, "\n".join(lines[new - 1 : new + 2]) + "\n")
    first = text.index("from services")
    module.write_text(f"{text[:first]}{imports}\n{text[first:]}")


def test_a_night_with_the_new_step(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)  # where a program looks for modules first
    raw, workdir = simulate_night(tmp_path / "night"), tmp_path / "work"
    programs = Programs({"PYTHONPATH": str(checkout), "TIANYU_CATALOG": "none"}, tmp_path, of_another_checkout=True)
    run = programs.run("run", str(raw), "--workdir", str(workdir), "--no-plots", "--consumers", "1")
    with sqlite3.connect(workdir / "tianyu.db") as database:
        counted = database.execute("SELECT parameters, status FROM process WHERE command = 'count_stars'").fetchall()
        assert [status for _, status in counted] == ["succeeded"] * FRAMES
        [(number,)] = database.execute("SELECT DISTINCT observation_id FROM process WHERE command = 'extract'")
    assert "count_stars" not in COMMANDS
    said = run.stdout + run.stderr + "".join(path.read_text() for path in workdir.rglob("*.log"))
    assert len(COUNTED.findall(said)) == FRAMES
    assert all(int(stars) > 3 for stars in COUNTED.findall(said))
    assert len(NAMED.findall(said)) == FRAMES

    programs.environment |= {"TIANYU_DATABASE_URL": f"sqlite:///{workdir / 'tianyu.db'}", "TIANYU_ROOT": str(workdir)}
    again = programs.run("rerun", "--from", "count_stars", str(number), "--dry-run").stdout
    assert f"would run again from count_stars: {FRAMES} processes ({FRAMES} count_stars) join graph" in again
    assert f"{FRAMES} count_stars" in programs.run("publish", str(number), "--again", "--dry-run").stdout
    assert "count_stars" in programs.run("status", str(number)).stdout
