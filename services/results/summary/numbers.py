"""What `tianyu run` says at its end: frames used and rejected, stars, precision, and what to know about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import distinct, exists, func, select
from sqlalchemy.orm import Session

from pipeline.units import MAG_PER_LN
from schema.frame import Frame
from schema.image import Image
from schema.observing import Observation
from schema.photometry import ReferenceStar, RelativeFlux, ZeroPoint
from schema.processes import FAILED, SUCCEEDED, Process
from schema.queries.frames import REJECT_REASON, REJECTED
from schema.skies import SourceCrossmatch, SourcePosition
from services.alike import gather, gist
from services.chosen import Chosen, chosen_by
from services.masters import masters_used
from services.own_site import require_observation
from services.results.lightcurves.sky_field import solution_of, unsolved_reasons
from services.results.lightcurves.star_statistics import read_stars, saturated
from services.results.summary.notes import notes_on
from services.results.variability.candidates import count_candidates
from services.steps import STEPS
from services.steps.crossmatch import CROSSMATCH
from services.steps.detect import DETECT
from services.steps.solve import SOLVE
from services.steps.solve_later import SOLVERS
from services.steps.zero_point import ZERO_POINT

BRIGHT_SHARE = 0.1  # of the unsaturated stars, the brightest
MIN_BRIGHT_STARS = 5
SOLVED = ("pixel_scale_arcsec", "position_angle_deg", "mirrored", "matches", "rms_arcsec")  # of a plate solution
MMAG_PER_UNIT = 1000.0 * MAG_PER_LN  # small relative flux to millimagnitudes


@dataclass(frozen=True)
class Rejection:
    """Frames rejected for one kind of reason; names and numbers in ``reason`` are those of the first."""

    reason: str
    frames: int


@dataclass(frozen=True)
class SkySummary:
    """Where the template lies on the sky and what its stars are called; ``…_missing`` say why not, and what to do."""

    pixel_scale_arcsec: float | None = None
    position_angle_deg: float | None = None  # of the image's +y, from north through east
    mirrored: bool | None = None
    matches: int | None = None  # stars that the WCS rests on
    rms_arcsec: float | None = None
    unsolved: str | None = None
    gaia_sources: int = 0  # sources that are a star of Gaia's
    gaia_missing: str | None = None
    zero_point_error_mmag: float | None = None  # beside photon noise, in the aperture where it is least
    zero_point_stars: int | None = None  # that the fit rests on
    zero_point_missing: str | None = None


@dataclass(frozen=True)
class Summary:
    """The result of one observation; scatter and error are relative: 0.001 is 1.09 mmag."""

    observation_id: int
    frames: int
    used: int
    rejected: tuple[Rejection, ...]
    sources: int
    reference_stars: int
    light_curves: int
    bright_stars: int  # the brightest tenth of the unsaturated ones
    bright_scatter: float | None  # their median scatter in the best aperture
    bright_error: float | None  # their median quoted error
    candidates: int  # stars that vary
    sky: SkySummary
    notes: tuple[str, ...]
    published_by: tuple[Chosen, ...]
    no_good: tuple[str, ...] = ()  # kinds of masters that its frames do without, for none of their frames were good

    @property
    def bright_scatter_mmag(self) -> float | None:
        """Scatter in millimagnitudes."""
        return None if self.bright_scatter is None else self.bright_scatter * MMAG_PER_UNIT

    @property
    def bright_error_mmag(self) -> float | None:
        """Quoted error in millimagnitudes."""
        return None if self.bright_error is None else self.bright_error * MMAG_PER_UNIT


def summarize(session: Session, observation_id: int) -> Summary:
    """Summary of the graph whose images count for the observation.

    Raises:
        ConfigurationError: there is no such observation.
    """
    observation = require_observation(session, observation_id)
    frames, used, rejected = _frames(session, observation)
    bright, scatter, error = _precision(session, observation)
    return Summary(
        observation_id=observation_id,
        frames=frames,
        used=used,
        rejected=rejected,
        sources=_sources(session, observation),
        reference_stars=_reference_stars(session, observation),
        light_curves=_light_curves(session, observation),
        bright_stars=bright,
        bright_scatter=scatter,
        bright_error=error,
        candidates=count_candidates(session, observation.analysis_pid),
        sky=_sky(session, observation),
        notes=tuple(notes_on(session, observation, frames - used - sum(kind.frames for kind in rejected))),
        published_by=chosen_by(session, [observation.graph_pid or 0])[observation.graph_pid or 0],
        no_good=tuple(one.kind for one in masters_used(session, observation.graph_pid) if one.is_no_good),
    )


def _frames(session: Session, observation: Observation) -> tuple[int, int, tuple[Rejection, ...]]:
    """Frames of the camera, calibrated images that are good, and why the others are not."""
    of_camera = [Image.observation_id == observation.observation_id, Image.pid.is_(None)]
    frames = session.scalar(select(func.count()).where(*of_camera)) or 0
    of_graph = Frame.graph_pid == observation.graph_pid
    used = session.scalar(select(func.count()).where(of_graph, Frame.good.is_(True))) or 0
    reasons: list[str] = []
    for query in (
        select(REJECT_REASON).where(*of_camera, REJECTED).order_by(Image.image_id),
        select(Frame.reject_reason).where(of_graph, Frame.good.is_(False)).order_by(Frame.image_id),
    ):
        reasons += [reason or "no reason given" for reason in session.scalars(query)]
    return frames, used, group_reasons(reasons)


def group_reasons(reasons: Sequence[str]) -> tuple[Rejection, ...]:
    """Reasons that differ in names and numbers alone are one kind; the most frequent comes first."""
    return tuple(Rejection(members[0], len(members)) for members in gather(reasons, gist))


def _detect(observation: Observation) -> Any:
    return (
        select(Process.pid)
        .where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command)
        .scalar_subquery()
    )


def _sources(session: Session, observation: Observation) -> int:
    return session.scalar(select(func.count()).where(SourcePosition.pid == _detect(observation))) or 0


def _reference_stars(session: Session, observation: Observation) -> int:
    """Stars that are references in at least one aperture."""
    query = select(func.count(distinct(ReferenceStar.source_id))).where(
        ReferenceStar.pid == observation.calibration_pid, ReferenceStar.is_reference.is_(True)
    )
    return session.scalar(query) or 0


def _light_curves(session: Session, observation: Observation) -> int:
    """Sources with a relative flux; asked source by source, which is one probe of the primary key each."""
    if observation.calibration_pid is None:
        return 0
    measured = exists().where(
        RelativeFlux.source_id == SourcePosition.source_id, RelativeFlux.pid == observation.calibration_pid
    )
    return session.scalar(select(func.count()).where(SourcePosition.pid == _detect(observation), measured)) or 0


def _precision(session: Session, observation: Observation) -> tuple[int, float | None, float | None]:
    """Number, median scatter and median quoted error of the brightest unsaturated stars."""
    stars = read_stars(session, observation.analysis_pid)
    n = stars.source_id.size
    wanted = max(MIN_BRIGHT_STARS, round(BRIGHT_SHARE * n))
    chosen: list[int] = []
    # Saturated stars are the brightest: as many again are looked at until there are enough of the others.
    for start in range(0, n, wanted):
        part = stars.source_id[start : start + wanted].tolist()
        unusable = saturated(session, observation.graph_pid, part)
        chosen += [start + place for place, source_id in enumerate(part) if source_id not in unusable]
        if len(chosen) >= wanted:
            break
    chosen = chosen[:wanted]
    if not chosen:
        return 0, None, None
    return len(chosen), float(np.median(stars.scatter[chosen])), float(np.median(stars.error[chosen]))


def _sky(session: Session, observation: Observation) -> SkySummary:
    facts: dict[str, Any] = {}
    solution = solution_of(session, observation)
    if solution is not None and solution.solved:
        facts |= {name: getattr(solution, name) for name in SOLVED}
    elif solution is not None:
        reasons = unsolved_reasons(session, observation) or ["no reason was kept"]
        later = [_not_done(session, observation, command) for command in SOLVERS[1:]]
        facts["unsolved"] = "; ".join([*reasons, *(why for why in later if why is not None)])
    else:
        facts["unsolved"] = _not_done(session, observation, SOLVE.command)
    matched = select(func.count(distinct(SourceCrossmatch.source_id))).join(
        SourcePosition, SourcePosition.source_id == SourceCrossmatch.source_id
    )
    of_graph = (SourcePosition.pid == _detect(observation), SourceCrossmatch.match_rank == 1)
    facts["gaia_sources"] = session.scalar(matched.where(*of_graph, SourceCrossmatch.is_match.is_(True))) or 0
    # Names of an earlier night stay when this night's catalogue is away: both are told.
    facts["gaia_missing"] = _not_done(session, observation, CROSSMATCH.command)
    if facts["gaia_missing"] is None and not facts["gaia_sources"]:
        again = (
            f"if the field was solved afterwards, `tianyu rerun --from crossmatch {observation.observation_id}` helps"
        )
        unsolved = facts.get("unsolved") is not None
        facts["gaia_missing"] = "no source has sky coordinates" if unsolved else f"no source matches a star; {again}"
    facts["zero_point_missing"] = _not_done(session, observation, ZERO_POINT.command)
    fits = session.execute(
        select(func.avg(ZeroPoint.zero_point_error), func.avg(ZeroPoint.stars))
        .join(Frame, Frame.image_id == ZeroPoint.image_id)
        .where(ZeroPoint.pid == observation.zero_point_pid, Frame.good.is_(True))
        .group_by(ZeroPoint.aperture)
    ).all()
    if fits:
        error, stars = min((float(one[0]), float(one[1])) for one in fits)
        facts |= {"zero_point_error_mmag": 1000.0 * error, "zero_point_stars": round(stars)}
    return SkySummary(**facts)


def _not_done(session: Session, observation: Observation, command: str) -> str | None:
    """Why the observation's process of this command has not succeeded, and what to do; None where it has."""
    process = session.scalar(
        select(Process)
        .where(Process.graph_pid == observation.graph_pid, Process.command == command)
        .order_by(Process.pid.desc())
        .limit(1)
    )
    if process is None:
        missing = STEPS[command].missing
        return None if missing is None else missing.format(observation=observation.observation_id)
    if process.status == SUCCEEDED:
        return None
    if process.status == FAILED:
        told = f"`tianyu status {observation.observation_id}` tells why, `tianyu retry {process.pid}` tries it again"
        return f"{command} failed: {told}"
    return f"{command} is {process.status}"
