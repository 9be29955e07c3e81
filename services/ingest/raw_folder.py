"""A folder of frames as its headers tell, before anything is registered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.errors import DataError
from services.frame_bounds import FrameBounds
from services.header_reading import Reading
from services.ingest.colour_planes import in_planes
from services.ingest.dialect_files import Dialects, with_own
from services.ingest.duplicates import find_duplicates
from services.ingest.east_or_west import judged
from services.ingest.file_names import find_frames
from services.ingest.given import Given
from services.ingest.headers import FrameFacts, read_frame
from services.ingest.known_facts import with_known
from services.ingest.midnights import over_midnight
from services.ingest.name_patterns import NamePatterns
from services.ingest.observing_log import ObservingLog, running_numbers
from services.ingest.same_readout import read_alike
from services.ingest.told_elsewhere import NOTHING, Told

UNFIT = Told(notes=("no pattern fits its name",))


@dataclass(frozen=True)
class Folder:
    """The frames of one folder as read, before they are registered."""

    frames: list[FrameFacts]
    unreadable: list[tuple[Path, str]]
    duplicates: dict[Path, str] = field(default_factory=dict)  # reason by file


def read_folder(
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    bounds: FrameBounds | None = None,
    given: Given | None = None,
    reading: Reading | None = None,
    log: ObservingLog | None = None,
) -> Folder:
    """Read the headers of all FITS files under ``folder``; one bad file never stops the rest.

    Names that are ``given`` hold for all; ``reading`` says what headers mean beyond the dialects that are known, and
    what names of files tell. What the ``log`` tells goes before names, and both before headers. A file of a colour
    camera gives a frame for each colour.

    Raises:
        ConfigurationError: the folder, or a dialect of the operator's own, cannot be read.
        DataError: there is no FITS file in it.
    """
    reading = reading or Reading()
    dialects = with_own(reading.dialects, reading.clock_offset_h)
    patterns = NamePatterns(reading.patterns)
    paths, unreadable = find_frames(folder)
    if not paths and not unreadable:
        raise DataError(
            f"folder {str(folder)!r} has no FITS files: expected names ending in .fits, .fit, .fts or .fz (also .gz)"
        )
    told = _told(paths, patterns if reading.patterns else None, log)
    frames = []
    for number, path in enumerate(paths, start=1):
        try:
            frame = _read(path, bounds, dialects, reading, told.get(path, NOTHING))
            frames.append(frame if given is None else given.of(frame))
        except DataError as error:
            unreadable.append((path, str(error)))
        if progress is not None:
            progress(number, len(paths))
    frames = with_known(read_alike(judged(over_midnight(frames))), reading)
    duplicates = {copy.path: reason for _, copy, reason in find_duplicates(frames)}
    return Folder(in_planes(frames, reading), unreadable, duplicates)


def _told(paths: Sequence[Path], patterns: NamePatterns | None, log: ObservingLog | None) -> dict[Path, Told]:
    """What names and log tell of each frame."""
    names = {} if patterns is None else {path: patterns.read(path) for path in paths}
    told = {path: UNFIT if found is None else found.told for path, found in names.items()}
    if log is None:
        return told
    by_pattern = {path: found.number for path, found in names.items() if found is not None and found.number is not None}
    numbers = running_numbers(paths, by_pattern)
    log = log.numbered(numbers)
    return {path: log.of(numbers.get(path)).over(told.get(path, NOTHING)) for path in paths}


def _read(path: Path, bounds: FrameBounds | None, dialects: Dialects, reading: Reading, told: Told) -> FrameFacts:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"file name {str(path)!r} is not UTF-8: rename the file") from error
    return read_frame(path, bounds, dialects, reading, told)
