"""What graphs were published by, as people are told it: Tianyu's version, and the choices that are not the defaults."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from sqlalchemy.orm import Session

from schema.queries import choices
from schema.queries.choices import Stored
from services.choices import GIVEN_MASTERS, Choices, apart, said

FILES = ("catalog_file", "standard_file", *GIVEN_MASTERS)  # choices that may name files


@dataclass(frozen=True)
class Chosen:
    """``choices``: by name, as JSON has them; those alone that differ from the defaults of this version."""

    version: str
    choices: dict[str, Any]

    @classmethod
    def of(cls, stored: Stored) -> "Chosen":
        """From a row."""
        defaults = Choices().values()
        values: dict[str, Any] = json.loads(stored.choices)
        return cls(
            stored.version,
            {name: value for name, value in values.items() if name not in defaults or value != defaults[name]},
        )

    def without_folders(self) -> "Chosen":
        """As it is told to others: of the operator's files their names alone."""
        return Chosen(self.version, without_folders(self.choices))

    def __str__(self) -> str:
        told = ", ".join(f"{name} {said(value)}" for name, value in self.choices.items())
        return f"Tianyu {self.version}, {told or 'all choices are defaults'}"


def without_folders(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Choices by name, with files by their names alone: where they lie on a machine is nobody else's business."""
    return {name: _named(value) if name in FILES else value for name, value in choices.items()}


def _named(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_named(one) for one in value]
    if not isinstance(value, str):
        return value
    of_filter, what = apart(value)
    name = PurePath(what).name if "/" in what else what
    return f"{of_filter}={name}" if of_filter else name


def chosen_by(session: Session, graph_pids: Collection[int]) -> dict[int, tuple[Chosen, ...]]:
    """What each of these graphs was published by: several where parts were taken over or came later, in their order.

    A graph that was published before choices were stored has none.
    """
    found: dict[int, tuple[Chosen, ...]] = dict.fromkeys(graph_pids, ())
    for graph_pid, stored in choices.of_graphs(session, graph_pids):
        found[graph_pid] += (Chosen.of(stored),)
    return found
