"""What a process is told: its parameters with something else in the place of PIDs and frames. Pure."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.choices import canonical
from services.steps.base import AnyStep
from services.steps.needs import Each


def replaced(
    step: AnyStep, parameters: str, pid: Callable[[int], Any], frame: Callable[[int], Any] = lambda image_id: image_id
) -> dict[str, Any]:
    """Parameters, defaults too, with something else in the place of each PID and of each frame's image id."""
    values: dict[str, Any] = step.parameters.model_validate_json(parameters).model_dump(mode="json")
    for names, replace in ((pids_in(step), pid), ({"frame", "frames"}, frame)):
        for name in names & values.keys():
            value = values[name]
            if value is not None:
                values[name] = [replace(one) for one in value] if isinstance(value, list) else replace(value)
    return values


def pids_in(step: AnyStep) -> set[str]:
    """Names of parameters that tell PIDs."""
    pids = {name for need in step.needs for name in (need.into, need.all_into) if name is not None}
    return pids | {"parents"} if step.each is Each.TREE else pids


def key(
    step: AnyStep, told: Mapping[str, Any], generation: int, choices: Mapping[str, Any], **waits: Sequence[str]
) -> str:
    """Key of what a step makes of what it is told, where PIDs and frames stand in keys; ``waits``: keys besides."""
    return digest(
        {
            "command": step.command,
            "version": step.version,
            "generation": generation,
            "parameters": told,
            "choices": {name: choices[name] for name in step.reads},
            **waits,
        }
    )


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of values that JSON knows, in hexadecimal digits."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()
