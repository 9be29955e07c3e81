"""East or west: what the sign of a folder's longitudes means, by all that its headers say and by the sky itself.

Programs that count longitudes to the west seldom say so. The sign is judged once for all frames of one place: by the
sidereal times, hour angles, altitudes and airmasses that the mount wrote, by the clock, and by whether it was night and
the target was up. A place at which the frames cannot have been taken is not believed at all.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.sky import place_check as check
from pipeline.units import HOUR_DEG
from services.ingest.headers import FrameFacts
from services.ingest.place_evidence import PlaceEvidence

SIDEREAL_TOLERANCE_DEG = 2.0  # 8 min: clocks of mounts, and a stamp at either end of the exposure
ALTITUDE_TOLERANCE_DEG = 4.0  # of the pointing's altitude at another time of the exposure; precession
ZONE_SLACK_DEG = 50.0  # clocks differ from local solar time by up to 3 h (western China) and summer time
CLEARLY = 3.0  # times the tolerance by which the other sign must miss
NIGHT_DEG = -6.0  # altitude of the Sun at which stars are measured
LOW_DEG, WELL_UP_DEG = 15.0, 25.0  # altitudes at which few and most targets are observed
FEW, MOST = 0.02, 0.5  # shares of frames
# How much each kind of evidence counts. The mount computes the first two from the place that it knows.
SIDEREAL, HOUR_ANGLE, SKY, MOUNT, CLOCK, COMMENT = 3.0, 3.0, 3.0, 2.0, 2.0, 2.0
LOW_TARGET, SOFTWARE = 1.0, 1.0
# A minus is seldom written where plus is meant; that it was day there may come of a local time that is taken as UTC.
AS_WRITTEN_PLUS, AS_WRITTEN_MINUS = 0.5, 3.5
LEAST_LONGITUDE_DEG = 0.5  # nearer to Greenwich or to the date line the sign is of no matter

SEEN = {"sun": "the Sun", "target": "the target's altitude"}

Floats = NDArray[np.float64]
Misfit = Callable[[float], Floats]  # of each frame, at an east longitude


@dataclass(frozen=True)
class _Vote:
    by: str
    weight: float
    east: float  # longitude, degrees


@dataclass(frozen=True)
class _Lights:
    """Light frames of one place that have times: float64[t]; NaN where a header does not tell."""

    jd: Floats  # mid-exposure
    half: Floats  # of the exposure, days
    ra: Floats
    dec: Floats
    latitude: float
    evidence: Sequence[PlaceEvidence]

    def of(self, name: str) -> Floats:
        return np.array([getattr(one, name) for one in self.evidence], dtype=np.float64)

    def altitude(self, east: float) -> Floats:
        return check.altitude_deg(self.jd, self.ra, self.dec, east, self.latitude)

    def sun(self, east: float) -> Floats:
        return check.altitude_deg(self.jd, *check.sun(self.jd), east, self.latitude)

    def from_sidereal(self, angle: Floats, east: float) -> Floats:
        """Least difference of sidereal times at the start, the middle and the end of the exposure."""
        times = (self.jd - self.half, self.jd, self.jd + self.half)
        return np.asarray(
            np.min([check.separation_of_angles(angle, check.sidereal_deg(t, east)) for t in times], axis=0)
        )


def is_possible(frames: Sequence[FrameFacts], is_zone: Callable[[float], bool]) -> bool:
    """Whether frames of one place can have been taken then: at night, the target up, as the mount wrote.

    ``is_zone`` tells whether an east longitude fits the clock. A place that is not told excludes nothing.
    """
    frames = [frame for frame in frames if frame.place is not None]
    if not frames or frames[0].place is None:
        return True
    place, lights = frames[0].place, _lights(frames)
    written = _wrapped(place.written)
    longitudes = (written, -written) if place.told_by is None else (place.told_east,)
    return any(is_zone(east) and (lights is None or _agree(lights, east)) for east in longitudes)


def _agree(lights: _Lights, east: float) -> bool:
    return _is_night(lights, east) and not any(
        _median(misfit(east)) > CLEARLY * tolerance for _, _, tolerance, misfit in _kinds(lights)
    )


def judged(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    """The frames with their longitudes positive to the east, and a note where that was not plain; in the same order."""
    places: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        if (one := frame.place) is not None:
            latitude = None if frame.site_latitude is None else round(frame.site_latitude, 2)
            places[frame.telescope, one.key, round(one.written, 2), latitude, one.told_by].append(number)
    found = list(frames)
    for numbers in places.values():
        for number, frame in zip(numbers, _judged_place([frames[i] for i in numbers]), strict=True):
            found[number] = frame
    return found


def _judged_place(frames: Sequence[FrameFacts]) -> list[FrameFacts]:
    evidence = [frame.place for frame in frames if frame.place is not None]
    place, lights = evidence[0], _lights(frames)
    written = _wrapped(place.written)
    east, notes = place.told_east, []
    if place.told_by != "letter" and LEAST_LONGITUDE_DEG < abs(written) < 180.0 - LEAST_LONGITUDE_DEG:
        east, reasons, against = _weighed(_votes(evidence, lights, written), place, written)
        if east != written and reasons:
            notes.append(f"{place.key} is positive to the west, by {', '.join(reasons)}")
        if against:
            notes.append(f"{place.key} is taken for {east:+.3f} degrees east, against {', '.join(against)}")
    problem = None if lights is None else _impossible(lights, east)
    if lights is not None and problem is not None:
        notes.append(
            f"place {lights.latitude:+.3f} {east:+.3f} is not believed, airmass stays unknown: {problem}"
            f"{_by_another_clock(lights, east)}"
        )
    return [_with_place(frame, None if problem else east, notes) for frame in frames]


def _with_place(frame: FrameFacts, east: float | None, notes: Sequence[str]) -> FrameFacts:
    latitude, elevation = (None, None) if east is None else (frame.site_latitude, frame.site_elevation)
    if not notes and (frame.site_longitude, frame.site_latitude, frame.site_elevation) == (east, latitude, elevation):
        return frame
    return replace(
        frame,
        site_longitude=east,
        site_latitude=latitude,
        site_elevation=elevation,
        notes=(*frame.notes, *notes),
    )


def _lights(frames: Sequence[FrameFacts]) -> _Lights | None:
    """None where no light frame has a time, or the latitude is unknown."""
    latitude = frames[0].site_latitude
    some = [
        (frame, frame.jd_utc, frame.place)
        for frame in frames
        if frame.kind == "light" and frame.jd_utc is not None and frame.place is not None
    ]
    if not some or latitude is None:
        return None

    def column(values: list[float | None]) -> Floats:
        return np.array(values, dtype=np.float64)

    return _Lights(
        np.array([jd for _, jd, _ in some]),
        np.array([frame.exposure for frame, _, _ in some]) / 86400.0 / 2.0,
        column([frame.ra_deg for frame, _, _ in some]),
        column([frame.dec_deg for frame, _, _ in some]),
        latitude,
        [place for _, _, place in some],
    )


def _weighed(votes: Sequence[_Vote], place: PlaceEvidence, written: float) -> tuple[float, list[str], list[str]]:
    """(east longitude, the evidence for it, the evidence against it); evidence is told by its name."""
    is_explicit = not 0.0 <= place.written <= 180.0
    weights = {east: sum(vote.weight for vote in votes if vote.east == east) for east in (written, -written)}
    meant = -written if place.is_west_software else written
    weights[meant] += AS_WRITTEN_MINUS if is_explicit else AS_WRITTEN_PLUS
    east = max(weights, key=lambda one: weights[one])
    # A mind that is made up by the sign alone is not told.
    return east, [vote.by for vote in votes if vote.east == east], [vote.by for vote in votes if vote.east != east]


def _votes(evidence: Sequence[PlaceEvidence], lights: _Lights | None, written: float) -> list[_Vote]:
    """Of all that a place's frames say; without ``lights`` neither mount nor sky tell."""
    votes, place = [], evidence[0]
    if place.told_by == "comment":
        votes.append(_Vote("its comment", COMMENT, place.told_east))
    if place.is_west_software:
        votes.append(_Vote("the program that wrote it", SOFTWARE, -written))
    offset = _median(np.array([one.clock_offset_s for one in evidence], dtype=np.float64))
    for east in (written, -written):
        if lights is not None:
            votes += _votes_of_mount(lights, east)
        if _from_zone(east, offset) <= ZONE_SLACK_DEG < _from_zone(-east, offset):
            votes.append(_Vote("the clock's offset from UTC", CLOCK, east))
        if lights is not None:
            votes += _votes_of_sky(lights, east)
    return votes


def _votes_of_mount(lights: _Lights, east: float) -> list[_Vote]:
    return [
        _Vote(by, weight, east)
        for by, weight, tolerance, misfit in _kinds(lights)
        if _median(misfit(east)) <= tolerance and _median(misfit(-east)) > CLEARLY * tolerance
    ]


def _votes_of_sky(lights: _Lights, east: float) -> list[_Vote]:
    if _is_night(lights, east) and (problems := _problems(lights, -east)):
        return [_Vote(" and ".join(SEEN[one] for one in problems), SKY, east)]
    if _median(lights.altitude(east)) > WELL_UP_DEG and _median(lights.altitude(-east)) < LOW_DEG:
        return [_Vote("the target's altitude", LOW_TARGET, east)]
    return []


def _from_zone(east: float, offset_s: float) -> float:
    """Degrees from a longitude to the meridian of a clock's time; NaN, which nothing exceeds, without a clock."""
    return float(check.separation_of_angles(np.array([east]), np.array([offset_s / 3600.0 * HOUR_DEG]))[0])


def _kinds(lights: _Lights) -> list[tuple[str, float, float, Misfit]]:
    """What mounts write: name, weight, tolerance in degrees, and how far each frame's is off at a longitude."""
    sidereal, altitude = lights.of("sidereal"), lights.of("altitude")
    from_airmass = np.degrees(np.arcsin(1.0 / lights.of("airmass")))
    angles = [one.hour_angles or (np.nan,) for one in lights.evidence]
    units = [np.array([one[min(unit, len(one) - 1)] for one in angles]) for unit in (0, 1)]

    def hour_angle(east: float) -> Floats:
        return np.asarray(np.min([lights.from_sidereal(angle + lights.ra, east) for angle in units], axis=0))

    def from_altitude(written: Floats) -> Misfit:
        return lambda east: np.abs(lights.altitude(east) - written)

    return [
        ("the sidereal time", SIDEREAL, SIDEREAL_TOLERANCE_DEG, lambda east: lights.from_sidereal(sidereal, east)),
        ("the hour angle", HOUR_ANGLE, SIDEREAL_TOLERANCE_DEG, hour_angle),
        ("the mount's altitude", MOUNT, ALTITUDE_TOLERANCE_DEG, from_altitude(altitude)),
        ("the header's airmass", MOUNT, ALTITUDE_TOLERANCE_DEG, from_altitude(from_airmass)),
    ]


def _is_night(lights: _Lights, east: float) -> bool:
    sun, altitude = lights.sun(east), lights.altitude(east)
    return bool(np.median(sun) < NIGHT_DEG and np.mean(sun > 0.0) < FEW and not np.mean(altitude < 0.0) >= FEW)


def _problems(lights: _Lights, east: float) -> list[str]:
    """What most of the frames make impossible at a longitude."""
    up, altitude = lights.sun(east) > 0.0, lights.altitude(east)
    known = np.isfinite(altitude)
    found = ["sun"] if np.mean(up) >= MOST else []
    return found + (["target"] if known.any() and np.mean(altitude[known] < 0.0) >= MOST else [])


def _impossible(lights: _Lights, east: float) -> str | None:
    words = {"sun": "the Sun was up", "target": "the target was below the horizon"}
    found = [words[one] for one in _problems(lights, east)]
    return (
        f"{' and '.join(found)} when the frames were taken; is the place, the time or the pointing wrong?"
        if found
        else None
    )


def _by_another_clock(lights: _Lights, east: float) -> str:
    """What a clock's offset from UTC would mend: all whole hours that do, and the one nearest to the longitude."""
    hours = [h for h in range(-12, 15) if h and _is_night(replace(lights, jd=lights.jd - h / 24.0), east)]
    if not hours:
        return ""
    nearest = min(hours, key=lambda one: abs(one - east / HOUR_DEG))
    run = [h for h in hours if all(between in (0, *hours) for between in range(min(h, nearest), max(h, nearest)))]
    return (
        f" It was night and the target up with a clock at UTC{run[0]:+d} to {run[-1]:+d} (by the longitude it is about "
        f"{nearest:+d}): if it is, set clock_offset_h"
    )


def _median(values: Floats) -> float:
    return float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else np.nan


def _wrapped(longitude: float) -> float:
    return (longitude + 180.0) % 360.0 - 180.0
