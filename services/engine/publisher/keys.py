"""The key of a process: a digest of all that decides its result, so that equal keys stand for equal results.

Pure. A key is known when a graph is published, since it says what a process is given and not what it will find: the
keys of what it needs stand for their results.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from schema.queries.publishing import NewProcess
from services.choices import Choices
from services.steps import STEPS
from services.steps.shared.needs import Wait
from services.steps.shared.step import AnyStep
from services.steps.shared.told import FRAMES, key, pids_told, replaced, told

Keys = dict[int, str]  # by PID


def keys_of(
    processes: Iterable[NewProcess], choices: Choices, frames: Mapping[int, str], known: Mapping[int, str | None]
) -> Keys:
    """Keys of processes that stand behind what they need; one that needs what has no key has none either.

    Args:
        choices: that the processes go by.
        frames: digests of the camera's frames that are named, by their numbers.
        known: keys of processes that there are already, or that are taken over; None where one is not known. Those
            that are known are given back too.
    """
    keys: Keys = {pid: key for pid, key in known.items() if key is not None}
    values = choices.values()
    for process in processes:
        if process.pid not in known:
            of_process = _key(process, values, frames, keys)
            if of_process is not None:
                keys[process.pid] = of_process
    return keys


def _key(process: NewProcess, choices: Mapping[str, Any], frames: Mapping[int, str], keys: Keys) -> str | None:
    step = STEPS[process.command]
    try:
        parameters = replaced(step, told_of(process), keys.__getitem__, frames.__getitem__)
        required, optional = (sorted(keys[pid] for pid in pids) for pids in _waits(step, process))
    except KeyError:
        return None
    return key(step, parameters, process.generation, choices, required=required, optional=optional)


def _waits(step: AnyStep, process: NewProcess) -> tuple[list[int], list[int]]:
    """What it requires and what it waits for besides.

    Masters stand among the latter, as before they were required: what was made with them is the same.
    """
    told = told_of(process)
    masters = {told.get(need.into) for need in step.needs if need.into and need.wait is Wait.WHERE_THERE}
    required = [pid for pid in process.required if pid not in masters]
    return required, [*process.optional, *(pid for pid in process.required if pid in masters)]


def told_of(process: NewProcess) -> Mapping[str, Any]:
    """The parameters as data, defaults too."""
    return told(STEPS[process.command], process.parameters) if process.told is None else process.told


def frames_told(process: NewProcess) -> list[int]:
    """Numbers of the camera's frames that a process is told."""
    if FRAMES.isdisjoint(STEPS[process.command].parameters.model_fields):
        return []
    values = told_of(process)
    return [*(values.get("frames") or ()), *([values["frame"]] if "frame" in values else [])]


def needed(process: NewProcess) -> frozenset[int]:
    """PIDs that a process waits for or is told."""
    if process.needs is not None:
        return process.needs
    return frozenset((*process.required, *process.optional, *pids_told(STEPS[process.command], told_of(process))))
