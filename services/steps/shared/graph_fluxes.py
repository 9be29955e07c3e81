"""What the steps behind `extract` read: the sources, images and apertures of a graph, and its raw fluxes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.light_curves import LightCurves, Rows
from schema.frame import ANY_PID, Frame
from schema.photometry import Aperture
from schema.processes import SUCCEEDED, Process
from schema.queries import frames
from schema.queries.measurements import RawFluxes, RelativeFluxes, flux_matrices, relative_matrices
from schema.skies import Source, SourcePosition
from services.steps.shared.apertures import CIRCLE
from services.steps.shared.first_frame import to_first_frame
from services.steps.shared.gaia_stars import GaiaStars, gaia_stars
from services.steps.shared.image_columns import column
from services.steps.shared.noise_facts import gain_is_told
from services.steps.shared.step import Context

Floats = NDArray[np.float64]

RAW_BYTES = 20  # of a flux, its error and its flag
RAW_KEPT_BYTES = 48_000_000  # of one graph, by each worker: 2,500 sources on 300 frames in three apertures
RELATIVE_BYTES = 16  # of a relative flux and its error
RELATIVE_KEPT_BYTES = 16_000_000  # of one calibration
CALIBRATIONS_KEPT = 2  # by each worker: the methods that a graph has by default


@dataclass(frozen=True)
class GraphAxes:
    """The axes of an observation's light curves: sources by id, images by time, whoever was processed first."""

    source_ids: NDArray[np.int64]  # [n_sources]
    xy: NDArray[np.float64]  # [n_sources, 2], template pixels
    on_first: NDArray[np.float64]  # [n_sources, 2], pixels of the first frame: what people name
    brightness: NDArray[np.float64]  # [n_sources], ADU, on the template; NaN where it was not measured
    radec: NDArray[np.float64]  # [n_sources, 2], degrees; NaN without WCS
    image_ids: NDArray[np.int64]  # [n_images]
    good: NDArray[np.bool_]  # [n_images]
    time: NDArray[np.float64]  # [n_images], BJD (TDB), or JD (UTC) where one lacks it; NaN where neither is known
    apertures: list[int]
    gaia: GaiaStars  # [n_sources]
    light_reach: Mapping[int, float] = field(default_factory=dict)  # by aperture, px between stars that share light
    gain_told: bool = True  # by headers, settings or flats, for all images
    fwhm: float = np.nan  # px, of stars: the median of the images; NaN where none tells it
    frames: Sequence[Frame] = ()  # [n_images]

    def light_curves(
        self, flux: Floats, error: Floats, flag: NDArray[np.int32], rows: Rows = slice(None)
    ) -> LightCurves:
        """Those of some of the sources on all images, ``[n, n_images]`` each."""
        return LightCurves(flux, error, flag, self.good, self.xy[rows], self.time)

    @property
    def gaia_variable(self) -> NDArray[np.bool_]:
        """bool[n_sources]; False where Gaia does not know the star."""
        return self.gaia.variable

    @property
    def gaia_ratio(self) -> NDArray[np.float64]:
        """Second over first distance, float64[n_sources]; NaN where Gaia does not know the star."""
        return np.where(self.gaia.matched, self.gaia.distance_ratio, np.nan)


def graph_axes(session: Session, graph_pid: int, before: int = ANY_PID) -> GraphAxes:
    """Read the axes of one graph, as processes ``before`` this PID left them."""
    detect = select(Process.pid).where(Process.graph_pid == graph_pid, Process.command == "detect").scalar_subquery()
    sources = session.execute(
        select(
            SourcePosition.source_id,
            SourcePosition.x,
            SourcePosition.y,
            SourcePosition.flux,
            Source.ra_deg,
            Source.dec_deg,
        )
        .join(Source, Source.source_id == SourcePosition.source_id)
        .where(SourcePosition.pid == detect)
        .order_by(SourcePosition.source_id)
    ).all()
    rows = sorted(frames.of_graph(session, graph_pid, before), key=lambda row: (row.jd_utc or 0.0, row.pid))
    apertures = apertures_of(session, graph_pid)
    bjd, fwhm = column(rows, "bjd_tdb"), usual_fwhm(rows)
    source_ids = np.array([row.source_id for row in sources], dtype=np.int64)
    xy = np.array([(row.x, row.y) for row in sources], dtype=np.float64).reshape(-1, 2)
    return GraphAxes(
        source_ids=source_ids,
        xy=xy,
        on_first=to_first_frame(session, graph_pid, before).to_frame(xy),
        brightness=np.array([row.flux for row in sources], dtype=np.float64),
        radec=np.array([(row.ra_deg, row.dec_deg) for row in sources], dtype=np.float64).reshape(-1, 2),
        image_ids=np.array([row.image_id for row in rows], dtype=np.int64),
        good=np.array([bool(row.good) for row in rows], dtype=bool),
        time=bjd if np.isfinite(bjd).all() else column(rows, "jd_utc"),
        apertures=[row.aperture for row in apertures],
        gaia=gaia_stars(session, source_ids),
        light_reach=light_reach(apertures, float(np.nan_to_num(fwhm))),
        gain_told=all(gain_is_told(row) for row in rows),
        fwhm=fwhm,
        frames=rows,
    )


def apertures_of(session: Session, graph_pid: int) -> Sequence[Aperture]:
    """Those of a graph, in order of their numbers."""
    query = select(Aperture).where(Aperture.graph_pid == graph_pid)
    return session.scalars(query.order_by(Aperture.aperture)).all()


def usual_fwhm(rows: Sequence[Frame]) -> float:
    """Median FWHM of the stars of some frames, px; NaN where none tells it."""
    widths = column(rows, "fwhm")
    return float(np.nanmedian(widths)) if np.isfinite(widths).any() else np.nan


def light_reach(apertures: Sequence[Aperture], fwhm: float) -> dict[int, float]:
    """By number of aperture the distance (px) within which two stars share light; fwhm: of the stars, px.

    Their circles overlap, or are no more than a FWHM apart: of a Moffat of beta 3 less than 0.3 % of the light lies in
    a circle farther off. A Kron ellipse is about as large as the largest circle.
    """
    circles = [row.radius for row in apertures if row.kind == CIRCLE]
    largest = max(circles, default=0.0)
    return {row.aperture: 2.0 * (row.radius if row.kind == CIRCLE else largest) + fwhm for row in apertures}


def raw_fluxes(
    context: Context,
    session: Session,
    axes: GraphAxes,
    rows: slice | NDArray[np.intp] = slice(None),
    apertures: Sequence[int] | None = None,
) -> Iterator[tuple[int, RawFluxes]]:
    """Raw fluxes of some sources of a graph (rows of the axes), one aperture after the other; not to be changed.

    Several steps of a graph ask for them, one after the other in one worker. A small graph's are kept until others are
    read: rows of `flux` are never changed, and new ones come in the transaction in which an `extract` succeeds.
    """
    wanted = axes.apertures if apertures is None else apertures
    if axes.source_ids.size * axes.image_ids.size * len(axes.apertures) * RAW_BYTES > RAW_KEPT_BYTES:
        yield from flux_matrices(session, wanted, axes.source_ids[rows], axes.image_ids)
        return
    everything = _everything(context, session, axes)
    for aperture in wanted:
        flux, error, flag = everything[aperture]
        yield aperture, RawFluxes(flux[rows], error[rows], flag[rows])


def _everything(context: Context, session: Session, axes: GraphAxes) -> Mapping[int, RawFluxes]:
    extracted = session.execute(
        select(Process.pid, Process.attempt)
        .where(Process.graph_pid == context.graph_pid, Process.command == "extract", Process.status == SUCCEEDED)
        .order_by(Process.pid)
    )
    ids = axes.source_ids.tobytes(), axes.image_ids.tobytes()
    key = (*ids, tuple(axes.apertures), tuple(map(tuple, extracted)))
    return context.once("raw fluxes", key, lambda: _read_only(session, axes), most=1)


def _read_only(session: Session, axes: GraphAxes) -> Mapping[int, RawFluxes]:
    found = dict(flux_matrices(session, axes.apertures, axes.source_ids, axes.image_ids))
    for fluxes in found.values():
        for values in fluxes:
            values.flags.writeable = False
    return found


def keep_relative_fluxes(context: Context, axes: GraphAxes, curves: Mapping[int, RelativeFluxes]) -> None:
    """Keep what this attempt found, by aperture, as its rows will have it: who analyses it asks next."""
    if _relative_are_few(axes):
        found = {aperture: _as_rows_have_it(fluxes) for aperture, fluxes in curves.items()}
        context.once(*_relative_key(axes, context.pid, context.attempt), lambda: found, most=CALIBRATIONS_KEPT)


def relative_fluxes(
    context: Context, session: Session, axes: GraphAxes, calibration: int, rows: slice = slice(None)
) -> Iterator[tuple[int, RelativeFluxes]]:
    """Relative fluxes of some sources of a graph by one calibration, one aperture after the other; not to be changed.

    A worker that made them itself has them, unless they are many: to read them takes as long as to analyse them.
    """
    if not _relative_are_few(axes):
        yield from relative_matrices(session, calibration, axes.apertures, axes.source_ids[rows], axes.image_ids)
        return
    succeeded = select(Process.attempt).where(Process.pid == calibration, Process.status == SUCCEEDED)
    everything = context.once(
        *_relative_key(axes, calibration, session.scalar(succeeded)),
        lambda: dict(relative_matrices(session, calibration, axes.apertures, axes.source_ids, axes.image_ids)),
        most=CALIBRATIONS_KEPT,
    )
    for aperture in axes.apertures:
        flux, error = everything[aperture]
        yield aperture, RelativeFluxes(flux[rows], error[rows])


def _relative_are_few(axes: GraphAxes) -> bool:
    values = axes.source_ids.size * axes.image_ids.size * len(axes.apertures)
    return values * RELATIVE_BYTES <= RELATIVE_KEPT_BYTES


def _relative_key(axes: GraphAxes, pid: int, attempt: int | None) -> tuple[str, tuple[object, ...]]:
    ids = axes.source_ids.tobytes(), axes.image_ids.tobytes()
    return "relative fluxes", (*ids, tuple(axes.apertures), pid, attempt)


def _as_rows_have_it(fluxes: RelativeFluxes) -> RelativeFluxes:
    """NaN where there is no row, and where it knows no error."""
    flux = np.where(np.isfinite(fluxes.flux), fluxes.flux, np.nan)
    error = np.where(np.isfinite(flux) & np.isfinite(fluxes.error), fluxes.error, np.nan)
    for values in (flux, error):
        values.flags.writeable = False
    return RelativeFluxes(flux, error)
