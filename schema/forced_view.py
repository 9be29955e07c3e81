"""The SQL view of fluxes at places that were asked for, whatever is there."""

from schema.view_parts import BAD_FRAME, SPOILING, at_barycentre, newest, seen

FORCED_SIGMA = 3  # errors below which a flux at a place that was asked for is no detection
# G of a star of the colour at which the colour term is nothing, for 1 ADU at a place.
_FORCED_ZERO_POINT = (
    "(z.zero_point + z.field_u * p.u + z.field_v * p.v"
    " + z.field_uu * p.u * p.u + z.field_uv * p.u * p.v + z.field_vv * p.v * p.v)"
)

# Of places of one name the newest list's counts; of the processes that measured one, the newest.
FORCED_LIGHT_CURVE = f"""
CREATE VIEW forced_light_curve AS
SELECT p.observation_id AS observation_id,
       p.name AS target,
       p.ra_deg AS ra,
       p.dec_deg AS `dec`,
       p.nearest_source_id AS nearest_source_id,
       p.nearest_arcsec AS nearest_arcsec,
       p.is_source AS is_source,
       f.image_id AS image_id,
       i.jd_utc AS jd_utc,
       {seen("bjd_tdb")} AS bjd_tdb,
       {at_barycentre("p")} AS bjd_tdb_source,
       f.aperture AS aperture,
       CASE WHEN f.aperture = (SELECT b.aperture FROM aperture b WHERE b.graph_pid = p.graph_pid AND b.kind = 'circle'
                               ORDER BY b.radius, b.aperture LIMIT 1) THEN 1 ELSE 0 END AS aperture_best,
       f.flux AS flux_raw,
       f.flux_error AS flux_raw_error,
       f.flux / t.term AS flux_forced,
       SQRT(POWER(f.flux_error * t.error_factor / t.term, 2)
            + POWER(f.flux * t.term_error / t.term, 2)) AS flux_forced_error,
       f.flux / (f.flux_error * COALESCE(t.error_factor, 1)) AS significance,
       CASE WHEN f.flux < {FORCED_SIGMA} * f.flux_error * COALESCE(t.error_factor, 1) THEN
            (CASE WHEN f.flux > 0 THEN f.flux ELSE 0 END + {FORCED_SIGMA} * f.flux_error * t.error_factor)
            / t.term END AS flux_limit,
       CASE WHEN f.flux >= {FORCED_SIGMA} * f.flux_error * COALESCE(t.error_factor, 1) THEN
            {_FORCED_ZERO_POINT} - 2.5 * LOG10(f.flux) END AS mag,
       CASE WHEN f.flux >= {FORCED_SIGMA} * f.flux_error * COALESCE(t.error_factor, 1) THEN
            SQRT(POWER(1.0857362 * f.flux_error * COALESCE(t.error_factor, 1) / f.flux, 2)
                 + POWER(z.zero_point_error, 2)) END AS mag_error,
       CASE WHEN f.flux < {FORCED_SIGMA} * f.flux_error * COALESCE(t.error_factor, 1) THEN
            {_FORCED_ZERO_POINT}
            - 2.5 * LOG10(CASE WHEN f.flux > 0 THEN f.flux ELSE 0 END
                          + {FORCED_SIGMA} * f.flux_error * COALESCE(t.error_factor, 1)) END AS mag_limit,
       f.flag + CASE WHEN v.good = 0 THEN {BAD_FRAME} ELSE 0 END AS flag,
       v.good AS image_good,
       CASE WHEN f.flux IS NOT NULL AND v.good = 1 AND (f.flag & {SPOILING}) = 0 THEN 1 ELSE 0 END AS usable
FROM forced_place p
JOIN observation o ON o.observation_id = p.observation_id AND o.graph_pid = p.graph_pid
JOIN forced_flux f ON f.placed_pid = p.pid AND f.place = p.place
JOIN image i ON i.image_id = f.image_id
{newest("verdict", "i", "v")}
{newest("frame_sight", "i", "h")}
LEFT JOIN forced_term t
       ON t.placed_pid = f.placed_pid AND t.place = f.place AND t.image_id = f.image_id AND t.aperture = f.aperture
      AND t.pid = (SELECT MAX(n.pid) FROM forced_term n
                   WHERE n.placed_pid = f.placed_pid AND n.place = f.place AND n.image_id = f.image_id
                     AND n.aperture = f.aperture)
LEFT JOIN zero_point z
       ON z.pid = o.zero_point_pid AND z.image_id = f.image_id AND z.aperture = f.aperture
WHERE NOT EXISTS (SELECT 1 FROM forced_place n
                  WHERE n.observation_id = p.observation_id AND n.graph_pid = p.graph_pid AND n.name = p.name
                    AND n.pid > p.pid)
  AND f.pid = (SELECT MAX(n.pid) FROM forced_flux n
               WHERE n.placed_pid = f.placed_pid AND n.place = f.place AND n.image_id = f.image_id
                 AND n.aperture = f.aperture)
"""  # noqa: S608 - numbers of our own
