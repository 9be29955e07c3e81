"""Digests of the camera's frames: what they stand for in the keys of processes."""

from collections.abc import Collection

from sqlalchemy.orm import Session

from schema.queries import capturing, publishing
from schema.queries.frames import registered
from services.steps.shared.told import digest


def digests_of(session: Session, numbers: Collection[int]) -> dict[int, str]:
    """By the frames' numbers: of what ingest registered; of a frame that a process takes, of that process's key.

    So a frame has the same digest before it is taken and after.
    """
    captures = {number for number in numbers if capturing.is_capture(number)}
    facts = registered(session, sorted(set(numbers) - captures))
    keys = publishing.result_keys(session, captures)
    return {image_id: digest({"frame": values}) for image_id, values in facts.items()} | {
        pid: digest({"capture": key}) for pid, key in keys.items()
    }
