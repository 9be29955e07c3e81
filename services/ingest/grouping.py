"""Frames that belong together: observations, keyed by what their frames share."""

import os
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median_low

from services.ingest.dialect import Kind
from services.ingest.headers import FrameFacts
from services.ingest.nights import night_of, nights_of
from services.ingest.target_names import one_target

SAME_EXPOSURE = 0.005  # relative; cameras that report the measured time jitter by less, settings differ by more
TEMPERATURE_GAP_C = 3.0  # coolers hold a tenth of a degree; drifts leave no gap between neighbours
COUNTING_SHARE, MOST_SETTINGS = 0.5, 3  # of a camera's frames of one kind with settings of their own
EXPOSURE_DIGITS = 3  # significant, in the key: the commonest jitter must not name a new observation

__all__ = ["ObservationKey", "group", "night_of"]


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
    setting: str = ""  # of the detector
    reduced: str = ""  # letters of what was taken off before
    geometry: str = ""  # how frames are read out of their files


def group(frames: Sequence[FrameFacts]) -> dict[ObservationKey, list[FrameFacts]]:
    """Group frames into observations, each sorted by time, then name; observations in order of night and kind.

    Nights are told apart from all frames together (see ``nights_of``): give all frames of a folder at once.
    """
    nights = nights_of(frames)
    frames = _with_settings(frames)
    alike: dict[tuple[Kind, str, str, str, str, str, str, str, str, date], list[FrameFacts]] = defaultdict(list)
    for frame in one_target(frames, nights):
        camera = (frame.instrument, frame.telescope or "", frame.binning)
        state = (frame.setting, frame.reduced, frame.read.words if frame.read else "", nights[frame.path])
        alike[frame.kind, frame.target or "", frame.filter or "", *camera, *state].append(frame)
    observations: dict[ObservationKey, list[FrameFacts]] = defaultdict(list)
    for same_camera, members in sorted(alike.items(), key=lambda item: (item[0][-1], item[0])):
        kind, target, filter_name, instrument, telescope, binning, setting, reduced, geometry, night = same_camera
        for exposure, same in _by_exposure(kind, members):
            shared = (instrument, telescope, exposure, binning, night)
            for warmth, alike_warm in _by_temperature(kind, same):
                parts = (", ".join(part for part in (setting, warmth) if part), reduced, geometry)
                key = ObservationKey(kind, target or None, filter_name or None, *shared, *parts)
                observations[key] += alike_warm
    return {key: sorted(members, key=_by_time) for key, members in observations.items()}


def _with_settings(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """The frames, those of a camera whose settings are nearly all different without one: a card there counts frames."""
    settings: dict[Hashable, list[str]] = defaultdict(list)
    for frame in frames:
        settings[_camera(frame)].append(frame.setting)
    most = {camera: max(COUNTING_SHARE * len(told), MOST_SETTINGS) for camera, told in settings.items()}
    counting = {camera for camera, told in settings.items() if len(set(told)) > most[camera]}
    return [replace(frame, setting="") if _camera(frame) in counting else frame for frame in frames]


def _camera(frame: FrameFacts) -> Hashable:
    return frame.kind, frame.instrument, frame.telescope


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


def _by_temperature(kind: Kind, frames: Sequence[FrameFacts]) -> list[tuple[str, list[FrameFacts]]]:
    """Darks apart where the detector's temperatures leave a gap, each with its temperature for the key.

    Where all are of one temperature it is not named; those whose headers do not tell are apart where others are.
    """
    told = [(frame.temperature, frame) for frame in frames if frame.temperature is not None]
    runs: list[list[tuple[float, FrameFacts]]] = []
    for temperature, frame in sorted(told, key=lambda one: one[0]) if kind == "dark" else ():
        if runs and temperature - runs[-1][-1][0] <= TEMPERATURE_GAP_C:
            runs[-1].append((temperature, frame))
        else:
            runs.append([(temperature, frame)])
    if len(runs) < 2:
        return [("", list(frames))]
    untold = [frame for frame in frames if frame.temperature is None]
    parts = [(f"temperature {median_low(t for t, _ in run):.0f}", [frame for _, frame in run]) for run in runs]
    return [*parts, *([("", untold)] if untold else [])]


def _by_time(frame: FrameFacts) -> tuple[bool, float, bytes]:
    return frame.jd_utc is None, frame.jd_utc or 0.0, os.fsencode(frame.path)
