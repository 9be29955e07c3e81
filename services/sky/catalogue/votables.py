"""VOTables with all of their data inside: one whose data lie elsewhere would be fetched from there, or read from disk.

The standard lets a table name another address (``<STREAM href="…">``), and astropy goes there: a server, or a file that
somebody sent, could have this machine ask any other, or open any of its files.
"""

import re
from typing import Any
from xml.parsers import expat

# Most tables hold none of these, and looking at each element of 400,000 stars takes seconds. A zero byte is of UTF-16.
SUSPICIOUS = re.compile(rb"stream|<!doctype|<!entity|\x00", re.IGNORECASE)
EXCERPT = 100  # characters of an address


class ElsewhereError(ValueError):
    """The data of a table are not in it."""


def require_own_data(content: bytes) -> None:
    """Make sure that reading a VOTable asks for nothing else.

    Raises:
        ElsewhereError: its data lie elsewhere, or it defines entities.
        expat.ExpatError: it is no XML.
    """
    if not SUSPICIOUS.search(content):
        return
    parser = expat.ParserCreate()
    parser.StartElementHandler = _look
    parser.EntityDeclHandler = _refuse_entity
    parser.Parse(content, True)


def _look(name: str, attributes: dict[str, str]) -> None:
    if name.rpartition(":")[2].upper() != "STREAM":
        return
    for attribute, value in attributes.items():
        if attribute.rpartition(":")[2].lower() == "href":
            raise ElsewhereError(
                f"its data lie elsewhere (STREAM href {value[:EXCERPT]!r}), which is not followed: fetch them "
                "yourself, and give a table that holds them"
            )


def _refuse_entity(name: str, *_: Any) -> None:
    raise ElsewhereError(f"it defines an entity ({name[:EXCERPT]!r}), which no catalogue needs")
