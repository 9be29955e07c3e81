"""A folder of frames as its headers tell, before anything is registered."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.errors import DataError
from services.frame_bounds import FrameBounds
from services.header_reading import Reading
from services.ingest.colour_planes import in_planes
from services.ingest.dialect_files import with_own
from services.ingest.duplicates import find_duplicates
from services.ingest.east_or_west import judged
from services.ingest.file_names import find_frames
from services.ingest.given import Given
from services.ingest.headers import FrameFacts, read_frame
from services.ingest.known_facts import with_known
from services.ingest.midnights import over_midnight
from services.ingest.name_patterns import NameFacts, NamePatterns
from services.ingest.observing_log import ObservingLog, ambiguous, running_numbers
from services.ingest.rival_clocks import with_times_told_apart
from services.ingest.same_readout import read_alike
from services.ingest.told_elsewhere import Told

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
    reader = FrameReader(bounds, given, reading, log)
    paths, unreadable = find_frames(folder)
    if not paths and not unreadable:
        raise DataError(
            f"folder {str(folder)!r} has no FITS files: expected names ending in .fits, .fit, .fts or .fz (also .gz)"
        )
    told = reader.told(paths)
    frames = []
    for number, path in enumerate(paths, start=1):
        try:
            frames.append(reader.read(path, told.get(path)))
        except DataError as error:
            unreadable.append((path, str(error)))
        if progress is not None:
            progress(number, len(paths))
    return reader.together(frames, unreadable)


class FrameReader:
    """Reads frames one by one, and judges them together; names that are ``given`` hold for all.

    Raises:
        ConfigurationError: a dialect or a pattern of the operator's own cannot be read.
    """

    def __init__(
        self,
        bounds: FrameBounds | None = None,
        given: Given | None = None,
        reading: Reading | None = None,
        log: ObservingLog | None = None,
    ) -> None:
        self._reading = reading or Reading()
        self._bounds = bounds
        self._given = given
        self._dialects = with_own(self._reading.dialects, self._reading.clock_offset_h)
        self._patterns = NamePatterns(self._reading.patterns)
        self._log = log

    def _named(self, path: Path) -> NameFacts | None:
        """What the name tells by the operator's patterns; nothing where there are none."""
        return self._patterns.read(path) if self._reading.patterns else NameFacts()

    def told(self, paths: Sequence[Path], beside: Collection[Path] | None = None) -> dict[Path, Told]:
        """What names and log tell of each frame.

        Numbers are told by all names together. Of a folder to which more frames come, those that came before are given
        ``beside``, and the names in the log count too; there a frame of which more than one number may count is left
        out until another's name tells which.

        Raises:
            ConfigurationError: the log names a frame that is not there.
        """
        names = {path: self._named(path) for path in paths}
        told = {path: UNFIT if found is None else found.told for path, found in names.items()}
        if self._log is None:
            return told
        by_pattern = {path: one.number for path, one in names.items() if one is not None and one.number is not None}
        if beside is None:
            numbers, alone = running_numbers(paths, by_pattern), set()
        else:
            known = [*paths, *beside, *self._log.files({path.parent for path in paths})]
            numbers, alone = running_numbers(known, by_pattern), ambiguous(known, by_pattern)
        log = self._log.numbered(numbers)
        return {path: log.of(numbers.get(path)).over(told[path]) for path in paths if path not in alone}

    def read(self, path: Path, told: Told | None = None) -> FrameFacts:
        """The facts of one frame; ``told`` goes before its header, what its name tells where it is not given.

        Raises:
            DataError: it cannot be used.
            TransientError: the machine cannot read now.
        """
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"file name {str(path)!r} is not UTF-8: rename the file") from error
        if told is None:
            named = self._named(path)
            told = UNFIT if named is None else named.told
        frame = read_frame(path, self._bounds, self._dialects, self._reading, told)
        return frame if self._given is None else self._given.of(frame)

    def together(self, frames: Sequence[FrameFacts], unreadable: Sequence[tuple[Path, str]]) -> Folder:
        """What only all frames of a folder tell: days that were not counted up, signs of longitudes, duplicates."""
        timed = with_times_told_apart(over_midnight(frames), self._reading)
        found = with_known(read_alike(judged(timed)), self._reading)
        duplicates = {copy.path: reason for _, copy, reason in find_duplicates(found)}
        return Folder(in_planes(found, self._reading), list(unreadable), duplicates)
