"""Light curves as VOTable 1.4: units, UCDs, clocks and axes of the columns; facts as parameters."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.votable.tree import CooSys, Info, Param, TableElement, TimeSys, VOTableFile
from astropy.io.votable.tree import Resource as VOResource
from astropy.table import Table

from services.results.lightcurves.portable import TIME_SYSTEMS, ascii_text, creator, meaning_of

PARAMETERS = {  # unit, UCD and system of facts that have them
    "x": ("pixel", "pos.cartesian.x;instr.det", ""),
    "y": ("pixel", "pos.cartesian.y;instr.det", ""),
    "ra_deg": ("deg", "pos.eq.ra;meta.main", "icrs"),
    "dec_deg": ("deg", "pos.eq.dec;meta.main", "icrs"),
    "exposure_s": ("s", "time.duration;obs.exposure", ""),
    "source": (None, "meta.id;src", ""),
    "observation": (None, "meta.id;obs", ""),
    "filter": (None, "meta.id;instr.filter", ""),
    "instrument": (None, "meta.id;instr", ""),
    "telescope": (None, "meta.id;instr.tel", ""),
    "tianyu_version": (None, "meta.version;meta.software", ""),
}
TYPES: dict[type, dict[str, Any]] = {int: {"datatype": "long"}, float: {"datatype": "double"}}
TEXT = {"datatype": "unicodeChar", "arraysize": "*"}
# Not TABLEDATA: Astropy 8.0's compiled writer of it puts a byte behind its buffer when a row fills this, and what lay
# there is destroyed.
SERIALIZATION = "binary2"
NO_XML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 65534, 65535, *range(55296, 57344)), "�")


def write_votable(table: Table, path: Path) -> None:
    """Write the table; characters that XML cannot hold become question marks."""
    document = VOTableFile(version="1.4")
    systems = {meaning.system for meaning in map(meaning_of, table.colnames) if meaning is not None}
    for name in sorted(systems.intersection(TIME_SYSTEMS)):
        clock, place = TIME_SYSTEMS[name]
        words = {"ID": name, "timeorigin": "JD-origin", "timescale": clock, "refposition": place}
        document.time_systems.append(TimeSys(**words, config=document._config))
    if "ra_deg" in table.meta:
        document.coordinate_systems.append(CooSys(ID="icrs", system="ICRS"))
    resource = VOResource(type="results")
    document.resources.append(resource)
    resource.infos.append(Info(name="QUERY_STATUS", value="OK"))
    resource.infos.append(Info(name="creator", value=creator()))
    content = TableElement.from_table(document, _plain(table))
    resource.tables.append(content)
    content.params[:] = []
    for name, value in table.meta.items():
        unit, ucd, system = PARAMETERS.get(name, (None, "", ""))
        kind = TYPES.get(type(value), TEXT)
        shown = ascii_text(value)  # a line's end in an attribute would be read as a blank
        if name in table.colnames or (kind is TEXT and not shown):
            continue  # what each row tells; and astropy refuses to read a text that is empty
        of_fact = {"unit": unit, "ucd": ucd or None, "ref": system or None}
        content.params.append(Param(document, name=name, value=shown, **kind, **of_fact))
    for field in content.fields:
        meaning = meaning_of(field.name)
        if meaning is not None:
            field.ucd, field.ref = meaning.ucd or None, meaning.system or None
    document.to_xml(str(path), tabledata_format=SERIALIZATION)


def _plain(table: Table) -> Table:
    """The table with nulls where values are missing, and text that XML can hold."""
    plain: Table = table.copy()
    plain.meta = {}
    for name in plain.colnames:
        column = plain[name]
        if column.dtype.kind == "U":
            texts = ["" if one is np.ma.masked else str(one).translate(NO_XML) for one in column]
            plain[name] = np.array(texts, dtype=object)  # of any length: one letter would be an array of 1
            plain[name].description, plain[name].unit = column.description, column.unit
        elif column.dtype.kind == "f":
            plain[name] = np.ma.filled(np.ma.asarray(column), np.nan)
            plain[name].description, plain[name].unit = column.description, column.unit
    return plain
