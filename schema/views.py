"""The SQL views that users rely on; their names and columns are a contract.

Views hold no data, so they are no part of a migration's history: an upgrade makes today's at the end. A view that is
there as it should be is not touched: whoever reads it in an open transaction would hold up its replacement, and that
all who come to read after it.
"""

import hashlib

from sqlalchemy import Connection, String, delete, insert, inspect, select, text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import Base, table_of
from schema.forced_view import FORCED_LIGHT_CURVE
from schema.view_parts import BAD_FRAME, PROVEN_MATCHES, SPOILING, at_barycentre, newest, seen

LIGHT_CURVE = f"""
CREATE VIEW light_curve AS
SELECT i.observation_id AS observation_id,
       f.source_id AS source_id,
       f.image_id AS image_id,
       i.jd_utc AS jd_utc,
       {seen("bjd_tdb")} AS bjd_tdb,
       f.aperture AS aperture,
       f.flux AS flux_raw,
       f.flux_error AS flux_raw_error,
       r.flux AS flux_relative,
       r.flux_error AS flux_relative_error,
       s.reference_group AS reference_group,
       s.is_reference AS is_reference,
       f.flag + CASE WHEN v.good = 0 THEN {BAD_FRAME} ELSE 0 END AS flag,
       v.good AS image_good,
       s.method AS method,
       t.best_aperture AS aperture_best,
       d.flux AS flux_detrended,
       d.flux_error AS flux_detrended_error,
       CASE WHEN f.flux > 0 THEN
            z.zero_point - 2.5 * LOG10(f.flux) + z.colour_term * (c.colour - z.colour_reference)
            + z.field_u * c.u + z.field_v * c.v
            + z.field_uu * c.u * c.u + z.field_uv * c.u * c.v + z.field_vv * c.v * c.v END AS mag,
       CASE WHEN f.flux > 0 THEN
            SQRT(POWER(1.0857362 * f.flux_error / f.flux, 2) + POWER(z.zero_point_error, 2)
                 + POWER(z.colour_term * c.colour_error, 2)) END AS mag_error,
       {at_barycentre("q")} AS bjd_tdb_source,
       CASE WHEN f.flux IS NOT NULL AND v.good = 1 AND (f.flag & {SPOILING}) = 0 THEN 1 ELSE 0 END AS usable
FROM flux f
JOIN image i ON i.image_id = f.image_id
JOIN observation o ON o.observation_id = i.observation_id AND o.graph_pid = i.graph_pid
{newest("verdict", "i", "v")}
{newest("frame_sight", "i", "h")}
LEFT JOIN relative_flux r
       ON r.source_id = f.source_id AND r.image_id = f.image_id AND r.aperture = f.aperture
      AND r.pid = o.calibration_pid
LEFT JOIN reference_star s
       ON s.pid = o.calibration_pid AND s.source_id = f.source_id AND s.aperture = f.aperture
LEFT JOIN light_curve_statistics t
       ON t.pid = o.analysis_pid AND t.source_id = f.source_id AND t.aperture = f.aperture
LEFT JOIN relative_flux d
       ON d.source_id = f.source_id AND d.image_id = f.image_id AND d.aperture = f.aperture
      AND d.pid = o.detrend_pid
LEFT JOIN zero_point z
       ON z.pid = o.zero_point_pid AND z.image_id = f.image_id AND z.aperture = f.aperture
LEFT JOIN zero_point_star c
       ON c.pid = o.zero_point_pid AND c.source_id = f.source_id
LEFT JOIN source q ON q.source_id = f.source_id
"""  # noqa: S608 - numbers of our own

# The flux is the one of the sky's latest detection; Gaia's is the nearest of the three where that is the star itself.
SOURCE_CATALOG = """
CREATE VIEW source_catalog AS
SELECT s.source_id AS source_id,
       s.sky_id AS sky_id,
       s.x AS x,
       s.y AS y,
       s.ra_deg AS ra,
       s.dec_deg AS `dec`,
       p.flux AS flux,
       p.flux_error AS flux_error,
       g.gaia_source_id AS gaia_source_id,
       g.distance_arcsec AS gaia_distance_arcsec,
       g.variable AS gaia_variable,
       s.healpix AS healpix,
       g.g_mag AS gaia_g_mag,
       g.bp_mag AS gaia_bp_mag,
       g.rp_mag AS gaia_rp_mag,
       g.parallax_mas AS gaia_parallax_mas,
       s.same_as AS same_as
FROM source s
LEFT JOIN source_position p
       ON p.source_id = s.source_id
      AND p.pid = (SELECT MAX(q.pid) FROM source_position q WHERE q.source_id = s.source_id)
LEFT JOIN source_crossmatch g ON g.source_id = s.source_id AND g.match_rank = 1 AND g.is_match = 1
"""

# The first frame is the first that could be aligned: services.steps.shared.first_frame is the same rule.
SOURCE_PLACE = f"""
CREATE VIEW source_place AS
SELECT o.observation_id AS observation_id,
       p.source_id AS source_id,
       COALESCE(f.file_x, 0) + COALESCE(f.file_step, 1) * (
           (f.nx - 1) / 2.0 + a.dx + a.scale * (COS(RADIANS(a.rotation_deg)) * (p.x - (f.nx - 1) / 2.0)
                                                - SIN(RADIANS(a.rotation_deg)) * (p.y - (f.ny - 1) / 2.0))) AS x,
       COALESCE(f.file_y, 0) + COALESCE(f.file_step, 1) * (
           (f.ny - 1) / 2.0 + a.dy + a.scale * (SIN(RADIANS(a.rotation_deg)) * (p.x - (f.nx - 1) / 2.0)
                                                + COS(RADIANS(a.rotation_deg)) * (p.y - (f.ny - 1) / 2.0))) AS y,
       p.x AS template_x,
       p.y AS template_y,
       p.flux AS flux,
       f.image_id AS first_image_id
FROM (SELECT b.observation_id AS observation_id, b.graph_pid AS graph_pid,
             (SELECT i.image_id FROM image i
              {newest("alignment", "i", "l")}
              {newest("verdict", "i", "v")}
              WHERE i.graph_pid = b.graph_pid AND i.kind = 'calibrated' AND l.dx IS NOT NULL
                AND (v.good IS NULL OR v.good = 1 OR l.matches >= {PROVEN_MATCHES})
              ORDER BY i.start_jd_utc, i.pid LIMIT 1) AS first_image_id
      FROM observation b) o
JOIN image f ON f.image_id = o.first_image_id
{newest("alignment", "f", "a")}
JOIN process d ON d.graph_pid = o.graph_pid AND d.command = 'detect'
JOIN source_position p ON p.pid = d.pid
"""  # noqa: S608 - a number of our own

# Frames of the camera, with what the shown graph made of them.
FRAME = f"""
CREATE VIEW frame AS
SELECT r.observation_id AS observation_id,
       r.image_id AS frame_id,
       i.image_id AS image_id,
       r.path AS path,
       r.kind AS kind,
       t.name AS target,
       b.name AS `filter`,
       o.night AS night,
       r.exposure_s AS exposure_s,
       r.jd_utc AS jd_utc,
       COALESCE({seen("bjd_tdb")}, r.bjd_tdb) AS bjd_tdb,
       COALESCE({seen("airmass")}, r.airmass) AS airmass,
       COALESCE({seen("altitude_deg")}, r.altitude_deg) AS altitude_deg,
       COALESCE({seen("azimuth_deg")}, r.azimuth_deg) AS azimuth_deg,
       i.star_count AS star_count,
       i.fwhm AS fwhm,
       i.ellipticity AS ellipticity,
       i.background AS sky,
       i.background_rms AS sky_rms,
       COALESCE(v.transparency, a.light) AS transparency,
       COALESCE(m.hot_pixels, i.hot_pixels) AS hot_pixels,
       COALESCE(m.cosmic_rays, i.cosmic_rays) AS cosmic_rays,
       i.trails AS trails,
       a.dx AS dx,
       a.dy AS dy,
       a.rotation_deg AS rotation_deg,
       a.scale AS scale,
       a.rms AS alignment_rms,
       a.matches AS alignment_matches,
       CASE WHEN c.pid IS NOT NULL THEN 1 ELSE 0 END AS is_reference,
       CASE WHEN v.pid IS NOT NULL THEN v.good WHEN r.good = 0 OR n.reason IS NOT NULL THEN 0 END AS good,
       CASE WHEN v.pid IS NOT NULL THEN v.reason ELSE COALESCE(r.reject_reason, n.reason) END AS reason,
       v.weight AS weight,
       COALESCE(i.gain, v.gain, r.gain) AS gain,
       w.name AS site
FROM image r
JOIN site w ON w.site_id = r.site_id
LEFT JOIN observation o ON o.observation_id = r.observation_id
LEFT JOIN target t ON t.target_id = o.target_id
LEFT JOIN filter b ON b.filter_id = o.filter_id
LEFT JOIN (image_parent p JOIN image i ON i.image_id = p.image_id AND i.kind = 'calibrated')
       ON p.parent_id = r.image_id AND i.graph_pid = o.graph_pid
LEFT JOIN rejection n
       ON n.rejection_id = (SELECT MAX(other.rejection_id) FROM rejection other WHERE other.image_id = r.image_id)
LEFT JOIN reference_frame c ON c.image_id = i.image_id
{newest("alignment", "i", "a")}
{newest("verdict", "i", "v")}
{newest("frame_sight", "i", "h")}
{newest("masked_pixels", "i", "m")}
WHERE r.pid IS NULL
"""  # noqa: S608

PROCESS_SUMMARY = """
CREATE VIEW process_summary AS
SELECT p.observation_id AS observation_id,
       p.command AS command,
       p.status AS status,
       COUNT(DISTINCT p.pid) AS count,
       SUM(a.seconds) AS seconds,
       SUM(a.cpu_seconds) AS cpu_seconds,
       MAX(a.max_rss_bytes) AS max_rss_bytes,
       SUM(a.read_bytes) AS read_bytes,
       SUM(a.write_bytes) AS write_bytes
FROM process p
LEFT JOIN process_attempt a ON a.pid = p.pid
GROUP BY p.observation_id, p.command, p.status
"""

VIEWS = {
    "light_curve": LIGHT_CURVE,
    "frame": FRAME,
    "source_catalog": SOURCE_CATALOG,
    "source_place": SOURCE_PLACE,
    "process_summary": PROCESS_SUMMARY,
    "forced_light_curve": FORCED_LIGHT_CURVE,
}


class MadeView(Base):
    """A view as it was made last: digests of our words and of the server's, which writes it in its own way."""

    __tablename__ = "made_view"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(String(32))
    server_digest: Mapped[str] = mapped_column(String(32))


_made = table_of(MadeView)


def _digest(words: str) -> str:
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()


def _on_server(connection: Connection) -> dict[str, str]:
    """Views by name in the server's words, which are empty where the user may not see them.

    A server puts the database's name before each table; a copy under another name is the same.
    """
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
    else:
        query = (
            "SELECT table_name, REPLACE(view_definition, CONCAT('`', DATABASE(), '`.'), '') "
            "FROM information_schema.views WHERE table_schema = DATABASE()"
        )
    return {name: words or "" for name, words in connection.execute(text(query))}


def to_make(connection: Connection) -> list[str]:
    """Views that are not there, or not as this Tianyu defines them."""
    there = _on_server(connection)
    known = inspect(connection).has_table(_made.name)
    made = {row.name: row for row in connection.execute(select(_made))} if known else {}

    def is_made(name: str) -> bool:
        if name not in there or name not in made or made[name].digest != _digest(VIEWS[name]):
            return False
        return not there[name] or made[name].server_digest == _digest(there[name])

    return [name for name in VIEWS if not is_made(name)]


def drop(connection: Connection) -> None:
    """Drop the views, where their tables cannot be altered with them."""
    for name in VIEWS:
        connection.execute(text(f"DROP VIEW IF EXISTS {name}"))


def make(connection: Connection) -> None:
    """Make the views that are not there as they should be; none is away meanwhile."""
    for name in to_make(connection):
        if connection.dialect.name == "sqlite":  # it knows no other way; its readers see both or neither
            connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
            connection.execute(text(VIEWS[name]))
        else:
            connection.execute(text(VIEWS[name].replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)))
        made = {"name": name, "digest": _digest(VIEWS[name]), "server_digest": _digest(_on_server(connection)[name])}
        connection.execute(delete(_made).where(_made.c.name == name))
        connection.execute(insert(_made).values(made))
