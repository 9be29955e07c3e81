"""A calibrated image with all that processes found of it, as one row to read.

View ``frame`` says the same to people, of the graph that is shown.
"""

from typing import Any

from sqlalchemy import Table, and_, bindparam, case, func, select
from sqlalchemy.orm import Mapped

from schema.base import Base, Utc, table_of
from schema.found import FoundAlignment, FrameSight, MaskedPixels, Verdict
from schema.image import CALIBRATED, Image

ANY_PID = 2**63 - 1
SKY = "sky"  # source of a gain that `select` measured in the night's sky
TIMES = ("bjd_tdb", "hjd_utc", "jd_tdb", "observer_x", "observer_y", "observer_z")
HORIZON = ("airmass", "altitude_deg", "azimuth_deg")

# A process reads what those before it found: its dependencies have smaller PIDs.
_before: Any = bindparam("before", ANY_PID)
_image, _alignment, _verdict = table_of(Image), table_of(FoundAlignment), table_of(Verdict)
_sight, _masked = table_of(FrameSight), table_of(MaskedPixels)


def _newest(table: Table) -> Any:
    """Joins the row of the newest process that found something of an image: in a live night one of hundreds."""
    other = table.alias()
    found = select(other.c.pid).where(other.c.image_id == _image.c.image_id, other.c.pid < _before)
    newest = found.order_by(other.c.pid.desc()).limit(1)
    return and_(table.c.image_id == _image.c.image_id, table.c.pid == newest.correlate(_image).scalar_subquery())


def _seen(name: str, known: Any) -> Any:
    return case((known.is_not(None), _sight.c[name]), else_=_image.c[name]).label(name)


_FOUND = {
    "aligned_by": _alignment.c.pid,
    **{name: _alignment.c[name] for name in ("dx", "dy", "rotation_deg", "scale")},
    "alignment_rms": _alignment.c.rms,
    "alignment_matches": _alignment.c.matches,
    "light": _alignment.c.light,
    "judged_by": _verdict.c.pid,
    "good": _verdict.c.good,
    "reject_reason": _verdict.c.reason,
    "weight": _verdict.c.weight,
    "transparency": case((_verdict.c.pid.is_not(None), _verdict.c.transparency), else_=_alignment.c.light),
    "gain": func.coalesce(_image.c.gain, _verdict.c.gain),
    "gain_error": _verdict.c.gain_error,
    "gain_source": case((_verdict.c.gain.is_not(None), SKY), else_=_image.c.gain_source),
    "hot_pixels": func.coalesce(_masked.c.hot_pixels, _image.c.hot_pixels),
    "cosmic_rays": func.coalesce(_masked.c.cosmic_rays, _image.c.cosmic_rays),
}
_SEEN = [_seen(name, _sight.c.pid) for name in TIMES] + [_seen(name, _sight.c.altitude_deg) for name in HORIZON]
_rows = (
    select(
        *(column for column in _image.c if column.name not in {*_FOUND, *TIMES, *HORIZON}),
        *(column.label(name) for name, column in _FOUND.items()),
        *_SEEN,
    )
    .select_from(_image)
    .outerjoin(_alignment, _newest(_alignment))
    .outerjoin(_verdict, _newest(_verdict))
    .outerjoin(_sight, _newest(_sight))
    .outerjoin(_masked, _newest(_masked))
    .where(_image.c.kind == CALIBRATED)
    .subquery("calibrated_frame")
)


class Frame(Base):
    """To be read only. ``good`` is None before a `select` has judged the image, ``dx`` where it was not aligned.

    Queries read what any process found; with the parameter ``before`` only what processes of smaller PIDs did.
    """

    __table__ = _rows
    __mapper_args__ = {"primary_key": [_rows.c.image_id]}  # noqa: RUF012 - SQLAlchemy's own
    image_id: Mapped[int]
    kind: Mapped[str]
    observation_id: Mapped[int | None]
    pid: Mapped[int]
    graph_pid: Mapped[int]
    path: Mapped[str]
    nx: Mapped[int | None]
    ny: Mapped[int | None]
    file_x: Mapped[float | None]
    file_y: Mapped[float | None]
    file_step: Mapped[float | None]
    deleted_at: Mapped[Utc | None]
    exposure_s: Mapped[float | None]
    start_jd_utc: Mapped[float | None]
    jd_utc: Mapped[float | None]
    bjd_tdb: Mapped[float | None]
    airmass: Mapped[float | None]
    gain: Mapped[float | None]
    gain_error: Mapped[float | None]
    gain_source: Mapped[str | None]
    read_noise: Mapped[float | None]
    flat_error: Mapped[float | None]
    scintillation: Mapped[float | None]
    background: Mapped[float | None]
    background_rms: Mapped[float | None]
    star_count: Mapped[int | None]
    fwhm: Mapped[float | None]
    ellipticity: Mapped[float | None]
    aligned_by: Mapped[int | None]
    dx: Mapped[float | None]
    dy: Mapped[float | None]
    rotation_deg: Mapped[float | None]
    scale: Mapped[float | None]
    alignment_rms: Mapped[float | None]
    alignment_matches: Mapped[int | None]
    light: Mapped[float | None]
    transparency: Mapped[float | None]
    judged_by: Mapped[int | None]
    good: Mapped[bool | None]
    reject_reason: Mapped[str | None]
    weight: Mapped[float | None]
