"""Text as it may be shown to people: what files, headers, databases and servers say gives a terminal no commands."""

import json
import re
import unicodedata

# Control characters (escape sequences begin with one), marks that turn or hide text, halves of characters (names that
# are no UTF-8), and what has no meaning; Unicode's own line ends forge lines.
UNSHOWN = ("C", "Zl", "Zp")
DELETE = "\x7f"  # the one control character that JSON leaves as it is

_PERHAPS = re.compile(r"[^\x20-\x7e\n\t]")


def processes(count: int) -> str:
    """So many processes, in words."""
    return f"{count} process{'' if count == 1 else 'es'}"


def frames(count: int) -> str:
    """So many frames, in words."""
    return f"{count} frame{'' if count == 1 else 's'}"


def axis(degrees: float, turn: float = 360.0) -> str:
    """A position angle from 0 up to a whole turn, or half a one, which is 0 again."""
    return f"{round(degrees, 1) % turn:.1f}"


def shown(text: str) -> str:
    r"""The text with what must not reach a terminal written as in JSON (``\u001b``); line ends and tabs stay."""
    return text if text.isprintable() else _PERHAPS.sub(lambda found: _shown(found[0]), text)


def _shown(character: str) -> str:
    if not unicodedata.category(character).startswith(UNSHOWN):
        return character
    return r"\u007f" if character == DELETE else json.dumps(character).strip('"')
