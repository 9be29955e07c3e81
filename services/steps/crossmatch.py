"""`crossmatch`: the three nearest Gaia stars of each source with coordinates, and which one is the star itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import middle_of, pixel_scale, separation_arcsec
from pipeline.sky.catalogue_match import Crossmatch, crossmatch, detection_limit, estimate_zero_point, match_radius
from pipeline.units import ARCSEC
from schema.image import CALIBRATED
from schema.processes import FAILED, Process
from schema.queries import images
from schema.queries.measurements import insert_rows, none_for_nan
from schema.skies import PlateSolution, Sky, Source, SourceCrossmatch, SourcePosition
from services.choices import Choices
from services.errors import DataError
from services.log import get_logger
from services.sky.catalogue import Catalogue, CatalogueStars, faintest_mag, open_catalogue
from services.steps.shared.image_columns import column
from services.steps.shared.needs import optional, required
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.solve_later import SOLVERS

log = get_logger("crossmatch")
MARGIN_DEG = 1.0 / 60.0  # neighbours of sources at the edge, and stars that moved in since the catalogue's epoch
# A field wider than this is first asked for its bright stars: they tell how deep the image is. To G = 18 a circle of
# 15 degrees has five million stars, to the limit of a camera lens a hundred thousand.
WIDE_DEG = 2.0
BRIGHT_MAG = 12.0
IDS_AT_ONCE = 1000  # of one DELETE
COLUMNS = (
    "source_id",
    "match_rank",
    "pid",
    "gaia_source_id",
    "distance_arcsec",
    "g_mag",
    "bp_mag",
    "rp_mag",
    "parallax_mas",
    "variable",
    "is_match",
    "ra_deg",
    "dec_deg",
)


class CrossmatchParameters(Parameters):
    """PIDs of the `detect` whose sources are matched, and of those that tried to solve the template, in their order.

    Graphs of earlier versions name the one `solve` that they have.
    """

    detected: int
    solved: int | None = None
    solvers: tuple[int, ...] = ()

    @property
    def tried(self) -> tuple[int, ...]:
        """All of them."""
        return self.solvers or (() if self.solved is None else (self.solved,))


@dataclass(frozen=True)
class _Sources:
    """Sources of one detection that have coordinates, ``[n]`` each, by id."""

    source_id: NDArray[np.int64]
    sky_ids: frozenset[int]  # that registered them
    xy: NDArray[np.float64]  # of the template, px
    radec: NDArray[np.float64]
    flux: NDArray[np.float64]

    def circle(self) -> tuple[float, float, float]:
        """Right ascension and declination of the middle, and the farthest source's distance from it, degrees."""
        middle = middle_of(self.radec)
        radius = separation_arcsec(middle, self.radec).max() / ARCSEC
        return float(middle[0, 0]), float(middle[0, 1]), float(radius)


def run(context: Context, parameters: CrossmatchParameters) -> Outputs | None:
    """Match the sources of a detection; without coordinates or a catalogue, what an earlier night found stays."""
    with context.reading() as session:
        sources = _sources(session, parameters.detected)
        reason = _unsolved(session, parameters.tried) if sources is None else ""
        times = column(images.of_graph(session, context.graph_pid, CALIBRATED), "jd_utc")
    if sources is None:
        log.info("no source has coordinates, so that none is matched", unsolved=reason)
        return None
    catalogue = open_catalogue(context.deployment, context.choices)
    if catalogue is None:
        log.info("no source is matched: no catalogue was chosen")
        return None
    epoch = float(np.median(times[np.isfinite(times)])) if np.isfinite(times).any() else None
    radius = match_radius(pixel_scale(sources.xy, sources.radec))
    stars, places = _stars(catalogue, sources, epoch, radius, faintest_mag(context.choices))
    found = crossmatch(sources.radec, sources.flux, places, stars.g_mag, radius)
    log.info(
        "sources matched",
        sources=sources.source_id.size,
        stars=len(stars),
        matches=int(found.is_match.sum()),
        radius_arcsec=round(radius, 2),
        zero_point=round(found.zero_point, 2),
        mag_limit=round(min(found.mag_limit, faintest_mag(context.choices)), 2),
    )
    return lambda session: _write(session, context.pid, sources, stars, places, found)


def _unsolved(session: Session, tried: tuple[int, ...]) -> str:
    """Why no source has coordinates.

    Raises:
        DataError: one of those that tried to solve the template failed, and may do better.
    """
    query = select(Process.pid, Process.command).where(Process.pid.in_(tried), Process.status == FAILED)
    if failed := session.execute(query.limit(1)).one_or_none():
        raise DataError(
            f"no source has coordinates, for `{failed.command}` (process {failed.pid}) failed: "
            "`tianyu retry --failed` tries both again"
        )
    reasons = (row.reason for pid in tried if (row := session.get(PlateSolution, pid)) is not None)
    return "; ".join(reason for reason in reasons if reason)


def _sources(session: Session, detected: int) -> _Sources | None:
    """Sources of a detection with coordinates; None without any."""
    rows = session.execute(
        select(
            Source.source_id,
            Source.sky_id,
            SourcePosition.x,
            SourcePosition.y,
            Source.ra_deg,
            Source.dec_deg,
            SourcePosition.flux,
        )
        .join(SourcePosition, SourcePosition.source_id == Source.source_id)
        .where(SourcePosition.pid == detected, Source.ra_deg.is_not(None), Source.dec_deg.is_not(None))
        .order_by(Source.source_id)
    ).all()
    if not rows:
        return None
    ids, skies, x, y, ra, dec, flux = zip(*rows, strict=True)
    return _Sources(
        np.array(ids, dtype=np.int64),
        frozenset(skies),
        np.column_stack([x, y]).astype(np.float64),
        np.column_stack([ra, dec]).astype(np.float64),
        np.array(flux, dtype=np.float64),
    )


def _stars(
    catalogue: Catalogue, sources: _Sources, epoch: float | None, radius_arcsec: float, mag_limit: float
) -> tuple[CatalogueStars, NDArray[np.float64]]:
    """Stars around the sources and their places at the epoch; of a wide field only as deep as its image is."""
    ra, dec, field = sources.circle()
    reach = field + MARGIN_DEG + 10.0 * radius_arcsec / ARCSEC
    if field > WIDE_DEG and mag_limit > BRIGHT_MAG:
        bright = catalogue.cone(ra, dec, reach, BRIGHT_MAG)
        places = _places(bright, epoch)
        zero_point = estimate_zero_point(sources.radec, sources.flux, places, bright.g_mag, radius_arcsec)
        mag_limit = min(mag_limit, max(BRIGHT_MAG, detection_limit(sources.flux, zero_point)))
    stars = catalogue.cone(ra, dec, reach, mag_limit)
    return stars, _places(stars, epoch)


def _places(stars: CatalogueStars, epoch: float | None) -> NDArray[np.float64]:
    """Where the stars stood; without a time, where the catalogue has them."""
    return stars.radec if epoch is None else stars.at_epoch(epoch)


def _write(
    session: Session,
    pid: int,
    sources: _Sources,
    stars: CatalogueStars,
    places: NDArray[np.float64],
    found: Crossmatch,
) -> None:
    """Put the neighbours in the place of what was known of these sources."""
    # Observations that share sources take turns: two that delete and then insert the same rows would collide.
    skies = select(Sky.sky_id).where(Sky.sky_id.in_(sources.sky_ids)).order_by(Sky.sky_id)
    session.execute(skies.with_for_update())
    ids = sources.source_id.tolist()
    for start in range(0, len(ids), IDS_AT_ONCE):
        few = ids[start : start + IDS_AT_ONCE]
        session.execute(delete(SourceCrossmatch).where(SourceCrossmatch.source_id.in_(few)))
    source, rank = np.nonzero(found.index >= 0)
    star = found.index[source, rank]
    numbers = [stars.g_mag, stars.bp_mag, stars.rp_mag, stars.parallax_mas]
    values = [
        sources.source_id[source].tolist(),
        (rank + 1).tolist(),
        [pid] * source.size,
        stars.source_id[star].tolist(),
        found.distance_arcsec[source, rank].tolist(),
        *(none_for_nan(column[star]) for column in numbers),
        stars.variable[star].tolist(),
        (found.is_match[source] & (rank == 0)).tolist(),
        *places[star].T.tolist(),
    ]
    insert_rows(session, SourceCrossmatch.__table__, COLUMNS, zip(*values, strict=True))


def wants_catalogue(choices: Choices) -> bool:
    """Whether sources are matched with a catalogue."""
    return choices.catalog != "none" or choices.catalog_file is not None


CROSSMATCH = Step(
    "crossmatch",
    CrossmatchParameters,
    run,
    gives="three nearest Gaia sources of each source",
    # When a solver is tried again, so are the names, after it.
    needs=(required("detect", "detected"), optional(*SOLVERS, all_into="solvers")),
    reads=("catalog", "catalog_file", "catalog_mag_limit"),
    anywhere=True,
    tables=(SourceCrossmatch,),
    joins=True,
    wanted=wants_catalogue,
    unwanted="catalog is none and there is no catalog_file; set one of them in tianyu.toml",
    missing="not asked: no catalogue was set when this was published (catalog, catalog_file); "
    "`tianyu rerun --from crossmatch {observation}` asks the one of today's settings",
)
