"""What graphs were published by, as people are told it: Tianyu's version, and the choices that are not the defaults."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from schema.queries import choices
from schema.queries.choices import Stored
from services.choices import Choices, said


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

    def __str__(self) -> str:
        told = ", ".join(f"{name} {said(value)}" for name, value in self.choices.items())
        return f"Tianyu {self.version}, {told or 'all choices are defaults'}"


def chosen_by(session: Session, graph_pids: Collection[int]) -> dict[int, tuple[Chosen, ...]]:
    """What each of these graphs was published by: several where parts were taken over or came later, in their order.

    A graph that was published before choices were stored has none.
    """
    found: dict[int, tuple[Chosen, ...]] = dict.fromkeys(graph_pids, ())
    for graph_pid, stored in choices.of_graphs(session, graph_pids):
        found[graph_pid] += (Chosen.of(stored),)
    return found
