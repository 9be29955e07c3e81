"""`detect`: the sources of the template; known ones of the sky are recognised, the rest are registered as new."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.alignment import align
from pipeline.background import subtract_background
from pipeline.detection import detect_sources, match_sources
from pipeline.errors import UnusableDataError
from pipeline.kron import Ellipses, kron_radii
from pipeline.stacking import Stack
from pipeline.stars import STAR_DTYPE
from schema.base import utc_now
from schema.images import CALIBRATED, TEMPLATE
from schema.observing import Observation, Target
from schema.queries import images
from schema.queries.measurements import insert_rows, none_for_nan
from schema.skies import Sky, SkyImage, Source, SourcePosition
from services.errors import DataError
from services.log import get_logger
from services.steps.apertures import choose_apertures, write_apertures
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.columns import column
from services.steps.files import WEIGHT, path_of

log = get_logger("detect")
COLUMNS = (
    "pid",
    "source_id",
    "x",
    "y",
    "flux",
    "flux_error",
    "fwhm",
    "ellipticity",
    "semi_major",
    "semi_minor",
    "theta_deg",
    "kron_radius",
    "flag",
)
MATCH_RADIUS_PX = 1.5  # without a WCS; with one it is 1.5 arcsec (the paper, section 3.3)


class DetectParameters(Parameters):
    """PID of the `stack` that made the template."""

    template: int


@dataclass(frozen=True)
class _Registration:
    """Where the new sources lie on the sky's own pixels, and which known source each of them is (-1: new)."""

    sky_id: int | None  # None: a new sky
    xy: NDArray[np.float64]
    known_ids: NDArray[np.int64]
    match: NDArray[np.int64]


def _star_list(x: Any, y: Any, flux: Any) -> NDArray[Any]:
    stars = np.zeros(len(x), STAR_DTYPE)
    stars["x"], stars["y"], stars["flux"] = x, y, flux
    return stars[np.argsort(-stars["flux"])]


def _register(
    session: Session, observation_id: int | None, found: NDArray[Any], shape: tuple[int, int]
) -> _Registration:
    """Match the sources to those of the observation's sky; a template that cannot be laid on it makes a new sky."""
    xy = np.column_stack([found["x"], found["y"]])
    new = _Registration(None, xy, np.empty(0, np.int64), np.full(found.size, -1))
    sky_id = session.get_one(Observation, observation_id).sky_id
    if sky_id is None:
        return new
    known = session.execute(
        select(Source.source_id, Source.x, Source.y, func.max(SourcePosition.flux))
        .join(SourcePosition, SourcePosition.source_id == Source.source_id)
        .where(Source.sky_id == sky_id)
        .group_by(Source.source_id, Source.x, Source.y)
        .order_by(Source.source_id)
    ).all()
    source_ids, x, y, flux = (np.array(values, dtype=np.float64) for values in zip(*known, strict=True))
    try:
        laid = align(_star_list(x, y, flux), _star_list(found["x"], found["y"], found["flux"]), shape)
    except UnusableDataError as error:
        log.warning("template does not fit its known sky, a new sky is made", sky_id=sky_id, reason=str(error))
        return new
    on_sky = laid.to_reference(xy)
    match = match_sources(np.column_stack([x, y]), on_sky, MATCH_RADIUS_PX)
    return _Registration(sky_id, on_sky, source_ids.astype(np.int64), match)


def run(context: Context, parameters: DetectParameters) -> Outputs:
    """Detect on the template, recognise what is known, and fix the apertures of the observation."""
    with context.reading() as session:
        template = images.by_pid(session, parameters.template)
        if template is None:
            raise DataError(f"process {context.pid}: its template is gone; publish the observation again")
        frames = [row for row in images.of_graph(session, context.graph_pid, CALIBRATED) if row.good]
    fwhm = float(np.nanmedian(column(frames, "fwhm")))
    stored = context.images.read_all(path_of(template), (WEIGHT,))
    stack = Stack(stored.image, stored.extras[WEIGHT].astype("f4"), int(template.weight or 0))
    found = detect_sources(stack, threshold=context.settings.detection_threshold, fwhm=fwhm)
    if not found.size:
        raise DataError(
            f"process {context.pid}: no source above {context.settings.detection_threshold} sigma on the template "
            f"{template.path}: is the field empty, or the exposure too short? A lower detection_threshold may help"
        )
    with context.reading() as session:
        registration = _register(session, context.observation_id, found, (template.ny or 0, template.nx or 0))
    apertures = choose_apertures(context.settings, frames)
    shape, kron_radius = _extents(stack, found)
    template_id = template.image_id

    def write(session: Session) -> None:
        source_ids = _write_sources(session, context, registration, template_id)
        columns = [found[name].tolist() for name in ("x", "y")]
        columns += [none_for_nan(found[name]) for name in ("flux", "flux_error", "fwhm", "ellipticity")]
        columns += [none_for_nan(values) for values in (shape.a, shape.b, np.degrees(shape.theta), kron_radius)]
        insert_rows(
            session,
            SourcePosition.__table__,
            COLUMNS,
            zip([context.pid] * found.size, source_ids, *columns, found["flag"].tolist(), strict=True),
        )
        write_apertures(session, context.graph_pid, context.observation_id, apertures)

    return write


def _extents(stack: Stack, found: NDArray[Any]) -> tuple[Ellipses, NDArray[np.float64]]:
    """The ellipses of the sources and their Kron radii, on the template without its sky."""
    blank = ~(stack.weight > 0)
    image, _ = subtract_background(np.where(blank, np.float32(np.nan), stack.image))
    mask = ~np.isfinite(image)
    image[mask] = 0.0  # sep multiplies masked pixels by zero
    shape = Ellipses(*(found[name].astype(np.float64) for name in ("a", "b", "theta")))
    return shape, kron_radii(image, np.column_stack([found["x"], found["y"]]), shape, mask)


def _write_sources(session: Session, context: Context, registration: _Registration, template_id: int) -> list[int]:
    """Insert the sky and the sources that are new; returns the id of every source found."""
    sky_id = registration.sky_id
    if sky_id is None:
        observation = session.get_one(Observation, context.observation_id)
        sky = Sky(name=session.get_one(Target, observation.target_id).name, pid=context.pid, created_at=utc_now())
        session.add(sky)
        session.flush()
        sky_id = observation.sky_id = sky.sky_id
    session.add(SkyImage(sky_id=sky_id, image_id=template_id, role=TEMPLATE))
    session.flush()
    is_new = registration.match < 0
    insert_rows(
        session,
        Source.__table__,
        ("sky_id", "pid", "x", "y"),
        ((sky_id, context.pid, x, y) for x, y in registration.xy[is_new].tolist()),
    )
    # Ids are read back by their process: no engine promises that a bulk insert's ids are without gaps.
    fresh = session.scalars(select(Source.source_id).where(Source.pid == context.pid).order_by(Source.source_id)).all()
    source_ids = np.empty(is_new.size, dtype=np.int64)
    source_ids[is_new] = fresh
    source_ids[~is_new] = registration.known_ids[registration.match[~is_new]]
    listed: list[int] = source_ids.tolist()
    return listed


DETECT = Step("detect", DetectParameters, run)
