"""Headers of the corpus with cards that are missing or broken, and what may become of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from hypothesis import strategies as st

from services.errors import DataError
from services.ingest.dialect_files import shipped
from services.ingest.east_or_west import judged
from services.ingest.frame_kinds import OPEN_FILTERS
from services.ingest.grouping import group
from services.ingest.headers import UNKNOWN_INSTRUMENT, FrameFacts, read_frame
from tests.unit.ingest.header_corpus import SHAPE, STRUCTURAL, Sample

BLOCK, CARD = 2880, 80
NAMES = (
    "target",
    "filter",
    "camera",
    "telescope",
    "read_mode",
    "kind",
)  # any text is one: they can be missing
# What takes a card's place, `{}` stands for its keyword in eight characters: nothing that could be meant.
NOTHING = ("", "{}=", "{}= ''", "{}= '        '", "{}=                    T")
BROKEN = (
    *("{}= 'garbage '", "{}= '????-??-??T'", "{}= NaN", "{}= 1E999", "{}= 12.3.4", "{}= 'x' 'y", "{}= \xff\xfe", "{}"),
    *("{}= '0000-00-00T00:00:00'", "{}= '99:99:99'", "{}= ------", "{}= 99999999999999999999999999999999999999"),
)
SECOND = 1.0 / 86400.0
FACTS = (
    "kind",
    "target",
    "filter",
    "instrument",
    "binning",
    "gain",
    "read_noise",
    "saturation",
    "exposure",
    "start_utc",
)


@dataclass(frozen=True)
class Mangled:
    """A sample, and by number of a card what stands in its place."""

    sample: Sample
    changes: dict[int, str]

    def __repr__(self) -> str:
        cards = _cards(self.sample)
        told = {
            card[:CARD].rstrip(): self.changes[number]
            for number, (_, card) in enumerate(cards)
            if number in self.changes
        }
        return f"{self.sample.name}: {told}"


def _cards(sample: Sample) -> list[tuple[int, str]]:
    """(header, card) of all that may be changed."""
    return [
        (number, card.image)
        for number, header in enumerate(sample.headers)
        for card in header.cards
        if card.keyword not in STRUCTURAL
    ]


def _is_name(sample: Sample, image: str) -> bool:
    words, _ = shipped().spoken(_merged(sample))
    keyword = image[: image.index("=")].removeprefix("HIERARCH ").strip() if "=" in image else image[:8].strip()
    return any(keyword in getattr(words.keywords, fact) for fact in NAMES)


def _merged(sample: Sample) -> fits.Header:
    merged = sample.headers[-1].copy()
    merged.extend(sample.headers[0], unique=True)
    return merged


@st.composite
def mangled(draw: st.DrawFn, samples: list[Sample]) -> Mangled:
    """Any sample with any of its cards missing or broken."""
    sample = draw(st.sampled_from(samples))
    cards = _cards(sample)
    numbers = draw(st.sets(st.integers(0, max(len(cards) - 1, 0)), max_size=len(cards))) if cards else set()
    changes = {}
    for number in sorted(numbers):
        is_name = _is_name(sample, cards[number][1])
        changes[number] = draw(st.sampled_from(NOTHING if is_name else (*NOTHING, *BROKEN)))
    return Mangled(sample, changes)


def write(one: Mangled, path: Path) -> Path:
    """The frame as a file, byte by byte: no library mends its header."""
    headers: list[list[str]] = [[] for _ in one.sample.headers]
    for number, (header, image) in enumerate(_cards(one.sample)):
        change = one.changes.get(number)
        text = image if change is None else change.replace("{}", image[:8])
        if text:
            headers[header].append(text)
    axes = [f"NAXIS1  = {SHAPE[1]:>20}", f"NAXIS2  = {SHAPE[0]:>20}"]
    image_cards = [f"BITPIX  = {16:>20}", f"NAXIS   = {2:>20}", *axes]
    with path.open("wb") as file:
        for number, cards in enumerate(headers):
            is_last = number == len(headers) - 1
            kind = f"SIMPLE  = {'T':>20}" if number == 0 else "XTENSION= 'IMAGE   '"
            needed = image_cards if is_last else [f"BITPIX  = {8:>20}", f"NAXIS   = {0:>20}"]
            more = [f"PCOUNT  = {0:>20}", f"GCOUNT  = {1:>20}"] if number else [f"EXTEND  = {'T':>20}"]
            whole = [kind, *needed, *more, *cards, "END"]
            text = b"".join(card.encode("latin-1")[:CARD].ljust(CARD) for card in whole)
            file.write(text.ljust(-(-len(text) // BLOCK) * BLOCK))
        file.write(np.full(SHAPE, 1000, ">i2").tobytes().ljust(BLOCK, b"\0"))
    return path


def outcome(one: Mangled, folder: Path) -> str:
    """What became of it: ``rejected``, ``noted``, ``unknown`` (a fact is left open) or ``same``.

    Raises:
        AssertionError: it is read otherwise than it was meant, and nothing says so.
    """
    folder.mkdir(exist_ok=True)
    path = folder / one.sample.expected.get("file", f"{one.sample.name}.fits")
    meant = _facts(write(Mangled(one.sample, {}), path))
    found = _facts(write(one, path))
    if isinstance(found, str):
        assert str(path) in found
        return "rejected"
    if isinstance(meant, str):
        return "noted" if found.notes else "unknown"  # an arc lamp that no longer says so
    _require_sane(found)
    notes = set(found.notes) - set(meant.notes)
    changed = [fact for fact in FACTS if not _is_same(getattr(found, fact), getattr(meant, fact), fact)]
    silent = [fact for fact in changed if not notes and not _is_left_open(found, meant, fact)]
    told = {fact: (getattr(meant, fact), getattr(found, fact)) for fact in silent}
    assert not silent, f"{one}: read otherwise without a word: {told}"
    [(key, _)] = group([found]).items()
    assert (key.kind, key.target, key.filter) == (found.kind, found.target, found.filter)
    return "noted" if notes else "unknown" if changed else "same"


def _facts(path: Path) -> FrameFacts | str:
    try:
        [frame] = judged([read_frame(path)])
    except DataError as error:
        return str(error)
    return frame


def _is_same(found: object, meant: object, fact: str) -> bool:
    if fact == "start_utc" and isinstance(found, float) and isinstance(meant, float):
        return abs(found - meant) < 1.5 * SECOND
    return found == meant


def _is_left_open(found: FrameFacts, meant: FrameFacts, fact: str) -> bool:
    """Whether the fact is what stands for one that nobody knows, or what the name of the file says."""
    value = getattr(found, fact)
    if fact == "target":
        return not found.has_object
    if fact == "instrument":
        return bool(value == UNKNOWN_INSTRUMENT)
    if fact == "binning":
        return bool(value == "1x1")
    if fact == "exposure":
        return value == 0.0 and found.kind in ("bias", "flat")  # which are one observation, however long they are
    if fact == "filter" and value is not None:
        return value.lower() in OPEN_FILTERS  # of two wheels one is unknown
    if fact == "read_noise" and found.read_noise_source not in (None, meant.read_noise_source):
        return True  # another card tells another
    return value is None


def _require_sane(frame: FrameFacts) -> None:
    assert np.isfinite(frame.exposure)
    assert frame.exposure >= 0.0
    for value, low, high in (
        (frame.gain, 0.0, 100.0),
        (frame.ra_deg, 0.0, 360.0),
        (frame.dec_deg, -90.0, 90.0),
        (frame.site_longitude, -180.0, 180.0),
        (frame.start_utc, 2.3e6, 2.5e6),
    ):
        assert value is None or low <= value <= high
