"""The same exposure twice: copies of a file, and the same pixels in another file (packed, or with another header)."""

import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from services.ingest.file_names import quoted
from services.ingest.frame_file import DAMAGE_ALL
from services.ingest.headers import FrameFacts
from services.ingest.reduced_frames import is_named_reduced
from services.log import get_logger

DIGEST_BYTES = 16

log = get_logger("ingest")


def find_duplicates(frames: Sequence[FrameFacts]) -> list[tuple[FrameFacts, FrameFacts, str]]:
    """Pairs (kept, duplicate, reason); the older file is kept, of two as old the first by name.

    Files are read only where something cheap agrees: whole files with the same size, shape and start; pixels with
    the same instrument, shape and start, when that is known. What another program made of a raw frame is its
    duplicate. Two other frames of one time with other pixels are two frames
    (clocks that count whole seconds, two readout modes): both are kept and the log says so.
    """
    ordered = sorted(frames, key=lambda frame: (frame.mtime, os.fsencode(frame.path)))
    copies = _pairs(ordered, lambda f: (f.size, f.shape, f.start_utc), _file_digest, "has the same content as")
    gone = {duplicate.path for _, duplicate, _ in copies}
    timed = [frame for frame in ordered if frame.start_utc is not None and frame.path not in gone]
    same_pixels = _pairs(timed, _moment, _pixel_digest, "has the same time and pixels as")
    gone |= {duplicate.path for _, duplicate, _ in same_pixels}
    reduced = _reduced_versions([frame for frame in timed if frame.path not in gone])
    gone |= {duplicate.path for _, duplicate, _ in reduced}
    _report_same_times([frame for frame in timed if frame.path not in gone])
    return copies + same_pixels + reduced


def _reduced_versions(frames: Sequence[FrameFacts]) -> list[tuple[FrameFacts, FrameFacts, str]]:
    """Of a raw frame and what another program made of it the raw one is kept: how it is calibrated is then known.

    Their sizes may differ, for the overscan was cut off.
    """
    alike: dict[Hashable, list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        alike[frame.instrument, frame.telescope, frame.kind, frame.filter, frame.start_utc].append(frame)
    pairs = []
    for members in alike.values():
        made = [frame for frame in members if frame.reduced or is_named_reduced(frame.path)]
        made = made or [frame for frame in members if frame.is_float and _is_copy_by_name(frame, members)]
        raw = [frame for frame in members if frame not in made]
        for frame in made if raw else ():
            said = f"file {quoted(frame.path)} is a reduced version of {quoted(raw[0].path)}, which is used"
            pairs.append((raw[0], frame, said))
    return pairs


def _is_copy_by_name(frame: FrameFacts, others: Sequence[FrameFacts]) -> bool:
    """Whether its name has that of another, or lies in another folder: pixels that are no whole numbers may be raw."""
    name, folder = frame.path.name, frame.path.parent
    return any(other.path.parent != folder or other.path.stem in name for other in others if not other.is_float)


def _pairs(
    frames: Sequence[FrameFacts],
    resemblance: Callable[[FrameFacts], Hashable],
    digest: Callable[[Path], bytes],
    words: str,
) -> list[tuple[FrameFacts, FrameFacts, str]]:
    alike: dict[Hashable, list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        alike[resemblance(frame)].append(frame)
    pairs = []
    for members in alike.values():
        kept: dict[bytes, FrameFacts] = {}
        for frame in members if len(members) > 1 else ():
            try:
                first = kept.setdefault(digest(frame.path), frame)
            except DAMAGE_ALL as error:  # the frame's own step will name what is wrong with it
                log.warning("not compared with others", file=quoted(frame.path), reason=repr(error))
                continue
            if first is not frame:
                pairs.append((first, frame, f"file {quoted(frame.path)} {words} {quoted(first.path)}"))
    return pairs


def _moment(frame: FrameFacts) -> Hashable:
    return frame.instrument, frame.telescope, frame.kind, frame.shape, frame.start_utc


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).digest()


def _pixel_digest(path: Path) -> bytes:
    """Digest of the first image's stored numbers, in FITS's byte order."""
    with (
        warnings.catch_warnings(action="ignore"),
        fits.open(path, memmap=False, lazy_load_hdus=True, do_not_scale_image_data=True) as hdus,
    ):
        data = np.asarray(next(hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2).data)
        plain = np.ascontiguousarray(data, dtype=data.dtype.newbyteorder(">"))
        return hashlib.blake2b(plain.data if plain.ndim else b"", digest_size=DIGEST_BYTES).digest()


def _report_same_times(frames: Sequence[FrameFacts]) -> None:
    moments: dict[Hashable, list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        moments[_moment(frame)].append(frame)
    clashes = [members for members in moments.values() if len(members) > 1]
    if clashes:
        first, second, *_ = clashes[0]
        log.warning(
            "frames with the same time and other pixels, all kept",
            times=len(clashes),
            first=quoted(first.path),
            second=quoted(second.path),
        )
