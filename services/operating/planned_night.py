"""A plan of exposures as one publication: observations, exposures, and all that is made of them."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy.orm import Session

from schema.observing import LIGHT
from schema.queries import images
from services.deployment import CAPTURE, TelescopeDeployment
from services.engine.publisher.planned_exposures import ExposurePublisher
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.errors import ConfigurationError
from services.ingest.planned_frames import PlannedFrames, night_at, planned_observation
from services.settings import Settings
from services.steps.capture import CaptureParameters
from services.telescope.observing_plan import OF_SKY, Exposures, ObservingPlan

NOON = time(12)
DEGREES_A_DAY = 360.0


@dataclass
class PlannedNight:
    """What was published: the observations in the plan's order, how many exposures of each, and graphs."""

    night: date
    end: datetime
    exposures: dict[int, int] = field(default_factory=dict)  # by observation
    publications: list[Publication] = field(default_factory=list)


def publish_plan(
    session: Session,
    settings: Settings,
    plan: ObservingPlan,
    radec: tuple[float, float] | None,
    now: datetime,
    priority: int = 0,
) -> PlannedNight:
    """Insert a plan's exposures and the graphs of what they give, in the caller's transaction.

    ``radec``: of the target, degrees. Masters of calibration frames that the plan takes are waited for.

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
    publisher = ExposurePublisher(session, settings, priority, plan.start)
    lights: list[int] = []
    for one in plan.exposures:
        frames = _frames(plan, one, radec, telescope)
        observation = planned_observation(session, site_id, frames, night).observation_id
        pids = publisher.publish(observation, [_parameters(one, frames, end)] * one.count)
        planned.exposures[observation] = planned.exposures.get(observation, 0) + len(pids)
        if one.kind == LIGHT and observation not in lights:
            lights.append(observation)
    wanted = [*lights, *(number for number in planned.exposures if number not in lights)]
    planned.publications = [Publisher(session, settings, priority).publish(number) for number in wanted]
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


def _parameters(one: Exposures, frames: PlannedFrames, end: datetime) -> CaptureParameters:
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
    )


def _end_of(night: date, longitude_deg: float) -> datetime:
    """Local noon, mean time, behind a night: what was missed at twilight is not taken by day."""
    noon = datetime.combine(night + timedelta(days=1), NOON, UTC)
    return noon - timedelta(days=longitude_deg / DEGREES_A_DAY)
