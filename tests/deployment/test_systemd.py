"""Units of systemd: systemd itself reads them, and tells how confined they are."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.env import CHECKOUT

UNITS = sorted(one for kind in ("service", "timer") for one in (CHECKOUT / "deploy" / "systemd").glob(f"*.{kind}"))
PROGRAM = "/opt/tianyu/bin/tianyu"
INSTANCES = {"tianyu-consumer@.service": "cpu", "tianyu-watch@.service": "srv-raw-tonight"}
EXPOSURE_MOST = 2.0  # of 10; systemd's own services have 2 to 9
TIMEOUT_S = 60

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not of this machine")


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """The units with a program that is there."""
    found = []
    for unit in UNITS:
        own = tmp_path / unit.name.replace("@.", f"@{INSTANCES.get(unit.name, '')}.")
        own.write_text(unit.read_text().replace(PROGRAM, str(Path(sys.executable).with_name("tianyu"))))
        found.append(own)
    return found


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_units_are_understood(installed: list[Path]) -> None:
    done = analyze("verify", "--man=no", *installed)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if "tianyu" in line]


def test_units_are_confined(installed: list[Path]) -> None:
    for unit in (one for one in installed if one.suffix == ".service"):
        done = analyze("security", "--offline=true", "--no-pager", f"--threshold={10 * EXPOSURE_MOST:.0f}", unit)
        assert done.returncode == 0, done.stdout[-500:]
