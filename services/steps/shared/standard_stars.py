"""Which standard band the filter of an observation is brought to, and the magnitudes of its sources in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.zero_points import BANDS, RELATIONS, band_of_filter, by_relation
from schema.observing import Filter, Observation
from schema.skies import SourceCrossmatch
from services.choices import Choices
from services.errors import ConfigurationError
from services.frame_geometry import plane_of
from services.log import get_logger
from services.sky.catalogue.standard_table import CATALOGUE, StandardStars, read_standards
from services.steps.shared.graph_fluxes import GraphAxes

log = get_logger("standard")
RELATION = "relation"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StandardStar:
    """Magnitudes of all sources in a band: float64[n], NaN where unknown; what is published of their errors, mag."""

    band: str
    magnitude: Floats
    origin: str  # relation, synthetic, table
    systematic: float | None


def wanted_band(session: Session, observation_id: int | None, choices: Choices) -> str | None:
    """The band that is chosen for the filter, else the one that it is named for; None for neither.

    A colour camera's red or blue pixels have the name of a band that they are not.

    Raises:
        ConfigurationError: the choice names no band.
    """
    query = select(Filter.name, Observation.geometry).join(Observation, Observation.filter_id == Filter.filter_id)
    row = session.execute(query.where(Observation.observation_id == observation_id)).one_or_none()
    if row is None:
        return None
    name, geometry = row
    for one in choices.standard_bands:
        of_filter, _, band = (part.strip() for part in one.partition("="))
        if band not in (*BANDS, "none"):
            raise ConfigurationError(f"standard_bands has {one!r}: expected one of {', '.join(BANDS)}, or none")
        if of_filter == name:
            return None if band == "none" else band
    return None if name == plane_of(geometry) else band_of_filter(name)


def standard_stars(session: Session, axes: GraphAxes, band: str, choices: Choices) -> StandardStar | None:
    """Magnitudes of the sources: by the table of standard stars, Gaia's synthetic ones of the catalogue, or relations.

    Raises:
        ConfigurationError: a table cannot be read, or its columns are not what is declared.
    """
    stars = _of_table(band, choices)
    if stars is not None:
        magnitude = stars.of(_gaia_ids(session, axes), axes.radec)
        # Without a colour in Gaia a star tells nothing of the colour term.
        magnitude = np.where(np.isfinite(axes.gaia.colour), magnitude, np.nan)
        return StandardStar(band, magnitude, stars.origin, None)
    if band not in RELATIONS:
        log.info("no standard magnitudes: Gaia has no relation for this band, and no table has it", band=band)
        return None
    magnitude = by_relation(band, axes.gaia.g_mag, axes.gaia.colour)
    return StandardStar(band, magnitude, RELATION, RELATIONS[band].scatter)


def _of_table(band: str, choices: Choices) -> StandardStars | None:
    if choices.standard_file is not None:
        stars = read_standards(choices.standard_file, choices.standard_columns, band, "standard_file")
        if stars is None:
            log.info("the table of standard stars has no such band", band=band, file=str(choices.standard_file))
        return stars
    if choices.catalog_file is not None:
        stars = read_standards(choices.catalog_file, choices.standard_columns, band, CATALOGUE)
        if stars is not None:
            return stars
    return None


def _gaia_ids(session: Session, axes: GraphAxes) -> NDArray[np.int64]:
    """Numbers in Gaia of the sources: int64[n], 0 for those that are not matched."""
    found = np.zeros(axes.source_ids.size, dtype=np.int64)
    if not found.size:
        return found
    position = {source_id: index for index, source_id in enumerate(axes.source_ids.tolist())}
    columns = SourceCrossmatch
    rows = session.execute(
        select(columns.source_id, columns.gaia_source_id).where(
            columns.source_id.between(int(axes.source_ids.min()), int(axes.source_ids.max())),
            columns.match_rank == 1,
            columns.is_match.is_(True),
        )
    )
    for source_id, gaia_id in rows:
        if (index := position.get(source_id)) is not None:
            found[index] = gaia_id
    return found
