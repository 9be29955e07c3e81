"""What stands around the rows of a VOTable (version 1.4)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from xml.sax.saxutils import escape, quoteattr

from services.vo.fields import Field

NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
SOFTWARE = f"Tianyu/{version('tianyu')}"
MEDIA_TYPE = "application/x-votable+xml"
# By what numbers count; which of them are there is said by the columns that refer to them.
SYSTEMS = {
    "icrs": '<COOSYS ID="icrs" system="ICRS"/>',
    "tdb": '<TIMESYS ID="tdb" timeorigin="JD-origin" timescale="TDB" refposition="BARYCENTER"/>',
    "utc": '<TIMESYS ID="utc" timeorigin="JD-origin" timescale="UTC" refposition="TOPOCENTER"/>',
}
LINKS = "ivo://ivoa.net/std/DataLink#links-1.1"
CUTOUTS = "ivo://ivoa.net/std/SODA#sync-1.0"
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Text as XML can hold it: other characters become question marks."""
    return _NO_XML.sub("�", text)


def attribute(text: str) -> str:
    """With quotes."""
    return quoteattr(clean(text))


def content(text: str) -> str:
    """Between tags."""
    return escape(clean(text))


def info(name: str, value: str, words: str = "") -> str:
    """An INFO."""
    return f"<INFO name={attribute(name)} value={attribute(value)}>{content(words)}</INFO>\n"


@dataclass(frozen=True)
class Around:
    """What stands before the table, and behind it and what is said of its rows."""

    start: str
    end: str


def around(fields: Iterable[Field], facts: Mapping[str, str], links_address: str = "", *, services: str = "") -> Around:
    """Systems of time and place, where it comes from, links of stars where there are any, and further ``services``."""
    listed = list(fields)
    named = {field.system for field in listed}
    star = next((field.name for field in listed if field.is_star), "")
    of_stars = links(links_address, star) if links_address and star else ""
    systems = "".join(f"{words}\n" for name, words in SYSTEMS.items() if name in named)
    told = {"server_software": SOFTWARE, **facts}
    start = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" xmlns="{NAMESPACE}">\n'
        f'{systems}<RESOURCE type="results">\n{info("QUERY_STATUS", "OK")}'
        + "".join(info(name, value) for name, value in told.items())
    )
    return Around(start, f"</RESOURCE>\n{of_stars}{services}</VOTABLE>\n")


def field_words(field: Field) -> str:
    """A FIELD."""
    names = ("ID", "name", "datatype", "arraysize", "unit", "ucd", "utype", "xtype", "ref")
    values = (
        field.name if field.is_star else "",  # by which some readers call the column
        field.name,
        field.kind.value,
        field.arraysize,
        field.unit,
        field.ucd,
        field.utype,
        field.xtype,
        field.system,
    )
    known = " ".join(f"{name}={attribute(value)}" for name, value in zip(names, values, strict=True) if value)
    return f"<FIELD {known}>\n<DESCRIPTION>{content(field.description)}</DESCRIPTION>\n</FIELD>\n"


def may_be_id(name: str) -> bool:
    """Whether a column can be referred to by its name."""
    return name not in SYSTEMS and _ID.fullmatch(name) is not None


def links(address: str, column: str) -> str:
    """A service that a client may ask about the star of each row (DataLink)."""
    return (
        '<RESOURCE type="meta" utype="adhoc:service">\n<DESCRIPTION>Light curves and page of the star</DESCRIPTION>\n'
        f'<PARAM name="standardID" datatype="char" arraysize="*" value="{LINKS}"/>\n'
        f'<PARAM name="accessURL" datatype="char" arraysize="*" value={attribute(address)}/>\n'
        '<GROUP name="inputParams">\n'
        f'<PARAM name="ID" datatype="char" arraysize="*" value="" ref="{column}"/>\n</GROUP>\n</RESOURCE>\n'
    )


def cutouts(name: str, address: str, identifier: str, circle: tuple[float, float, float]) -> str:
    """A service that gives parts of one image (SODA); ``circle`` holds all of it: ra, dec and radius, degrees."""
    ra, dec, radius = circle
    shapes = (
        ("CIRCLE", "double", "3", "circle", f'<VALUES><MAX value="{ra:.6f} {dec:.6f} {radius:.6f}"/></VALUES>'),
        ("POLYGON", "double", "*", "polygon", ""),
        ("POS", "char", "*", "", ""),
    )
    asked = "".join(
        f'<PARAM name="{name}" datatype="{kind}" arraysize="{size}" ucd="pos.outline;obs" unit="deg" value=""'
        + (f' xtype="{extended}"' if extended else "")
        + (f">{values}</PARAM>\n" if values else "/>\n")
        for name, kind, size, extended, values in shapes
    ).replace(' unit="deg" value=""/>', ' value=""/>')
    return (
        f'<RESOURCE type="meta" utype="adhoc:service" ID={attribute(name)}>\n'
        "<DESCRIPTION>The part of the image that holds a region (ICRS, degrees)</DESCRIPTION>\n"
        f'<PARAM name="standardID" datatype="char" arraysize="*" value="{CUTOUTS}"/>\n'
        f'<PARAM name="accessURL" datatype="char" arraysize="*" value={attribute(address)}/>\n'
        '<PARAM name="contentType" datatype="char" arraysize="*" value="application/fits"/>\n'
        '<GROUP name="inputParams">\n'
        f'<PARAM name="ID" datatype="char" arraysize="*" ucd="meta.id;meta.dataset" value={attribute(identifier)}/>\n'
        f"{asked}</GROUP>\n</RESOURCE>\n"
    )


def overflow(rows: int) -> str:
    """Behind the table: there are more rows."""
    return info("QUERY_STATUS", "OVERFLOW", f"there are more rows than the {rows} that were asked for or may be given")


def failure(words: str) -> str:
    """Behind the table: what follows is missing."""
    return info("QUERY_STATUS", "ERROR", words)


def error_document(words: str) -> bytes:
    """A document that only says what is wrong."""
    status = info("QUERY_STATUS", "ERROR", words)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" xmlns="{NAMESPACE}">\n'
        f'<RESOURCE type="results">\n{status}</RESOURCE>\n</VOTABLE>\n'
    ).encode()
