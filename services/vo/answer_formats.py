"""Which kind of document an answer is, by the names that DALI and media types have for it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from services.vo.fields import Field
from services.vo.vo_errors import RefusedError
from services.vo.writing.row_writers import Binary2, Fits, Separated, TableData, Writer
from services.vo.writing.votable_words import Around

VOTABLE = "application/x-votable+xml"
# Media type, other names, and what writes it; the first one is what is answered without a wish.
FORMATS: tuple[tuple[str, tuple[str, ...], Any], ...] = (
    (VOTABLE, ("votable", "votable/td", "text/xml", f"{VOTABLE};serialization=tabledata"), TableData),
    (f"{VOTABLE};serialization=binary2", ("votable/b2", "votable_binary2"), Binary2),
    ("text/csv", ("csv", "text/csv;header=present"), Separated),
    ("text/tab-separated-values", ("tsv",), partial(Separated, separator="\t")),
    ("application/fits", ("fits",), Fits),
)


def writer_for(name: str, fields: Sequence[Field], around: Around) -> Writer:
    """What writes a format.

    Raises:
        RefusedError: it is not known.
    """
    wanted = name.replace(" ", "").lower()
    for media_type, aliases, make in FORMATS:
        if wanted in ("", media_type, *aliases):
            made: Writer = make(fields, around)
            return made
    known = ", ".join(aliases[0] for _, aliases, _ in FORMATS)
    raise RefusedError(f"RESPONSEFORMAT {name[:60]!r} is not written here: expected one of {known}")
