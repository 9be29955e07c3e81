"""Register frames: files become rows of table image, grouped into observations; what cannot be used has a reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import Observation
from schema.queries import images
from schema.queries.frames import REJECTED, accept, note_down
from services.errors import ConfigurationError
from services.frame_geometry import without_size
from services.ingest.common_facts import add_hints, header_digest
from services.ingest.frame_rows import Seen, as_seen_of, columns_of
from services.ingest.grouping import ObservationKey, group
from services.ingest.headers import FrameFacts
from services.ingest.observation_rows import observation_row
from services.ingest.raw_folder import Folder
from services.ingest.shapes import SameShape, by_shape
from services.log import get_logger
from services.own_site import stored_path

log = get_logger("ingest")
UNKNOWN = "unknown"  # kind of a file that cannot be read
DIGESTS_A_QUERY = 1000  # SQLite takes up to 32766 values in a statement


@dataclass(frozen=True)
class IngestedObservation:
    """What an ingest found of one observation."""

    observation_id: int
    key: ObservationKey
    new: int  # frames registered by this ingest
    corrected: int  # frames read again, for their headers have changed
    rejected: int
    published: bool  # before this ingest: its graph knows nothing of the new frames


@dataclass
class Ingest:
    """What an ingest did."""

    observations: list[IngestedObservation] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)  # (file, reason)
    known: int = 0  # files that were registered before
    notes: list[str] = field(default_factory=list)


def register(session: Session, folder: Folder, *, site: str, root: Path) -> Ingest:
    """Insert what is new; files registered before are counted and left alone.

    A file that could not be read before, or that was rejected and has another size by now, was still being written or
    has been copied again: it is taken anew.

    Raises:
        ConfigurationError: the site is not registered.
    """
    try:
        site_id = images.site_id_of(session, site)
    except LookupError as error:
        raise ConfigurationError(str(error)) from error
    paths = {frame.path for frame in folder.frames if frame.plane} | {path for path, _ in folder.unreadable}
    named = [(frame.path, frame.plane) for frame in folder.frames]
    named += [(path, plane) for path in paths for plane in ("", *images.PLANES)]  # as they may be registered already
    registrar = _Registrar(session, site_id, root, named)
    for path, reason in folder.unreadable:
        registrar.reject(path, reason)
    for key, members in group(folder.frames).items():
        registrar.observation(key, members, folder.duplicates)
    return registrar.finish()


class _Registrar:
    """One ingest in one transaction; a few statements for all frames, however many."""

    def __init__(self, session: Session, site_id: int, root: Path, named: Sequence[tuple[Path, str]]) -> None:
        self._session = session
        self._site_id = site_id
        self._stored = {path: stored_path(path, root) for path, _ in named}
        self._digests = {(path, plane): images.path_digest(site_id, self._stored[path], plane) for path, plane in named}
        self._known = self._rows_of(self._digests.values())
        self._inserts: list[dict[str, Any]] = []
        self._updates: list[dict[str, Any]] = []
        self.result = Ingest()
        self._known_files: set[Path] = set()
        # A file that gives several frames is told of once.
        self._notes: dict[str, set[Path]] = {}
        self._told: set[tuple[Path, str]] = set()
        self._noted: dict[str, tuple[str, ...]] = {}  # notes by digest, of what is registered now

    def _rows_of(self, wanted: Iterable[str]) -> dict[str, Any]:
        """Rows (image_id, kind, size_bytes, rejected, reject_reason) by digest of what is registered of these."""
        rejected, reason = REJECTED.label("rejected"), Image.reject_reason
        known = (Image.path_digest, Image.image_id, Image.kind, Image.size_bytes, Image.observation_id)
        columns = (*known, Image.ny, Image.nx, Image.header_digest, rejected, reason)
        digests = sorted(set(wanted))
        rows: dict[str, Any] = {}
        for start in range(0, len(digests), DIGESTS_A_QUERY):
            query = select(*columns).where(Image.path_digest.in_(digests[start : start + DIGESTS_A_QUERY]))
            rows |= {row.path_digest: row for row in self._session.execute(query)}
        return rows

    def reject(self, path: Path, reason: str) -> None:
        """Register a file that no observation can use."""
        rows = (self._known.get(self._digests[path, plane]) for plane in ("", *images.PLANES))
        known = next((row for row in rows if row is not None), None)
        if known is not None:
            self._known_files.add(path)
        if known is None:
            self._inserts.append(self._row(path, "", kind=UNKNOWN, good=False, reject_reason=reason))
        elif known.kind == UNKNOWN and known.reject_reason != reason:
            self._updates.append({"image_id": known.image_id, "reject_reason": reason})
        else:
            return
        self._tell(path, reason)

    def _tell(self, path: Path, reason: str) -> None:
        if (path, reason) in self._told:
            return  # another frame of the same file
        self._told.add((path, reason))
        self.result.rejected.append((self._stored[path], reason))
        log.info("file rejected", file=self._stored[path], reason=reason)

    def finish(self) -> Ingest:
        """Write the rows; returns the result, in which a note that many frames share is one line."""
        if self._inserts:
            self._session.execute(insert(Image), self._inserts)
        if self._updates:
            self._session.execute(update(Image), self._updates)
            accept(self._session, [row["image_id"] for row in self._updates], pid=None)
        note_down(
            self._session, {row.image_id: self._noted[digest] for digest, row in self._rows_of(self._noted).items()}
        )
        self.result.known = len(self._known_files)
        self.result.observations.sort(key=lambda observation: observation.observation_id)
        self.result.notes = [f"{len(paths)} frames: {note}" for note, paths in self._notes.items()]
        return self.result

    def _digest(self, frame: FrameFacts) -> str:
        return self._digests[frame.path, frame.plane]

    def _is_new(self, frame: FrameFacts) -> bool:
        known = self._known.get(self._digest(frame))
        return known is None or known.kind == UNKNOWN or (known.rejected and known.size_bytes != frame.size)

    def _is_corrected(self, frame: FrameFacts) -> bool:
        known = self._known.get(self._digest(frame))
        if known is None or known.kind == UNKNOWN or known.header_digest is None:
            return False
        return bool(known.header_digest != header_digest(frame))

    def observation(self, key: ObservationKey, frames: Sequence[FrameFacts], duplicates: dict[Path, str]) -> None:
        """Register frames of one key: of one observation, or of several where their shapes differ."""
        known = [frame for frame in frames if not (self._is_corrected(frame) or self._is_new(frame))]
        joined = self._observation_of(known) or observation_row(self._session, self._site_id, key, frames)
        before = (self._known.get(self._digest(frame)) for frame in frames if self._is_corrected(frame))
        anew = [(row.ny, row.nx) for row in before if row is not None and not row.rejected]
        for part in by_shape(self._session, key, frames, joined, anew):
            self._of_one_shape(part, joined, duplicates)

    def _of_one_shape(self, part: SameShape, joined: Observation, duplicates: dict[Path, str]) -> None:
        key, frames, observation = part.key, part.frames, joined
        corrected = {frame.path for frame in frames if self._is_corrected(frame)}
        new = [frame for frame in frames if frame.path in corrected or self._is_new(frame)]
        if part.is_apart:
            taken = {frame.path for frame in new}
            known = [frame for frame in frames if frame.path not in taken]
            observation = self._observation_of(known, key.geometry) or observation_row(
                self._session, self._site_id, key, frames
            )
            # Those that were odd while they were few.
            new += [one for one in known if self._known[self._digest(one)].observation_id == joined.observation_id]
        taken = {frame.path for frame in new}
        self._known_files |= {frame.path for frame in frames if frame.path not in taken}
        if key.kind == "light":
            add_hints(self._session, observation, frames, anew=bool(corrected))
        rejected = 0
        for frame, seen in zip(new, as_seen_of(new), strict=True):
            reason = duplicates.get(frame.path)
            if reason is None and frame.shape != part.shape:
                reason = (
                    f"frame {self._stored[frame.path]!r} is {frame.shape[1]} x {frame.shape[0]} pixels, most of its "
                    f"observation are {part.shape[1]} x {part.shape[0]}: was the window or the binning changed?"
                )
            self._take(frame, self._frame_row(observation.observation_id, frame, seen, reason))
            if reason is not None:
                rejected += 1
                self._tell(frame.path, reason)
            for note in frame.notes:
                self._notes.setdefault(note, set()).add(frame.path)
            if frame.notes or self._digest(frame) in self._known:
                self._noted[self._digest(frame)] = frame.notes
        published = observation.graph_pid is not None
        self.result.observations.append(
            IngestedObservation(
                observation.observation_id, key, len(new) - len(corrected), len(corrected), rejected, published
            )
        )

    def _take(self, frame: FrameFacts, row: dict[str, Any]) -> None:
        known = self._known.get(self._digest(frame))
        if known is None and frame.plane:
            known = self._unread(frame.path)
        if known is None:
            self._inserts.append(row)
        else:
            self._updates.append(row | {"image_id": known.image_id})

    def _unread(self, path: Path) -> Any:
        """The row of a file that could not be read before: once, for the first of its frames."""
        row = self._known.get(self._digests[path, ""])
        return self._known.pop(self._digests[path, ""]) if row is not None and row.kind == UNKNOWN else None

    def _observation_of(self, known: Sequence[FrameFacts], apart: str | None = None) -> Observation | None:
        """The one that most of these frames belong to: those that join them belong to it, however names are written.

        apart: its geometry, where it has a size; else it has none.
        """
        rows = (self._known[self._digest(frame)] for frame in known)
        numbers = Counter(row.observation_id for row in rows if row.observation_id is not None)
        found = (self._session.get_one(Observation, number) for number, _ in numbers.most_common())
        return next((one for one in found if one.geometry == (apart or without_size(one.geometry))), None)

    def _frame_row(self, observation_id: int, frame: FrameFacts, seen: Seen, reason: str | None) -> dict[str, Any]:
        of_observation = {"observation_id": observation_id, "good": None if reason is None else False}
        return self._row(frame.path, frame.plane, **columns_of(frame, seen), **of_observation, reject_reason=reason)

    def _row(self, path: Path, plane: str, **values: Any) -> dict[str, Any]:
        digest = self._digests[path, plane]
        return {"site_id": self._site_id, "path": self._stored[path], "path_digest": digest, **values}
