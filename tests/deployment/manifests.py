"""What the overlays for Kubernetes come to, as kustomize builds them."""

import shutil
import subprocess
from functools import cache
from typing import Any

import yaml

from tests.servers.env import CHECKOUT

OVERLAYS = ("single-node", "cluster")
TIMEOUT_S = 60
KUBECTL = shutil.which("kubectl")

Resource = dict[str, Any]


@cache
def resources(overlay: str) -> tuple[Resource, ...]:
    """All of an overlay."""
    assert KUBECTL is not None
    command = [KUBECTL, "kustomize", CHECKOUT / "deploy" / "kubernetes" / "overlays" / overlay]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def named(overlay: str, kind: str) -> dict[str, Resource]:
    """Those of a kind, by name."""
    return {one["metadata"]["name"]: one for one in resources(overlay) if one["kind"] == kind}


def pods(overlay: str) -> dict[str, Resource]:
    """Specifications of our programs' pods, by name."""
    owners = named(overlay, "Deployment") | named(overlay, "Job")
    return {name: one["spec"]["template"]["spec"] for name, one in owners.items()}
