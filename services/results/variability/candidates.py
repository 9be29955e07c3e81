"""The ranked list of an observation's variables, as `analyze` left it."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.units import HOURS_PER_DAY
from pipeline.variability.ranking import Suspicion
from schema.photometry import LightCurveStatistics, Variability
from schema.processes import Process
from schema.skies import Source, SourcePosition
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.steps.detect import DETECT
from services.steps.shared.first_frame import to_first_frame

IMPROBABLE = 0.01  # false alarms of sines, boxes and stars below it mean something
ZERO_POINT = 25.0  # arbitrary, mag of a star of 1 ADU; that of the plots
LEAST_CHANCE = 1e-99  # that is named
SUSPICIONS = {
    Suspicion.FRAMES: "it follows the frames",
    Suspicion.NEIGHBOUR: "it follows a brighter neighbour",
    Suspicion.EDGE: "near the edge",
    Suspicion.SPARSE: "few frames",
    Suspicion.SHAPELESS: "without shape in time",
    Suspicion.TREND: "along the whole night",
}


@dataclass(frozen=True)
class Candidate:
    """One star of the list; fluxes are relative, 0.01 is 1 %, and None is unknown.

    Attributes:
        rank: 1 is the most variable.
        candidate: improbable for any constant star of the field, and nothing else explains it.
        false_alarm: probability that any constant star of the field looks like this.
        leading_test: the one that says so; suspicion: bits of `pipeline.variability.ranking.Suspicion`.
        magnitude: instrumental.
        scatter, error: robust standard deviation, and median quoted error of a point.
        sine_*: best period with its error, only of the stars that lead the list; half of the curve's range.
        night_trend: range of the slow change along the night.
        box_*: best dip, likewise; without a period it was seen once.
    """

    source_id: int
    rank: int
    candidate: bool
    x: float
    y: float
    ra_deg: float | None
    dec_deg: float | None
    aperture: int
    magnitude: float | None
    scatter: float | None
    error: float | None
    epochs: int
    false_alarm: float | None
    leading_test: str | None
    suspicion: int | None
    excess_scatter: float | None
    excess_significance: float | None
    stetson_j: float | None
    stetson_k: float | None
    von_neumann: float | None
    night_trend: float | None
    sine_period_d: float | None
    sine_period_error_d: float | None
    sine_amplitude: float | None
    sine_false_alarm: float | None
    box_period_d: float | None
    box_depth: float | None
    box_duration_d: float | None
    box_mid_bjd: float | None
    box_snr: float | None
    box_false_alarm: float | None

    @property
    def improbable(self) -> bool:
        """Whether no constant star of the field is likely to look like this."""
        return self.false_alarm is not None and self.false_alarm < IMPROBABLE

    @property
    def trend(self) -> bool:
        """Improbable for a constant star, but for a change along the whole night alone: a class of its own."""
        return self.improbable and bool((self.suspicion or 0) & Suspicion.TREND)

    @property
    def doubted(self) -> bool:
        """Improbable for a constant star, yet no candidate: the frames, a neighbour or bad points may be the reason."""
        return self.improbable and not self.candidate and not self.trend

    @property
    def sine_is_certain(self) -> bool:
        """Whether noise is unlikely to have this period."""
        return self.sine_false_alarm is not None and self.sine_false_alarm < IMPROBABLE

    @property
    def box_is_certain(self) -> bool:
        """Whether noise is unlikely to have this dip."""
        return self.box_false_alarm is not None and self.box_false_alarm < IMPROBABLE

    @property
    def why(self) -> str:
        """What speaks for variability most clearly, in words."""
        if self.trend:
            return f"trend of {self.night_trend or 0.0:.2%} along the night"
        sine = 1.0 if self.sine_false_alarm is None else self.sine_false_alarm
        box = 1.0 if self.box_false_alarm is None else self.box_false_alarm
        shapes = [(sine, self._sine_words()), (box, self._box_words())]
        certain = [words for chance, words in sorted(shapes) if chance < IMPROBABLE]
        if certain:
            words = " or ".join(certain)
        elif self.false_alarm is None:
            words = "not measured well enough"
        elif self._smoothness >= (self.excess_significance or 0.0):
            words = f"smooth variation, Stetson J {self.stetson_j or 0.0:.2g}"
        else:
            words = f"scatter, {self.excess_significance or 0.0:.2g} σ above like stars"
        if not self.doubted:
            return words
        reasons = [SUSPICIONS[bit] for bit in Suspicion if bit & (self.suspicion or 0)]
        return f"{words}; doubted{': ' if reasons else ''}{', '.join(reasons)}"

    @property
    def _smoothness(self) -> float:
        """Standard deviations of Stetson J from that of white noise."""
        return (self.stetson_j or 0.0) * float(np.sqrt(max(self.epochs - 1, 0) * np.pi / 2.0))

    def _sine_words(self) -> str:
        hours = (self.sine_period_d or 0.0) * HOURS_PER_DAY
        error = self.sine_period_error_d
        known = "" if error is None else f" ± {error * HOURS_PER_DAY:.1g}"
        return f"period of {hours:.4g}{known} h, ±{self.sine_amplitude or 0.0:.2%}"

    def _box_words(self) -> str:
        dip = f"dip of {self.box_depth or 0.0:.2%} for {(self.box_duration_d or 0.0) * HOURS_PER_DAY:.2g} h"
        return f"{dip} each {self.box_period_d * HOURS_PER_DAY:.3g} h" if self.box_period_d is not None else dip

    def to_json(self) -> dict[str, Any]:
        """Numbers and texts only."""
        return asdict(self) | {"doubted": self.doubted, "trend": self.trend, "why": self.why}


def read_candidates(
    session: Session, observation: ObservationFacts, top: int, source_id: int | None = None
) -> list[Candidate]:
    """The first ``top`` stars of the list, or one source's row alone.

    Raises:
        DataError: the observation has no analysed light curves, or the source was not measured.
    """
    require_analysis(session, observation)
    kept = {field.name for field in fields(Candidate)}
    columns = [column for column in Variability.__table__.columns if column.name in kept]
    detect = (
        select(Process.pid)
        .where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command)
        .scalar_subquery()
    )
    query = (
        select(
            *columns,
            Variability.variability_rank.label("rank"),
            SourcePosition.x,
            SourcePosition.y,
            Source.ra_deg,
            Source.dec_deg,
            LightCurveStatistics.flux_median,
            LightCurveStatistics.scatter,
            LightCurveStatistics.error_median.label("error"),
            LightCurveStatistics.epochs,
        )
        .join(Source, Source.source_id == Variability.source_id)
        .join(SourcePosition, (SourcePosition.source_id == Source.source_id) & (SourcePosition.pid == detect))
        .join(
            LightCurveStatistics,
            (LightCurveStatistics.pid == Variability.pid)
            & (LightCurveStatistics.source_id == Variability.source_id)
            & (LightCurveStatistics.aperture == Variability.aperture),
        )
        .where(Variability.pid == observation.analysis_pid)
        .order_by(Variability.variability_rank)
    )
    query = query.limit(top) if source_id is None else query.where(Variability.source_id == source_id)
    first = to_first_frame(session, observation.graph_pid)
    found = []
    for row in session.execute(query):
        x, y = first.to_frame(np.array([[row.x, row.y]]))[0].tolist()
        found.append(_candidate(dict(row._mapping) | {"x": x, "y": y}))
    if source_id is not None and not found:
        raise DataError(f"source {source_id} is not on the list of observation {observation.observation_id}")
    return found


def count_candidates(session: Session, analysis_pid: int | None) -> int:
    """How many stars are candidates."""
    query = select(func.count()).where(Variability.pid == analysis_pid, Variability.candidate.is_(True))
    return session.scalar(query) or 0


def count_trends(session: Session, analysis_pid: int | None) -> int:
    """How many stars change along the whole night, and no faster, by more than a constant star is likely to."""
    query = select(func.count()).where(
        Variability.pid == analysis_pid,
        Variability.candidate.is_(False),
        Variability.false_alarm < IMPROBABLE,
        Variability.suspicion.bitwise_and(int(Suspicion.TREND)) > 0,
    )
    return session.scalar(query) or 0


def require_analysis(session: Session, observation: ObservationFacts) -> None:
    """Raise `DataError` unless `analyze` has judged the observation's stars."""
    number = observation.observation_id
    if observation.analysis_pid is None:
        raise DataError(
            f"observation {number} ({observation.title}) has no analysed light curves yet: `tianyu status {number}` "
            "shows how far it is"
        )
    judged = select(Variability.source_id).where(Variability.pid == observation.analysis_pid).limit(1)
    if session.scalar(judged) is None:
        raise DataError(
            f"the analysis of observation {number} ({observation.title}) says nothing of variability: no good frame "
            f"has a time, or an older version made it; then `tianyu rerun {number} --from analyze` makes it anew"
        )


def _candidate(row: dict[str, Any]) -> Candidate:
    flux = row.pop("flux_median")
    magnitude = ZERO_POINT - 2.5 * float(np.log10(flux)) if flux is not None and flux > 0 else None
    return Candidate(magnitude=magnitude, **row)
