"""What `import tianyu` asks a database besides light curves, by name: the same over a folder, a server and HTTP.

`tianyu serve` answers these questions and no others, so that no SQL comes over HTTP. The client (`client/tianyu`) has
this file too: it knows no other of this package.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import TextClause, bindparam, text

Kind = Literal["number", "text", "numbers", "texts"]

FRAME = (
    *("observation_id", "frame_id", "image_id", "path", "kind", "target", "filter", "night", "exposure_s", "jd_utc"),
    *("bjd_tdb", "airmass", "altitude_deg", "azimuth_deg", "star_count", "fwhm", "ellipticity", "sky", "sky_rms"),
    *("transparency", "dx", "dy", "rotation_deg", "scale", "is_reference", "good", "reason", "gain", "site"),
)
IMAGE = (
    *("image_id", "kind", "observation_id", "pid", "path", "nx", "ny", "exposure_s", "jd_utc", "fwhm"),
    *("background", "background_rms", "weight"),
)
FORCED = (
    *(
        "observation_id",
        "target",
        "ra",
        "dec",
        "nearest_source_id",
        "nearest_arcsec",
        "is_source",
        "image_id",
        "jd_utc",
    ),
    *("bjd_tdb", "bjd_tdb_source", "aperture", "aperture_best", "flux_raw", "flux_raw_error", "flux_forced"),
    *("flux_forced_error", "significance", "flux_limit", "mag", "mag_error", "mag_limit", "flag", "image_good"),
    "usable",
)
_FRAMES = f"SELECT {', '.join(f'`{name}`' for name in FRAME)} FROM frame"  # noqa: S608 - own words
_IMAGES = (
    f"SELECT {', '.join(f'i.{name}' for name in IMAGE)}, s.root AS file FROM image i "  # noqa: S608 - own words
    "JOIN site s ON s.site_id = i.site_id WHERE i.pid IS NOT NULL AND i.deleted_at IS NULL AND i.kind LIKE :kind"
)


@dataclass(frozen=True)
class Question:
    """A query, and the kinds of its parameters; its answer is refused where it has more rows than may be."""

    sql: str
    parameters: Mapping[str, Kind]

    def statement(self) -> TextClause:
        """The query; lists become as many marks as they have values."""
        lists = [name for name, kind in self.parameters.items() if kind in ("numbers", "texts")]
        return text(self.sql).bindparams(*(bindparam(name, expanding=True) for name in lists))

    def fits(self, given: Mapping[str, Any]) -> bool:
        """Whether these are its parameters, each of its kind."""
        return given.keys() == self.parameters.keys() and all(
            _is(given[name], kind) for name, kind in self.parameters.items()
        )


def _is(value: Any, kind: Kind) -> bool:
    one = int if kind.startswith("number") else str
    if kind in ("numbers", "texts"):
        return isinstance(value, list) and all(type(each) is one for each in value)
    return type(value) is one


QUESTIONS: dict[str, Question] = {
    "observations": Question(
        """
SELECT o.observation_id, t.name AS target, f.name AS filter, i.name AS instrument, i.telescope AS telescope,
       o.night, o.exposure_s, o.graph_pid, o.calibration_pid, p.version AS tianyu_version, p.choices,
       (SELECT s.method FROM reference_star s WHERE s.pid = o.calibration_pid LIMIT 1) AS method
FROM observation o
JOIN target t ON t.target_id = o.target_id
JOIN filter f ON f.filter_id = o.filter_id
JOIN instrument i ON i.instrument_id = o.instrument_id
LEFT JOIN process c ON c.pid = o.calibration_pid
LEFT JOIN published_choices p ON p.choices_id = c.choices_id
WHERE t.kind = 'light'
ORDER BY o.night, o.observation_id
""",
        {},
    ),
    "frames": Question(f"{_FRAMES} ORDER BY jd_utc, frame_id", {}),
    "frames_of": Question(
        f"{_FRAMES} WHERE observation_id = :observation ORDER BY jd_utc, frame_id", {"observation": "number"}
    ),
    "images": Question(f"{_IMAGES} ORDER BY i.pid", {"kind": "text"}),
    "images_of": Question(
        f"{_IMAGES} AND i.observation_id = :observation ORDER BY i.pid", {"kind": "text", "observation": "number"}
    ),
    "gaia": Question(
        "SELECT gaia_source_id, source_id FROM source_catalog WHERE gaia_source_id IN :numbers", {"numbers": "numbers"}
    ),
    "names": Question(
        "SELECT name, ra_deg, dec_deg, pm_ra_mas, pm_dec_mas FROM named_object WHERE name IN :names", {"names": "texts"}
    ),
    "sources_in_cells": Question(  # of `sky_cells`: a survey has millions of sources
        "SELECT source_id, ra_deg, dec_deg FROM source WHERE healpix IN :cells AND ra_deg IS NOT NULL",
        {"cells": "numbers"},
    ),
    "is_solved": Question("SELECT source_id FROM source WHERE healpix IS NOT NULL LIMIT 1", {}),
    "forced_places": Question(
        """
SELECT p.observation_id, p.name, p.ra_deg, p.dec_deg, p.inside, p.is_source, p.nearest_source_id, p.nearest_arcsec
FROM forced_place p
JOIN observation o ON o.observation_id = p.observation_id AND o.graph_pid = p.graph_pid
WHERE NOT EXISTS (SELECT 1 FROM forced_place n
                  WHERE n.graph_pid = p.graph_pid AND n.name = p.name AND n.pid > p.pid)
ORDER BY p.observation_id, p.pid, p.place
""",
        {},
    ),
    "forced_points": Question(
        f"SELECT {', '.join(f'`{name}`' for name in FORCED)} FROM forced_light_curve "  # noqa: S608 - own words
        "WHERE observation_id = :observation AND target IN :targets ORDER BY target, jd_utc, image_id, aperture",
        {"observation": "number", "targets": "texts"},
    ),
    "places": Question(
        "SELECT source_id, x, y FROM source_place WHERE observation_id = :observation AND x IS NOT NULL",
        {"observation": "number"},
    ),
    "stars": Question(
        "SELECT source_id, same_as FROM source WHERE source_id IN :ids OR same_as IN :ids", {"ids": "numbers"}
    ),
}
