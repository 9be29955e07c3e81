"""What a run left in its database, as arrays: sources by frames by apertures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from pipeline.flags import OF_THE_STAR
from pipeline.registration.alignment import Alignment
from schema import database

Floats = NDArray[np.float64]

PLOTS = [  # of every run
    "stack.png",
    "finding_chart.png",
    "scatter.png",
    "precision.png",
    "psf.png",
    "offsets.png",
    "lightcurve.png",
    "comparison.png",
    "systematics.png",
]

GRAPH = """
SELECT observation_id, graph_pid, analysis_pid FROM observation WHERE calibration_pid IS NOT NULL ORDER BY night
"""
IMAGES = """
SELECT f.image_id, f.jd_utc, f.bjd_tdb, f.good, f.reason, f.is_reference, f.dx, f.dy, f.rotation_deg, f.scale,
       i.ny, i.nx, f.trails, f.cosmic_rays, f.transparency
FROM frame f JOIN image i ON i.image_id = f.image_id WHERE f.observation_id = :observation ORDER BY f.jd_utc
"""
SOURCES = """
SELECT p.source_id, p.x, p.y, p.flux, p.flux_error FROM source_position p
JOIN process d ON d.pid = p.pid AND d.graph_pid = :graph AND d.command = 'detect' ORDER BY p.source_id
"""
LIGHT_CURVES = """
SELECT source_id, image_id, aperture, flux_raw, flux_raw_error, flux_relative, flux_relative_error, flag, usable
FROM light_curve WHERE observation_id = :observation
"""
APERTURES = "SELECT radius FROM aperture WHERE graph_pid = :graph ORDER BY aperture"
BEST = "SELECT source_id, aperture FROM light_curve_statistics WHERE pid = :analysis AND best_aperture"


@dataclass(frozen=True)
class MeasuredNight:
    """One observation's result; n sources, t calibrated frames in order of time, k apertures."""

    observation: int
    source: NDArray[np.int64]  # [n], source_id
    xy: Floats  # [n, 2], template pixels
    template_flux: Floats  # [n], ADU
    template_error: Floats  # [n]
    radii: Floats  # [k], px
    best: NDArray[np.int64]  # [n], aperture of the smallest scatter
    jd: Floats  # [t], UTC
    bjd: Floats  # [t], TDB
    good: NDArray[np.bool_]  # [t]
    reasons: list[str]
    trails: NDArray[np.int64]  # [t]
    cosmic_rays: NDArray[np.int64]  # [t], pixels
    transparency: Floats  # [t], NaN where unknown
    alignments: list[Alignment | None]  # template to frame
    reference: int | None  # frame whose pixels are the template's; None: it is another night's
    raw: Floats  # [n, t, k], ADU
    raw_error: Floats
    relative: Floats  # [n, t, k]
    error: Floats
    flag: NDArray[np.int64]  # [n, t, k]; 0 where nothing was measured
    usable: NDArray[np.bool_]  # [n, t, k]

    def in_best(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values [n, t] of each source in its best aperture, of values [n, t, k]."""
        return np.take_along_axis(values, self.best[:, None, None], axis=2)[:, :, 0]

    def clean(self, aperture: int | None = None) -> NDArray[np.bool_]:
        """Whether a relative flux is there, on a good frame and without a flag of that frame; bool[n, t]."""
        flux, flag = (
            (self.in_best(values) if aperture is None else values[:, :, aperture])
            for values in (self.relative, self.flag)
        )
        return np.asarray(np.isfinite(flux) & ((flag & ~OF_THE_STAR) == 0) & self.good)


def read_night(workdir: Path) -> MeasuredNight:
    """Read the one observation with light curves in a working folder."""
    [night] = read_nights(workdir)
    return night


def read_nights(workdir: Path) -> list[MeasuredNight]:
    """Read all observations with light curves in a working folder, by night."""
    engine = database.connect(f"sqlite:///{workdir / 'tianyu.db'}")
    with engine.connect() as connection:
        nights = [_read(connection, *row) for row in connection.execute(text(GRAPH)).all()]
    engine.dispose()
    return nights


def _read(connection: Connection, observation: int, graph: int, analysis: int) -> MeasuredNight:
    def rows(query: str, **values: int) -> list[Any]:
        return list(connection.execute(text(query), values).all())

    images, sources = rows(IMAGES, observation=observation), rows(SOURCES, graph=graph)
    radii = np.array([row.radius for row in rows(APERTURES, graph=graph)])
    place = {row.source_id: index for index, row in enumerate(sources)}
    frame = {row.image_id: index for index, row in enumerate(images)}
    values = np.full((4, len(sources), len(images), radii.size), np.nan)
    flag, usable = np.zeros(values.shape[1:], np.int64), np.zeros(values.shape[1:], np.bool_)
    of_source, of_image, aperture, *fluxes, bits, good = zip(*rows(LIGHT_CURVES, observation=observation), strict=True)
    at = [place[source] for source in of_source], [frame[image] for image in of_image], list(aperture)
    values[(slice(None), *at)] = np.array(fluxes, dtype=np.float64)  # None is NaN
    flag[at], usable[at] = bits, good
    best = np.zeros(len(sources), np.int64)
    for source, aperture in rows(BEST, analysis=analysis):
        best[place[source]] = aperture
    table = np.array([tuple(row) for row in sources], dtype=np.float64)
    return MeasuredNight(
        observation=observation,
        source=np.array([row.source_id for row in sources]),
        xy=table[:, 1:3],
        template_flux=table[:, 3],
        template_error=table[:, 4],
        radii=radii,
        best=best,
        jd=np.array([row.jd_utc for row in images], dtype=np.float64),
        bjd=np.array([row.bjd_tdb for row in images], dtype=np.float64),
        good=np.array([bool(row.good) for row in images]),
        reasons=[row.reason or "" for row in images],
        trails=np.array([row.trails for row in images]),
        cosmic_rays=np.array([row.cosmic_rays for row in images]),
        transparency=np.array([row.transparency for row in images], dtype=np.float64),
        alignments=[_alignment(row) for row in images],
        reference=next((index for index, row in enumerate(images) if row.is_reference), None),
        raw=values[0],
        raw_error=values[1],
        relative=values[2],
        error=values[3],
        flag=flag,
        usable=usable,
    )


def _alignment(row: Any) -> Alignment | None:
    if row.dx is None:
        return None
    centre_x, centre_y = (row.nx - 1) / 2, (row.ny - 1) / 2
    return Alignment(row.dx, row.dy, row.rotation_deg, row.scale, centre_x, centre_y, rms=0.0, matches=0)
