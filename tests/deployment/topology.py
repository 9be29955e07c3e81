"""What docker-compose.yml says, as Docker Compose itself reads it."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers.env import CHECKOUT

COMPOSE = Path(sys.executable).with_name("docker-compose")
TIMEOUT_S = 60


@cache
def topology() -> dict[str, Any]:
    """The whole file with all profiles, without settings of this machine."""
    environment = {"PATH": os.environ["PATH"], "COMPOSE_DISABLE_ENV_FILE": "1"}
    command = [COMPOSE, "--profile", "*", "config", "--format", "json"]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def our_services() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: one for name, one in topology()["services"].items() if one["image"].startswith("tianyu")}
