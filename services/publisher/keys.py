"""The key of a process: a digest of all that decides its result, so that equal keys stand for equal results.

Pure. A key is known when a graph is published, since it says what a process is given and not what it will find: the
keys of what it needs stand for their results.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from schema.queries.publishing import NewProcess
from services.choices import Choices, canonical
from services.steps import STEPS
from services.steps.base import AnyStep
from services.steps.needs import Each

Keys = dict[int, str]  # by PID


def keys_of(
    processes: Iterable[NewProcess], choices: Choices, frames: Mapping[int, str], known: Mapping[int, str | None]
) -> Keys:
    """Keys of processes that stand behind what they need; one that needs what has no key has none either.

    Args:
        choices: that the processes go by.
        frames: digests of the camera's frames that are named, by image id.
        known: keys of processes that there are already, or that are taken over; None where one is not known. Those
            that are known are given back too.
    """
    keys: Keys = {pid: key for pid, key in known.items() if key is not None}
    values = choices.values()
    for process in processes:
        if process.pid not in known:
            key = _key(process, values, frames, keys)
            if key is not None:
                keys[process.pid] = key
    return keys


def _key(process: NewProcess, choices: Mapping[str, Any], frames: Mapping[int, str], keys: Keys) -> str | None:
    step = STEPS[process.command]
    try:
        told = replaced(step, process.parameters, keys.__getitem__, frames.__getitem__)
        required, optional = (sorted(keys[pid] for pid in pids) for pids in (process.required, process.optional))
    except KeyError:
        return None
    return digest(
        {
            "command": step.command,
            "version": step.version,
            "generation": process.generation,
            "parameters": told,
            "choices": {name: choices[name] for name in step.reads},
            "required": required,
            "optional": optional,
        }
    )


def replaced(
    step: AnyStep, parameters: str, pid: Callable[[int], Any], frame: Callable[[int], Any] = lambda image_id: image_id
) -> dict[str, Any]:
    """Parameters, defaults too, with something else in the place of each PID and of each frame's image id."""
    values: dict[str, Any] = step.parameters.model_validate_json(parameters).model_dump(mode="json")
    pids = {name for need in step.needs for name in (need.into, need.all_into) if name is not None}
    if step.each is Each.TREE:
        pids.add("parents")
    for names, replace in ((pids, pid), ({"frame", "frames"}, frame)):
        for name in names & values.keys():
            value = values[name]
            if value is not None:
                values[name] = [replace(one) for one in value] if isinstance(value, list) else replace(value)
    return values


def frames_told(process: NewProcess) -> list[int]:
    """Image ids of the camera's frames that a process is told."""
    found: list[int] = []
    replaced(STEPS[process.command], process.parameters, lambda pid: pid, found.append)
    return found


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of values that JSON knows, in hexadecimal digits."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()
