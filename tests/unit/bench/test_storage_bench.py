"""The bench of storage measures everything that it names, on a small file."""

import subprocess
import sys


def test_each_line_has_figures() -> None:
    command = [sys.executable, "-m", "bench.storage", "--on", "sqlite", "--rows", "3000", "--stars", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    title, _, _, _, *lines = done.stdout.strip().splitlines()
    assert title == "### sqlite, 3,000 fluxes of 20 stars"
    rows = [line.strip("| ").split(" | ") for line in lines]
    names = [row[0] for row in rows]
    for name in ("fluxes in, frame by frame, the last tenth", "fluxes out into arrays", "one star", "one frame"):
        assert any(name in one for one in names), names
    assert all(float(row[1].replace(",", "")) > 0.0 for row in rows)
