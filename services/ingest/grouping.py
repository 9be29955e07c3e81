"""Frames that belong together: observations, keyed by what their frames share."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median_low

from services.ingest.duplicates import find_duplicates
from services.ingest.frame_kinds import Kind
from services.ingest.headers import FrameFacts
from services.ingest.nights import night_of, nights_of

SAME_EXPOSURE = 0.005  # relative; cameras that report the measured time jitter by less, settings differ by more
EXPOSURE_DIGITS = 3  # significant, in the key: the commonest jitter must not name a new observation

__all__ = ["ObservationKey", "find_duplicates", "group", "night_of"]


@dataclass(frozen=True)
class ObservationKey:
    """What the frames of an observation share."""

    kind: Kind
    target: str | None  # light frames
    filter: str | None  # light frames and flats
    instrument: str
    telescope: str  # cameras of one make may stand on several; empty where headers do not tell
    exposure: float | None  # s; None for bias frames and flats, whose exposure times may vary
    binning: str
    night: date


def group(frames: Sequence[FrameFacts]) -> dict[ObservationKey, list[FrameFacts]]:
    """Group frames into observations, each sorted by time, then name; observations in order of night and kind.

    Nights are told apart from all frames together (see ``nights_of``): give all frames of a folder at once.
    """
    nights = nights_of(frames)
    alike: dict[tuple[Kind, str, str, str, str, str, date], list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        camera = (frame.instrument, frame.telescope or "", frame.binning)
        alike[frame.kind, frame.target or "", frame.filter or "", *camera, nights[frame.path]].append(frame)
    observations: dict[ObservationKey, list[FrameFacts]] = defaultdict(list)
    for (kind, target, filter_name, instrument, telescope, binning, night), members in sorted(
        alike.items(), key=lambda item: (item[0][-1], item[0])
    ):
        for exposure, same in _by_exposure(kind, members):
            observation = ObservationKey(
                kind, target or None, filter_name or None, instrument, telescope, exposure, binning, night
            )
            observations[observation] += same
    return {key: sorted(members, key=_by_time) for key, members in observations.items()}


def _by_exposure(kind: Kind, frames: Sequence[FrameFacts]) -> list[tuple[float | None, list[FrameFacts]]]:
    """Frames apart by exposure time, each with its time rounded for the key."""
    if kind in ("bias", "flat"):
        return [(None, list(frames))]
    runs: list[list[FrameFacts]] = []
    for frame in sorted(frames, key=lambda frame: frame.exposure):
        if runs and frame.exposure <= runs[-1][0].exposure * (1.0 + SAME_EXPOSURE):
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return [(float(f"{median_low(f.exposure for f in run):.{EXPOSURE_DIGITS}g}"), run) for run in runs]


def _by_time(frame: FrameFacts) -> tuple[bool, float, bytes]:
    return frame.jd_utc is None, frame.jd_utc or 0.0, os.fsencode(frame.path)
