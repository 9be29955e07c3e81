"""A processed observation as injection sees it: raw frames with their alignment, and stars with their quality."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from pipeline.registration.alignment import Alignment
from schema.frame import Frame
from schema.image import CALIBRATED, Image, ImageParent
from schema.observing import LIGHT, Observation
from services.errors import DataError
from services.own_site import require_own
from services.results.lightcurves.observation_facts import ObservationFacts, find_observation
from services.results.lightcurves.star_statistics import Stars, read_stars
from services.settings import Settings
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.graph_fluxes import graph_axes

PACKED = re.compile(r"(\.(fits?|fts))?\.(fz|gz)$", re.IGNORECASE)  # endings of compressed frames; copies are plain


@dataclass(frozen=True)
class RawFrame:
    """A raw frame; without alignment where it is no light frame, or could not be calibrated and aligned."""

    path: Path
    kind: str
    copy: str  # where its copy lies, relative to the folder of frames
    size_bytes: int
    shape: tuple[int, int]
    jd_utc: float | None = None  # mid-exposure
    saturation: float | None = None  # ADU
    fwhm: float | None = None  # px
    alignment: Alignment | None = None
    good: bool = False  # it passed the selection


@dataclass(frozen=True)
class ProcessedNight:
    """An observation with light curves. ``stars`` as `read_stars` orders them, and float64[n, 2] their places: ``xy``
    template px, ``on_first`` px of the first frame.
    """

    facts: ObservationFacts
    frames: tuple[RawFrame, ...]
    stars: Stars
    xy: NDArray[np.float64]
    on_first: NDArray[np.float64]

    @property
    def aligned(self) -> list[RawFrame]:
        """Light frames on which the stars' places are known."""
        return [frame for frame in self.frames if frame.alignment is not None and frame.jd_utc is not None]

    @property
    def fwhm(self) -> float:
        """Median FWHM of the aligned frames, px."""
        return float(np.median([frame.fwhm for frame in self.aligned if frame.fwhm]))


def read_night(session: Session, settings: Settings, observation_id: int | None = None) -> ProcessedNight:
    """Read a processed observation.

    Raises:
        ConfigurationError: there is no such observation, or its frames lie at another site.
        DataError: it has no analysed light curves.
    """
    facts = find_observation(session, observation_id)
    require_own(session, settings.site, session.get_one(Observation, facts.observation_id))
    stars = read_stars(session, facts.analysis_pid)
    if facts.graph_pid is None or not stars.source_id.size:
        raise DataError(
            f"observation {facts.observation_id} ({facts.title}) has no analysed light curves: "
            f"`tianyu status {facts.observation_id}` shows how far it is; injection needs a processed observation"
        )
    geometry = session.get_one(Observation, facts.observation_id).geometry
    if geometry:
        raise DataError(
            f"observation {facts.observation_id} has frames that are not whole images of their files ({geometry}): "
            "injection works on whole ones alone"
        )
    axes = graph_axes(session, facts.graph_pid)
    rows = np.searchsorted(axes.source_ids, stars.source_id)
    frames = _light_frames(session, settings.root, facts)
    if not any(frame.alignment is not None for frame in frames):
        raise DataError(f"observation {facts.observation_id} ({facts.title}) has no aligned frame")
    frames += _calibration_frames(session, settings.root, facts.graph_pid)
    return ProcessedNight(facts, tuple(frames), stars, axes.xy[rows], axes.on_first[rows])


def _light_frames(session: Session, root: Path, facts: ObservationFacts) -> list[RawFrame]:
    raws = session.scalars(
        select(Image)
        .where(Image.observation_id == facts.observation_id, Image.kind == LIGHT, Image.pid.is_(None))
        .order_by(Image.start_jd_utc, Image.image_id)
    ).all()
    parent = aliased(Image)
    pairs = session.execute(
        select(ImageParent.parent_id, Frame)
        .join(Frame, Frame.image_id == ImageParent.image_id)
        .join(parent, parent.image_id == ImageParent.parent_id)
        .where(Frame.graph_pid == facts.graph_pid, parent.kind == LIGHT)
    )
    calibrated = dict(pairs.tuples().all())
    return [
        _raw_frame(root, raw, copy, calibrated.get(raw.image_id)) for raw, copy in zip(raws, _copies(raws), strict=True)
    ]


def _calibration_frames(session: Session, root: Path, graph_pid: int) -> list[RawFrame]:
    """The raw frames behind the masters of a graph, by the lineage of its calibrated images."""
    level = set(
        session.scalars(
            select(ImageParent.parent_id)
            .join(Image, Image.image_id == ImageParent.image_id)
            .where(Image.graph_pid == graph_pid, Image.kind == CALIBRATED)
            .distinct()
        )
    )
    raws: dict[int, Image] = {}
    while level:
        found = session.scalars(select(Image).where(Image.image_id.in_(level))).all()
        raws |= {one.image_id: one for one in found if one.pid is None and one.kind != LIGHT}
        made = [one.image_id for one in found if one.pid is not None]
        level = set(session.scalars(select(ImageParent.parent_id).where(ImageParent.image_id.in_(made))))
    ordered = [raws[image_id] for image_id in sorted(raws)]
    return [_raw_frame(root, raw, copy, None) for raw, copy in zip(ordered, _copies(ordered), strict=True)]


def _raw_frame(root: Path, raw: Image, copy: str, calibrated: Frame | None) -> RawFrame:
    aligned = calibrated is not None and calibrated.dx is not None and calibrated.dy is not None
    return RawFrame(
        path=root / raw.path,
        kind=raw.kind,
        copy=PACKED.sub(".fits", copy) if aligned else copy,
        size_bytes=raw.size_bytes or 0,
        shape=(raw.ny or 0, raw.nx or 0),
        jd_utc=raw.jd_utc,
        saturation=raw.saturation,
        fwhm=None if calibrated is None else calibrated.fwhm,
        alignment=alignment_of(calibrated) if calibrated is not None and aligned else None,
        good=calibrated is not None and bool(calibrated.good),
    )


def _copies(raws: Iterable[Image]) -> list[str]:
    """KIND/NAME of each frame, as ingest may need both to tell what it is; a name that comes twice gets a folder."""
    taken: set[str] = set()
    copies = []
    for raw in raws:
        name = Path(raw.path).name
        copy = f"{raw.kind}/{name}"
        if copy.lower() in taken:
            copy = f"{raw.kind}/{raw.image_id}/{name}"
        taken.add(copy.lower())
        copies.append(copy)
    return copies
