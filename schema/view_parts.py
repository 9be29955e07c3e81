"""What SQL views have in common: numbers of `pipeline`, and joins of what the newest process found of an image."""

# Numbers of `pipeline`, which `schema` does not know; a test compares them.
BAD_FRAME = 512  # of a rejected frame, in the view only
SPOILING = 2012  # what speaks against a single point: `usable` is `pipeline.flags.usable`, in SQL
PROVEN_MATCHES = 8  # stars of an alignment that is believed even on a rejected frame


def newest(table: str, of: str, alias: str) -> str:
    """Joins what the newest process found of an image, as `schema.frame` does: ``of`` is the image's alias.

    The last by the key is one look, however many there are: a live night has had hundreds of processes. That none is
    newer takes a look for each of them, and for MAX MariaDB reads them all.
    """
    newest = f"SELECT o.pid FROM {table} o WHERE o.image_id = {of}.image_id ORDER BY o.pid DESC LIMIT 1"  # noqa: S608
    return f"LEFT JOIN {table} {alias} ON {alias}.image_id = {of}.image_id AND {alias}.pid = ({newest})"


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
