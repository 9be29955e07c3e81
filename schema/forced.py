"""Fluxes that were measured at places where nothing was found, because somebody asked for them."""

from sqlalchemy import BigInteger, Boolean, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS, Base, Pid, Real, Small


class ForcedPlace(Base):
    """A place on the sky that was asked for, by one `force_places`: where it lies on the graph's template."""

    __tablename__ = "forced_place"
    __table_args__ = (Index(None, "observation_id"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    place: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)  # in the list, from 0
    observation_id: Mapped[int]
    graph_pid: Mapped[Pid] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(128))
    ra_deg: Mapped[Real]  # in that night, ICRS
    dec_deg: Mapped[Real]
    x: Mapped[Real | None]  # on the template; NULL on the other side of the sky
    y: Mapped[Real | None]
    u: Mapped[Real | None]  # -1 to 1 across the template's longer side, as of table zero_point_star
    v: Mapped[Real | None]
    inside: Mapped[bool] = mapped_column(Boolean)  # of the template
    nearest_source_id: Mapped[int | None]
    nearest_arcsec: Mapped[Real | None]
    is_source: Mapped[bool] = mapped_column(Boolean)  # the nearest source is what stands there


class ForcedFlux(Base):
    """Raw aperture flux at one place on one calibrated image, ADU; ``placed_pid`` is the `force_places`."""

    __tablename__ = "forced_flux"
    __table_args__ = MEASUREMENT_OPTIONS
    placed_pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    place: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    flux: Mapped[Real | None]
    flux_error: Mapped[Real | None]
    flag: Mapped[Small]


class ForcedTerm(Base):
    """By what flux at a place is divided on one image: the reference stars' light, of median 1 over good frames."""

    __tablename__ = "forced_term"
    __table_args__ = MEASUREMENT_OPTIONS
    placed_pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    place: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    aperture: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    term: Mapped[Real]
    term_error: Mapped[Real]
    error_factor: Mapped[Real]  # by which errors of the noise model are multiplied, as of faint stars
