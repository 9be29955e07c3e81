"""Which pixels of a colour camera's raw frame have which colour, by its header."""

from collections.abc import Sequence

from astropy.io import fits

from services.ingest import cards

PATTERNS = frozenset({"RGGB", "BGGR", "GRBG", "GBRG"})
OFFSET_KEYS = ("XBAYROFF", "YBAYROFF")
ROW_ORDER_KEY, FROM_BELOW = "ROWORDER", "BOTTOM-UP"  # the file's last row is the picture's, and the pattern's, first

Colours = tuple[str, str, str, str]  # planes at (x, y) = (0, 0), (1, 0), (0, 1), (1, 1) of the file's pixels


def colours_of(header: fits.Header, rows: int, keys: Sequence[str]) -> Colours | None:
    """Planes of the file's first 2 x 2 pixels; None of a camera without a pattern that is known.

    keys: of the pattern. It reads the picture from its upper left corner. Most cameras' files begin there (ROWORDER
    ``TOP-DOWN``); one whose last row is the upper one (``BOTTOM-UP``) has the pattern upside down where its ``rows``
    are even. The offsets are pixels by which the pattern begins later.
    """
    told = (cards.text(header, keys) or "").upper()
    if told not in PATTERNS:
        return None
    dx, dy = (int(cards.as_number(cards.raw(header, key)) or 0) for key in OFFSET_KEYS)
    if (cards.text(header, (ROW_ORDER_KEY,)) or "").upper() == FROM_BELOW:
        dy += rows - 1  # the pattern has two rows: to count from the last one is to begin there
    shifted = [told[2 * ((y + dy) % 2) + (x + dx) % 2] for y in (0, 1) for x in (0, 1)]
    a, b, c, d = (_plane(shifted, place) for place in range(4))
    return a, b, c, d


def _plane(letters: list[str], place: int) -> str:
    """G1 is the green in the rows of red, G2 that in those of blue."""
    if letters[place] != "G":
        return letters[place]
    beside = letters[place ^ 1]
    return "G1" if beside == "R" else "G2"
