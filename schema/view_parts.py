"""What SQL views have in common: numbers of `pipeline`, and joins of what the newest process found of an image."""

from schema.found import MARK

# Numbers of `pipeline`, which `schema` does not know; a test compares them.
BAD_FRAME = 512  # of a rejected frame, in the view only
SPOILING = 2012  # what speaks against a single point: `usable` is `pipeline.flags.usable`, in SQL
PROVEN_MATCHES = 8  # stars of an alignment that is believed even on a rejected frame


def newest(table: str, of: str, alias: str) -> str:
    """Joins what the newest process found of an image, whose alias is ``of``: one look, however many rows there are.

    To look for it by the key costs each point of a light curve 5 microseconds.
    """
    return f"LEFT JOIN {table} {alias} ON {alias}.image_id = {of}.image_id AND {alias}.{MARK} = 1"


def at_barycentre(of: str) -> str:
    """BJD (TDB) of light from a place, whose ``of`` is the alias: a line each, as they stand below `SELECT`."""
    return f"""{seen("jd_tdb")}
       + {seen("observer_x")} * COS(RADIANS({of}.dec_deg)) * COS(RADIANS({of}.ra_deg))
       + {seen("observer_y")} * COS(RADIANS({of}.dec_deg)) * SIN(RADIANS({of}.ra_deg))
       + {seen("observer_z")} * SIN(RADIANS({of}.dec_deg))"""


def seen(name: str) -> str:
    """A column of table frame_sight, or what the headers' pointing gave where the field is not solved."""
    known = "h.altitude_deg" if name in ("airmass", "altitude_deg", "azimuth_deg") else "h.pid"
    return f"CASE WHEN {known} IS NOT NULL THEN h.{name} ELSE i.{name} END"
