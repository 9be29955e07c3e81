"""A stamp and a Julian date whole hours apart, neither of which says that it is UTC: the sky tells which one is.

Either the stamp is local time, or the Julian date was computed from local time. The clocks are on opposite sides of
Greenwich, so that the header's time zone or the telescope's longitude tells, or whether it was night and the target up,
or what the mount wrote. Where none does, the frames have no time rather than one that may be hours off.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from pipeline.units import HOUR_DEG, SECONDS_PER_DAY, signed_angle
from services.header_reading import Reading
from services.ingest.east_or_west import is_possible
from services.ingest.frame_times import RivalClock
from services.ingest.headers import FrameFacts
from services.ingest.place_evidence import PlaceEvidence

# Hours that clocks are ahead of the Sun's mean time: eastern India to western China, summer time in Spain.
A_MINUTE_H = 1.0 / 60.0
LEAST_AHEAD_H, MOST_AHEAD_H = -1.0, 3.5


def with_times_told_apart(frames: Sequence[FrameFacts], reading: Reading) -> list[FrameFacts]:
    """The frames with the time that can be, and a note; in the same order. Those of a camera are judged together."""
    found = list(frames)
    cameras: dict[tuple[str | None, str], list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        if frame.rival is not None:
            cameras[frame.telescope, frame.instrument].append(number)
    for numbers in cameras.values():
        as_read = [frames[number] for number in numbers]
        for number, frame in zip(numbers, _judged(as_read, reading), strict=True):
            found[number] = frame
    return found


def _judged(stamps_local: Sequence[FrameFacts], reading: Reading) -> list[FrameFacts]:
    stamps_utc = [_by_stamp(frame, _rival(frame)) for frame in stamps_local]
    rival = _rival(stamps_local[0])
    is_local = _can_be([_placed(frame, reading) for frame in stamps_local], rival.ahead_h, rival.zone_h)
    is_utc = _can_be([_placed(frame, reading) for frame in stamps_utc], -rival.ahead_h, rival.zone_h)
    if is_local is is_utc:
        return [_without_time(frame, _rival(frame)) for frame in stamps_local]
    return list(stamps_local) if is_local else stamps_utc


def _can_be(frames: Sequence[FrameFacts], clock_h: float, told_h: float | None) -> bool:
    """Whether the frames can have these times, and the local clock be so many hours ahead of UTC, as a zone tells."""
    if told_h is not None and abs(told_h - clock_h) > A_MINUTE_H:
        return False

    def is_zone(east: float) -> bool:
        ahead = signed_angle(clock_h * HOUR_DEG - east) / HOUR_DEG
        return LEAST_AHEAD_H < ahead < MOST_AHEAD_H

    return is_possible(frames, is_zone)


def _placed(frame: FrameFacts, reading: Reading) -> FrameFacts:
    """The frame where the table of its station puts it, if its header does not tell."""
    _, station = reading.names(frame.instrument, frame.telescope or "")
    if frame.place is not None or station is None:
        return frame
    longitude, latitude = reading.station[station].longitude_deg, reading.station[station].latitude_deg
    if longitude is None or latitude is None:
        return frame
    return replace(frame, site_latitude=latitude, place=PlaceEvidence(station, longitude, "letter", longitude))


def _rival(frame: FrameFacts) -> RivalClock:
    assert frame.rival is not None
    return frame.rival


def _by_stamp(frame: FrameFacts, rival: RivalClock) -> FrameFacts:
    """The frame, if its Julian date is of local time."""
    note = f"{rival.julian} is taken for local time, {-rival.ahead_h:+g} h from UTC, by the sky: {rival.stamp} is used"
    middle = rival.start + frame.exposure / 2.0 / SECONDS_PER_DAY
    place = frame.place
    if place is not None and place.clock_offset_s is not None:
        place = replace(place, clock_offset_s=place.clock_offset_s - 3600.0 * rival.ahead_h)
    return replace(frame, start_utc=rival.start, jd_utc=middle, place=place, notes=_instead(frame, rival, note))


def _without_time(frame: FrameFacts, rival: RivalClock) -> FrameFacts:
    note = (
        f"{rival.stamp} and {rival.julian} are {abs(rival.ahead_h):g} h apart, and nothing tells which is UTC: no time "
        "is used; set clock_offset_h (0 if the former is UTC)"
    )
    notes = _instead(frame, rival, note)
    return replace(frame, start_utc=None, jd_utc=None, time_source=None, day=rival.day, notes=notes)


def _instead(frame: FrameFacts, rival: RivalClock, note: str) -> tuple[str, ...]:
    return tuple(note if one == rival.note else one for one in frame.notes)
