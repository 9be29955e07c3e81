"""A plan of exposures as one publication: observations, exposures, and all that is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy.orm import Session

from schema.observing import LIGHT
from schema.processes import SUCCEEDED, UNFINISHED
from schema.queries import capturing, images
from services.deployment import CAPTURE, TelescopeDeployment
from services.engine.publisher.planned_exposures import ExposurePublisher
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.errors import ConfigurationError
from services.ingest.planned_frames import PlannedFrames, night_at, planned_observation
from services.settings import Settings
from services.steps.capture import CaptureParameters
from services.steps.shared.told import digest
from services.telescope.observing_plan import OF_SKY, Exposures, ObservingPlan

NOON = time(12)
DEGREES_A_DAY = 360.0
DIGITS = 16  # by which a plan is known again


@dataclass
class PlannedNight:
    """What was published: the observations in the plan's order, how many exposures of each, and graphs."""

    night: date
    end: datetime
    exposures: dict[int, int] = field(default_factory=dict)  # by observation
    publications: list[Publication] = field(default_factory=list)
    says: str = ""  # why nothing is published

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only; times are ISO 8601, UTC."""
        exposures = [{"observation_id": number, "exposures": count} for number, count in self.exposures.items()]
        graphs = [
            {"observation_id": one.observation_id, "graph_pid": one.graph_pid, "processes": one.runs().total()}
            for one in self.publications
            if one.runs()
        ]
        end = self.end.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        return {
            "night": self.night.isoformat(),
            "end": end,
            "exposures": exposures,
            "graphs": graphs,
            "says": self.says,
        }


def publish_plan(
    session: Session,
    settings: Settings,
    plan: ObservingPlan,
    radec: tuple[float, float] | None,
    now: datetime,
    *,
    priority: int = 0,
    known: bool = False,
    again: bool = False,
) -> PlannedNight:
    """Insert a plan's exposures and the graphs of what they give, in the caller's transaction.

    ``radec``: of the target, degrees; with ``known`` its frames are measured on another night's template. Masters of
    calibration frames that the plan takes are waited for. Nothing is published where the plan was before, for the same
    night, unless it is wanted ``again``.

    Raises:
        ConfigurationError: there is no telescope, or no place to point it to; or the plan is over.
    """
    telescope = settings.telescope
    if telescope is None:
        raise ConfigurationError(
            "there is no telescope: name its devices under [telescope] of the settings, then run `tianyu init`"
        )
    if radec is None and any(one.kind == LIGHT for one in plan.exposures):
        raise ConfigurationError("the plan says not where the telescope points: give radec, or a target that is known")
    _require_time(settings, plan, telescope)
    begin = max(plan.start or now, now)
    night = night_at(begin, telescope.longitude_deg)
    end = min(plan.end or datetime.max.replace(tzinfo=UTC), _end_of(night, telescope.longitude_deg))
    if end <= begin:
        raise ConfigurationError(f"the plan is over: its end is {end:%Y-%m-%d %H:%M} UTC, now it is {now:%H:%M} UTC")
    try:
        site_id = images.site_id_of(session, settings.site)
    except LookupError as error:
        raise ConfigurationError(str(error)) from error
    planned = PlannedNight(night, end)
    name, wanted_frames = _digest(plan), [_frames(plan, one, radec, telescope) for one in plan.exposures]
    numbers = [planned_observation(session, site_id, frames, night).observation_id for frames in wanted_frames]
    if not again and (before := capturing.of_plan(session, numbers, name)):
        planned.says = _said_before(before)
        return planned
    publisher = ExposurePublisher(session, settings, priority, plan.start)
    lights: list[int] = []
    for one, frames, observation in zip(plan.exposures, wanted_frames, numbers, strict=True):
        pids = publisher.publish(observation, [_parameters(one, frames, end, name)] * one.count)
        planned.exposures[observation] = planned.exposures.get(observation, 0) + len(pids)
        if one.kind == LIGHT and observation not in lights:
            lights.append(observation)
    wanted = [*lights, *(number for number in planned.exposures if number not in lights)]
    planned.publications = [
        Publisher(session, settings, priority).publish(number, known=known and number in lights) for number in wanted
    ]
    return planned


def _require_time(settings: Settings, plan: ObservingPlan, telescope: TelescopeDeployment) -> None:
    """Whether the longest exposure ends before its worker is ended."""
    limit = settings.time_limit_s.get(CAPTURE, settings.time_limit_s.get("default"))
    longest = max(one.exposure_s for one in plan.exposures)
    needed = longest + telescope.slew_timeout_s + telescope.wheel_timeout_s + telescope.readout_timeout_s
    if limit is not None and needed > limit:
        raise ConfigurationError(
            f"an exposure of {longest:g} s may take {needed:g} s with slew and readout, an attempt has {limit:g} s: "
            "raise time_limit_s of capture"
        )


def _digest(plan: ObservingPlan) -> str:
    return digest(plan.model_dump(mode="json"))[:DIGITS]


def _said_before(states: Mapping[str, int]) -> str:
    """How far the exposures of a plan are that was published before."""
    to_come = sum(states.get(state, 0) for state in UNFINISHED)
    taken = states.get(SUCCEEDED, 0)
    missed = sum(states.values()) - to_come - taken
    return (
        f"the plan was published before for this night: {taken} exposures are taken, {to_come} are to come, {missed} "
        "failed; --again takes all once more"
    )


def _frames(
    plan: ObservingPlan, one: Exposures, radec: tuple[float, float] | None, telescope: TelescopeDeployment
) -> PlannedFrames:
    scale = telescope.pixel_scale_arcsec
    return PlannedFrames(
        kind=one.kind,
        target=plan.target if one.kind == LIGHT else None,
        radec=radec if one.kind == LIGHT else None,
        filter=one.filter if one.kind in OF_SKY else None,
        exposure_s=one.exposure_s,
        binning=one.binning,
        setting=one.setting,
        instrument=telescope.instrument,
        telescope=telescope.name,
        latitude=telescope.latitude_deg,
        longitude=telescope.longitude_deg,
        elevation=telescope.elevation_m,
        diameter_m=telescope.diameter_m,
        pixel_scale_arcsec=None if scale is None else scale * one.binning,
    )


def _parameters(one: Exposures, frames: PlannedFrames, end: datetime, plan: str) -> CaptureParameters:
    ra, dec = (None, None) if frames.radec is None else frames.radec
    return CaptureParameters(
        kind=one.kind,
        exposure_s=one.exposure_s,
        end=end,
        binning=one.binning,
        target=frames.target,
        ra_deg=ra,
        dec_deg=dec,
        filter=one.filter,
        gain=one.gain,
        plan=plan,
    )


def _end_of(night: date, longitude_deg: float) -> datetime:
    """Local noon, mean time, behind a night: what was missed at twilight is not taken by day."""
    noon = datetime.combine(night + timedelta(days=1), NOON, UTC)
    return noon - timedelta(days=longitude_deg / DEGREES_A_DAY)
