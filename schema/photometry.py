"""Light curves: apertures, raw fluxes, relative fluxes, reference stars and statistics.

Measurements carry no foreign keys: a check against a status row would block that row while thousands of
fluxes go in. Their keys start with the source, so that one light curve is one range read; on MySQL and
MariaDB they are partitioned by image (see ``schema.partitions``), so that inserts stay in memory.
"""

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS, Base, Pid, Real, Single, Small


class Aperture(Base):
    """The circular apertures of one graph; ``aperture`` counts from 0, radii in pixels."""

    __tablename__ = "aperture"
    __table_args__ = (Index(None, "observation_id"), TABLE_OPTIONS)
    graph_pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.observation_id"))
    radius: Mapped[Real]
    annulus_inner: Mapped[Real]
    annulus_outer: Mapped[Real]


class Flux(Base):
    """Raw aperture flux of one source on one calibrated image, ADU; never updated."""

    __tablename__ = "flux"
    __table_args__ = MEASUREMENT_OPTIONS
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    flux: Mapped[Real | None]
    flux_error: Mapped[Real | None]
    flag: Mapped[Small] = mapped_column(default=0)


class RelativeFlux(Base):
    """Flux relative to the reference stars, median 1, keyed by the process that calibrated it."""

    __tablename__ = "relative_flux"
    __table_args__ = MEASUREMENT_OPTIONS
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    flux: Mapped[Real | None]
    flux_error: Mapped[Real | None]


class ReferenceStar(Base):
    """The part each source plays in one calibration: its group, whether it is a reference, its weight."""

    __tablename__ = "reference_star"
    __table_args__ = MEASUREMENT_OPTIONS
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    method: Mapped[str] = mapped_column(String(16))
    reference_group: Mapped[int]
    is_reference: Mapped[bool] = mapped_column(Boolean)
    weight: Mapped[Single | None]


class LightCurveStatistics(Base):
    """Scatter of one light curve over the good frames, beside what the noise model predicts."""

    __tablename__ = "light_curve_statistics"
    __table_args__ = (Index(None, "source_id"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    observation_id: Mapped[int]
    calibration_pid: Mapped[Pid] = mapped_column(BigInteger)
    epochs: Mapped[int]
    flux_median: Mapped[Real | None]  # ADU
    scatter: Mapped[Real | None]  # robust standard deviation of the relative flux
    standard_deviation: Mapped[Real | None]
    point_to_point: Mapped[Real | None]
    error_median: Mapped[Real | None]  # quoted error of a point
    chi2_reduced: Mapped[Real | None]
    von_neumann: Mapped[Real | None]
    best_aperture: Mapped[bool] = mapped_column(Boolean)  # the aperture of the smallest scatter
