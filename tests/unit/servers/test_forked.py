"""A forked program is as one that was started: it says the same, ends the same, and knows nothing of the test."""

import os
from pathlib import Path

import pytest

from tests.forked import run_program, run_started


@pytest.mark.parametrize(
    "words", [("status", "7"), ("status", "--json"), ("consumer", "--group", "none-such"), ("none-such",)], ids=" ".join
)
def test_it_says_what_a_started_one_says(words: tuple[str, ...], ready_sqlite_url: str, tmp_path: Path) -> None:
    environment = os.environ | {"TIANYU_DATABASE_URL": ready_sqlite_url, "TIANYU_ROOT": str(tmp_path)}
    forked, started = run_program(words, environment), run_started(words, environment)
    assert started.stdout + started.stderr
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_it_has_its_own_environment_and_the_current_folder(
    ready_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", "sqlite:///none-such/night.db")  # of the test
    without = {name: value for name, value in os.environ.items() if not name.startswith("TIANYU_")}
    there = without | {"TIANYU_DATABASE_URL": f"sqlite:///{Path(ready_sqlite_url).name}"}  # as the folder has it
    assert "no observations yet" in run_program(("status",), there).stderr
    assert "none-such" in run_program(("status",), os.environ).stderr
