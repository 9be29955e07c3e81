"""A small observation made up of rows: known stars, known noise, known costs, as the steps would have left them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from pipeline.flags import Flag
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.healpix import cells
from pipeline.statistics import expected_scatter, light_curve_statistics
from schema.found import FoundAlignment, Verdict
from schema.image import CALIBRATED, TEMPLATE, Image
from schema.observing import Filter, Instrument, Observation, Target
from schema.photometry import Aperture, LightCurveStatistics, ReferenceStar
from schema.processes import FAILED, RUNNING, SUCCEEDED, WAITING, Process, ProcessAttempt, ProcessGroup, Site
from schema.queries import images
from schema.queries.measurements import RelativeFluxes, insert_fluxes, insert_relative_fluxes
from schema.skies import PlateSolution, Sky, Source, SourceCrossmatch, SourcePosition
from services.image_store import ImageStore

SITE = "local"
GRAPH_PID = 1_700_000_000_000_000_000
BEGAN = datetime(2024, 3, 4, 20, 0, 0)
NIGHT = date(2024, 3, 4)
GAIN, SKY_RMS, RADII = 1.5, 12.0, (3.0, 4.5, 6.0)
JD0, CADENCE_D = 2460374.30, 0.002
ALIGN, SELECT = 2, 3  # PIDs after the graph's
STATES_OF_FINISHED = (SUCCEEDED, FAILED)


@dataclass
class MadeUp:
    """The truth behind the rows."""

    observation_id: int
    source_ids: NDArray[np.int64]
    xy: NDArray[np.float64]
    flux: NDArray[np.float64]  # ADU, largest aperture
    image_ids: NDArray[np.int64]
    good: NDArray[np.bool_]
    variable: int  # source that dips
    saturated: int  # source that is flagged and scatters more than any
    calibration_pid: int
    analysis_pid: int


def base_rows(session: Session) -> None:
    """A site and a group, as `tianyu init` makes them."""
    session.add_all([Site(site_id=1, name=SITE, root="/nowhere"), ProcessGroup(group_id=1, name="cpu")])
    session.flush()


def add_observation(
    session: Session, kind: str = "light", name: str = "HAT-P-32", filter_name: str = "R", night: date = NIGHT
) -> int:
    """An observation without frames; what it shares with others is made once."""

    def row(model: type, **key: object) -> object:
        found = session.scalar(select(model).filter_by(**key))
        if found is None:
            found = model(**key)
            session.add(found)
            session.flush()
        return found

    observation = Observation(
        site_id=1,
        target_id=row(Target, kind=kind, name=name).target_id,  # type: ignore[attr-defined]
        filter_id=row(Filter, name=filter_name).filter_id,  # type: ignore[attr-defined]
        instrument_id=row(Instrument, name="camera", telescope="").instrument_id,  # type: ignore[attr-defined]
        exposure_s=60.0,
        binning="1x1",
        night=night,
        created_at=BEGAN,
    )
    session.add(observation)
    session.flush()
    return observation.observation_id


def add_process(
    session: Session,
    pid: int,
    command: str,
    status: str,
    observation_id: int | None,
    *,
    graph_pid: int = GRAPH_PID,
    start_s: float = 0.0,
    seconds: float = 1.0,
    worker: str = "host-1",
    error: str | None = None,
) -> None:
    """A process, and its one attempt when it has started."""
    started = status in (*STATES_OF_FINISHED, RUNNING)
    finished = status in STATES_OF_FINISHED
    session.add(
        Process(
            pid=pid,
            graph_pid=graph_pid,
            command=command,
            parameters="{}",
            site_id=1,
            group_id=1,
            observation_id=observation_id,
            status=status,
            attempt=int(started),
            created_at=BEGAN,
            error=error,
            error_class="data" if error else None,
        )
    )
    session.flush()
    if started:
        session.add(
            ProcessAttempt(
                pid=pid,
                attempt=1,
                worker=worker,
                host="host",
                version="0",
                started_at=BEGAN + timedelta(seconds=start_s),
                finished_at=BEGAN + timedelta(seconds=start_s + seconds) if finished else None,
                outcome=status if finished else None,
                seconds=seconds if finished else None,
                cpu_seconds=0.5 * seconds if finished else None,
                max_rss_bytes=100_000_000 + pid % 1000 if finished else None,
                read_bytes=2_000_000 if finished else None,
                write_bytes=1_000_000 if finished else None,
            )
        )
        session.flush()


def add_frames(session: Session, observation_id: int, n: int, kind: str = "light") -> list[int]:
    """Frames of the camera."""
    return [
        images.add_image(
            session,
            kind=kind,
            site_id=1,
            path=f"raw/{observation_id}/{kind}_{number:04d}.fits",
            observation_id=observation_id,
            nx=64,
            ny=64,
        )
        for number in range(n)
    ]


def add_light_curves(
    session: Session,
    observation_id: int,
    rng: np.random.Generator,
    *,
    n_stars: int = 40,
    n_frames: int = 60,
    shape: tuple[int, int] = (200, 300),
    store: ImageStore | None = None,
    first_pid: int = GRAPH_PID,
    dip: float = 0.03,
    known: MadeUp | None = None,
) -> MadeUp:
    """Everything from calibrated images to statistics; sources are ordered from bright to faint.

    Source number 3 dips by ``dip`` in the middle third; number 0 is saturated and scatters by 10 %. Two frames are
    rejected, and one more was not aligned. ``known``: an observation whose sky and sources these are, too.
    """
    ny, nx = shape
    if known is None:
        sky = Sky(name="field", created_at=BEGAN)
        session.add(sky)
        session.flush()
    else:
        sky = session.get_one(Sky, session.get_one(Observation, known.observation_id).sky_id)
    detect, calibration, analysis = first_pid + 10, first_pid + 11, first_pid + 5000
    for pid, command in ((detect, "detect"), (calibration, "calibrate_relative"), (analysis, "analyze")):
        add_process(session, pid, command, SUCCEEDED, observation_id, graph_pid=first_pid)
    flux = np.geomspace(4e6, 1.5e3, n_stars)
    xy = rng.uniform((10, 10), (nx - 10, ny - 10), (n_stars, 2)) if known is None else known.xy
    source_ids = [] if known is None else known.source_ids.tolist()
    for number in range(len(source_ids), n_stars):
        source = Source(sky_id=sky.sky_id, pid=detect, x=xy[number, 0], y=xy[number, 1])
        session.add(source)
        session.flush()
        source_ids.append(source.source_id)
    session.execute(
        insert(SourcePosition),
        [
            {"pid": detect, "source_id": s, "x": x, "y": y, "flux": f, "flag": 0}
            for s, (x, y), f in zip(source_ids, xy, flux, strict=True)
        ],
    )
    session.execute(
        insert(Aperture),
        [
            {
                "graph_pid": first_pid,
                "aperture": number,
                "observation_id": observation_id,
                "radius": radius,
                "annulus_inner": 12.0,
                "annulus_outer": 20.0,
            }
            for number, radius in enumerate(RADII)
        ],
    )
    good = np.ones(n_frames, dtype=bool)
    good[[5, n_frames - 4]] = False
    good[20] = False
    image_ids = [_calibrated(session, observation_id, first_pid, t, bool(good[t]), rng) for t in range(n_frames)]
    made = MadeUp(
        observation_id=observation_id,
        source_ids=np.array(source_ids),
        xy=xy,
        flux=flux,
        image_ids=np.array(image_ids),
        good=good,
        variable=source_ids[3],
        saturated=source_ids[0],
        calibration_pid=calibration,
        analysis_pid=analysis,
    )
    _fluxes(session, made, rng, dip)
    if store is not None:
        _template(session, made, shape, store, first_pid, rng)
    observation = session.get_one(Observation, observation_id)
    observation.sky_id, observation.graph_pid = sky.sky_id, first_pid
    observation.calibration_pid, observation.analysis_pid = calibration, analysis
    session.flush()
    return made


def give_place(session: Session, source_id: int, radec: tuple[float, float]) -> None:
    """Coordinates of a source, as `detect` writes them of a solved field."""
    cell = int(cells(np.array([radec]))[0])
    found = update(Source).where(Source.source_id == source_id)
    session.execute(found.values(ra_deg=radec[0], dec_deg=radec[1], healpix=cell))


def solve_field(session: Session, made: MadeUp, wcs: SkyWcs, *, first_pid: int = GRAPH_PID) -> None:
    """A solution of the observation's own template, and the coordinates of its sources."""
    pid = first_pid + 8
    add_process(session, pid, "solve", SUCCEEDED, made.observation_id, graph_pid=first_pid)
    template = session.scalar(select(Image).where(Image.graph_pid == first_pid, Image.kind == TEMPLATE))
    shape = (200, 300) if template is None else (template.ny or 0, template.nx or 0)
    ra, dec = wcs.centre(shape)
    session.add(
        PlateSolution(
            pid=pid,
            image_id=0 if template is None else template.image_id,
            observation_id=made.observation_id,
            solved=True,
            solver="catalogue",
            ra_deg=ra,
            dec_deg=dec,
            radius_deg=wcs.radius(shape),
            pixel_scale_arcsec=wcs.pixel_scale(shape),
            position_angle_deg=wcs.position_angle(shape),
            mirrored=wcs.mirrored,
            sip_degree=1,
            matches=40,
            rms_arcsec=0.21,
            wcs=wcs.text(),
        )
    )
    for source_id, (x, y) in zip(made.source_ids.tolist(), wcs.to_sky(made.xy).tolist(), strict=True):
        give_place(session, source_id, (x, y))
    session.flush()


def name_in_gaia(session: Session, source_id: int, gaia: int, g_mag: float, colour: float = 0.8) -> None:
    """A match with one star of Gaia's, as `crossmatch` writes it."""
    session.add(
        SourceCrossmatch(
            source_id=source_id,
            match_rank=1,
            pid=GRAPH_PID + 13,
            gaia_source_id=gaia,
            distance_arcsec=0.1,
            g_mag=g_mag,
            bp_mag=g_mag + 0.4,
            rp_mag=g_mag + 0.4 - colour,
            is_match=True,
        )
    )
    session.flush()


def _calibrated(
    session: Session, observation_id: int, first_pid: int, t: int, good: bool, rng: np.random.Generator
) -> int:
    aligned = t != 20
    reason = None if good else f"{10 + t} stars, expected 40 to 60" if aligned else "could not be aligned"
    image_id = images.add_image(
        session,
        kind=CALIBRATED,
        site_id=1,
        path=f"calibrated/{observation_id}/{first_pid + 100 + t}.fits",
        observation_id=observation_id,
        pid=first_pid + 100 + t,
        graph_pid=first_pid,
        jd_utc=JD0 + CADENCE_D * t,
        bjd_tdb=JD0 + 0.004 + CADENCE_D * t,
        gain=GAIN,
        background_rms=SKY_RMS,
    )
    if aligned:
        dx, dy = 1.5 * t + rng.normal(0, 0.4), -20 * np.sin(t / 15) + rng.normal(0, 0.4)
        found = {"dx": dx, "dy": dy, "rotation_deg": 0.01 * t + rng.normal(0, 0.005)}
        session.add(FoundAlignment(image_id=image_id, pid=first_pid + ALIGN, **found))
    session.add(Verdict(image_id=image_id, pid=first_pid + SELECT, good=good, reason=reason, weight=float(good)))
    session.flush()
    return image_id


def _fluxes(session: Session, made: MadeUp, rng: np.random.Generator, dip: float) -> None:
    n, frames = made.flux.size, made.image_ids.size
    statistics, raws = [], []
    all_raw = np.empty((n, frames, len(RADII)))
    all_error = np.empty_like(all_raw)
    flag = np.zeros((n, frames, len(RADII)), dtype=np.int32)
    flag[0] = Flag.SATURATED
    for number, radius in enumerate(RADII):
        inside = 1 - np.exp(-((radius / 3.0) ** 2))
        noise = expected_scatter(
            made.flux * inside, SKY_RMS**2, np.pi * radius**2, gain=GAIN, sky_area=np.pi * (20.0**2 - 12.0**2)
        )[:, None]
        relative = 1 + noise * rng.standard_normal((n, frames))
        relative[0] = 1 + 0.1 * rng.standard_normal(frames)
        relative[3, frames // 3 : 2 * frames // 3] -= dip
        error = np.broadcast_to(noise, relative.shape)
        transparency = 1 - 0.1 * np.sin(np.arange(frames) / 20)
        raw = relative * made.flux[:, None] * inside * transparency
        raw[1, 7] = np.nan  # one epoch that could not be measured
        relative[1, 7] = np.nan
        all_raw[..., number], all_error[..., number] = raw, error * made.flux[:, None] * inside
        curves = {number: RelativeFluxes(relative, error)}
        insert_relative_fluxes(session, made.calibration_pid, made.source_ids, made.image_ids, curves)
        statistics.append(light_curve_statistics(relative, error, made.good))
        raws.append(np.nanmedian(raw[:, made.good], axis=1))
    for t, image_id in enumerate(made.image_ids.tolist()):
        insert_fluxes(session, image_id, made.source_ids, all_raw[:, t], all_error[:, t], flag[:, t])
    best = np.argmin(np.column_stack([s.scatter for s in statistics]), axis=1)
    for number, s in enumerate(statistics):
        session.execute(
            insert(LightCurveStatistics),
            [
                {
                    "pid": made.analysis_pid,
                    "source_id": int(made.source_ids[i]),
                    "aperture": number,
                    "observation_id": made.observation_id,
                    "calibration_pid": made.calibration_pid,
                    "epochs": int(s.n[i]),
                    "flux_median": float(raws[number][i]),
                    "scatter": float(s.scatter[i]),
                    "error_median": float(s.median_error[i]),
                    "best_aperture": bool(best[i] == number),
                }
                for i in range(n)
            ],
        )
        session.execute(
            insert(ReferenceStar),
            [
                {
                    "pid": made.calibration_pid,
                    "source_id": int(made.source_ids[i]),
                    "aperture": number,
                    "method": "ensemble",
                    "reference_group": 0,
                    "is_reference": 4 <= i < 16,
                }
                for i in range(n)
            ],
        )


def _template(
    session: Session,
    made: MadeUp,
    shape: tuple[int, int],
    store: ImageStore,
    first_pid: int,
    rng: np.random.Generator,
) -> None:
    image = rng.normal(0.0, 2.0, shape).astype(np.float32)
    y, x = np.mgrid[-12:13, -12:13]
    for (cx, cy), flux in zip(made.xy, made.flux, strict=True):
        px, py = round(cx), round(cy)
        star = flux / (2 * np.pi * 1.7**2) * np.exp(-((x - cx + px) ** 2 + (y - cy + py) ** 2) / (2 * 1.7**2))
        ys, xs = np.clip(py + y, 0, shape[0] - 1), np.clip(px + x, 0, shape[1] - 1)
        image[ys, xs] += star.astype(np.float32)
    image[:, :3] = np.nan
    pid = first_pid + 9
    path = store.derived_path(TEMPLATE, made.observation_id, pid)
    store.write(path, image, {}, {})
    images.add_image(
        session,
        kind=TEMPLATE,
        site_id=1,
        path=path,
        observation_id=made.observation_id,
        pid=pid,
        graph_pid=first_pid,
        nx=shape[1],
        ny=shape[0],
        weight=float(made.good.sum()),
    )


__all__ = ["FAILED", "RUNNING", "SUCCEEDED", "WAITING", "Image", "MadeUp"]
