"""Which stars are known, wherever on the sphere: by cells of HEALPix, whichever sky registered them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, aliased

from pipeline.sky.astrometry.recognition import recognise
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.healpix import ranges_of_cone
from pipeline.units import ARCSEC
from schema.processes import Process
from schema.queries.scheduling import chunks
from schema.skies import PlateSolution, Sky, Source, SourcePosition
from services.log import get_logger

log = get_logger("known_sources")
MATCH_RADIUS_ARCSEC = 1.5  # the paper, section 3.3
MATCH_RADIUS_COARSE_PX = 0.75  # where pixels are coarser than what the paper had in mind
MARGIN_PX = 20.0  # around a field, for what two solutions may be apart

Points = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """Sources with coordinates, n of them, in order of their ids, which are the stars' own."""

    ids: Ids
    sky_ids: Ids
    pids: Ids  # of the `detect` that first saw each
    radec: Points  # float64[n, 2], degrees


def near(session: Session, wcs: SkyWcs, shape: tuple[int, int], *, but_of: int | None = None) -> Known:
    """Sources that an image may show; ``but_of``: without those of this sky."""
    margin = MARGIN_PX * wcs.pixel_scale(shape) / ARCSEC
    ranges = ranges_of_cone(*wcs.centre(shape), min(wcs.radius(shape) + margin, 180.0))
    query = select(Source.source_id, Source.sky_id, Source.pid, Source.ra_deg, Source.dec_deg).where(
        or_(*(Source.healpix.between(first, last) for first, last in ranges.tolist())), Source.same_as.is_(None)
    )
    if but_of is not None:
        query = query.where(Source.sky_id != but_of)
    rows: list[Any] = [tuple(row) for row in session.execute(query)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    pids = np.array([row[2] for row in rows], dtype=np.int64)  # too long for a float
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    return Known(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), pids[order], table[:, 3:5])


def known_stars(session: Session, wcs: SkyWcs, shape: tuple[int, int], xy: Points, *, but_of: int | None = None) -> Ids:
    """Ids of the known sources of stars at xy float64[n, 2] on an image; −1 for those that are new.

    Where two skies had registered one star each by itself, the one that was registered first is meant from now on.

    but_of: a sky whose sources do not count.
    """
    known = near(session, wcs, shape, but_of=but_of)
    expected = wcs.to_pixels(known.radec)
    with np.errstate(invalid="ignore"):  # NaN is nowhere
        low, high = xy.min(axis=0, initial=np.inf) - MARGIN_PX, xy.max(axis=0, initial=-np.inf) + MARGIN_PX
        inside = ((expected > low) & (expected < high)).all(axis=1)
    known = Known(known.ids[inside], known.sky_ids[inside], known.pids[inside], known.radec[inside])
    scale = wcs.pixel_scale(shape)
    coarser = np.maximum(_scales(session, known), scale)
    radius = np.maximum(MATCH_RADIUS_ARCSEC, MATCH_RADIUS_COARSE_PX * coarser) / scale
    found = recognise(expected[inside], radius, known.pids, xy)
    ids = np.where(found.match >= 0, known.ids[found.match] if known.ids.size else -1, -1)
    pairs = [(int(ids[star]), int(known.ids[other])) for star, other in found.rivals.tolist()]
    renamed = _join_twins(session, pairs, dict(zip(known.ids.tolist(), known.sky_ids.tolist(), strict=True)))
    return np.array([renamed.get(one, one) for one in ids.tolist()], dtype=np.int64)


def call_same(session: Session, same_as: dict[int, int]) -> None:
    """Note of sources (keys) which other one is the same star's; those that meant a key mean that one too."""
    if not same_as:
        return
    for part in chunks(sorted(same_as)):
        rows = session.execute(select(Source.source_id, Source.same_as).where(Source.same_as.in_(part))).all()
        followers = {source_id: same_as[other] for source_id, other in rows if other is not None}
        session.execute(
            update(Source),
            [
                {"source_id": source_id, "same_as": other}
                for source_id, other in (followers | {one: same_as[one] for one in part}).items()
            ],
        )
    log.info("sources are stars that were known by other ids", sources=len(same_as))


def seen_by(session: Session, source_ids: Iterable[int]) -> dict[int, set[int]]:
    """The `detect` that measured each source. Two that one of them saw side by side are two stars."""
    seen: dict[int, set[int]] = defaultdict(set)
    for part in chunks(sorted(set(source_ids))):
        query = select(SourcePosition.source_id, SourcePosition.pid).where(SourcePosition.source_id.in_(part))
        for source_id, pid in session.execute(query):
            seen[source_id].add(pid)
    return seen


def _join_twins(session: Session, pairs: list[tuple[int, int]], sky_of: dict[int, int]) -> dict[int, int]:
    """Join sources of different skies at one place; returns which ids stand for which others from now on."""
    pairs = [(one, two) for one, two in pairs if sky_of[one] != sky_of[two]]
    seen = seen_by(session, (one for pair in pairs for one in pair))
    groups: dict[int, list[int]] = {}
    for one, two in pairs:
        group = groups.setdefault(one, [one])
        if all(sky_of[two] != sky_of[member] and not seen[two] & seen[member] for member in group):
            group.append(two)
    same_as = {member: min(group) for group in groups.values() for member in group if member != min(group)}
    call_same(session, same_as)
    return same_as


def _scales(session: Session, known: Known) -> Points:
    """Arcsec a pixel of the templates on which known sources were first seen, else of their skies: float64[n]."""
    sky_ids, of_sky = np.unique(known.sky_ids, return_inverse=True)
    per_sky = [_sky_scale(session.get_one(Sky, sky_id)) for sky_id in sky_ids.tolist()]
    solve = aliased(Process)
    pids, of_pid = np.unique(known.pids, return_inverse=True)
    scales: dict[int, float] = {}
    for part in chunks(pids.tolist()):
        query = (
            select(Process.pid, func.max(PlateSolution.pixel_scale_arcsec))
            .join(solve, solve.graph_pid == Process.graph_pid)
            .join(PlateSolution, PlateSolution.pid == solve.pid)
            .where(Process.pid.in_(part), PlateSolution.pixel_scale_arcsec.is_not(None))
            .group_by(Process.pid)
        )
        scales |= {pid: scale for pid, scale in session.execute(query) if scale is not None}
    own = np.array([scales.get(pid, np.nan) for pid in pids.tolist()], dtype=np.float64)[of_pid]
    return np.where(np.isfinite(own), own, np.array(per_sky, dtype=np.float64)[of_sky])


def _sky_scale(sky: Sky) -> float:
    """Arcsec a pixel, where the sky's plane touches the sphere."""
    return 0.0 if sky.wcs is None else float(np.sqrt(abs(np.linalg.det(SkyWcs.from_text(sky.wcs).cd))) * ARCSEC)
