"""Masters of an observation in lines: which were used, which would be, and why not the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.operating.calibration import Explained


def master_lines(masters: Sequence[Explained], *, refusals: bool) -> Iterator[str]:
    """A line for each kind; with ``refusals`` what the choice says, and a line for each candidate that was refused."""
    for one in masters:
        yield f"{one.kind:<5} {_used(one)}"
        if not refusals:
            continue
        if one.chosen is None:
            yield f"      now none: {one.lacks or 'by choice or by the headers'}"
        elif [used.observation_id for used in one.used] != [one.chosen]:
            process = "" if one.chosen_pid is None else f", process {one.chosen_pid}"
            yield f"      now that of observation {one.chosen}{process}"
        for line in one.says:
            yield f"      {line}"
        if one.others:
            yield f"      fit too, farther away: observation {', '.join(map(str, one.others))}"
        for refused in one.refused:
            yield f"      refused observation {refused.observation_id} of {refused.night}: {refused.why}"


def _used(one: Explained) -> str:
    used = "; ".join(
        f"{used.frames} frames with that of observation {used.observation_id} (process {used.pid})" for used in one.used
    )
    without = f"without, for {one.why_not}" if one.why_not else ""
    return "; ".join(part for part in (used, without) if part) or "no frame is calibrated yet"
