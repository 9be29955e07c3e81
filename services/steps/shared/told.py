"""What a process is told: its parameters with something else in the place of PIDs and frames. Pure."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from services.choices import canonical
from services.steps.shared.needs import Each
from services.steps.shared.step import AnyStep

FRAMES = frozenset({"frame", "frames"})  # names of parameters that tell numbers of frames


def replaced(
    step: AnyStep,
    parameters: str | Mapping[str, Any],
    pid: Callable[[int], Any],
    frame: Callable[[int], Any] = lambda image_id: image_id,
) -> dict[str, Any]:
    """Parameters, defaults too, with something else in the place of each PID and of each frame's image id."""
    values = dict(told(step, parameters) if isinstance(parameters, str) else parameters)
    for names, replace in ((pids_in(step), pid), (FRAMES, frame)):
        for name in names & values.keys():
            value = values[name]
            if value is not None:
                values[name] = [replace(one) for one in value] if isinstance(value, list) else replace(value)
    return values


def told(step: AnyStep, parameters: str) -> dict[str, Any]:
    """Parameters of a row as data, defaults too."""
    values: dict[str, Any] = step.parameters.model_validate_json(parameters).model_dump(mode="json")
    return values


@cache
def pids_in(step: AnyStep) -> frozenset[str]:
    """Names of parameters that tell PIDs."""
    pids = {name for need in step.needs for name in (need.into, need.all_into) if name is not None}
    return frozenset(pids | {"parents"} if step.each is Each.TREE else pids)


def pids_told(step: AnyStep, values: Mapping[str, Any]) -> Iterator[int]:
    """PIDs in parameters."""
    for name in pids_in(step) & values.keys():
        value = values[name]
        if value is not None:
            yield from value if isinstance(value, list) else (value,)


def key(
    step: AnyStep, parameters: Mapping[str, Any], generation: int, choices: Mapping[str, Any], **waits: Sequence[str]
) -> str:
    """Key of what a step makes of what it is told, where PIDs and frames stand in keys; ``waits``: keys besides."""
    return digest(
        {
            "command": step.command,
            "version": step.version,
            "generation": generation,
            "parameters": parameters,
            "choices": {name: choices[name] for name in step.reads},
            **waits,
        }
    )


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of values that JSON knows, in hexadecimal digits."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()
