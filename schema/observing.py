"""What was observed: instruments, filters, observatories, targets and observations."""

from datetime import date

from sqlalchemy import BigInteger, Boolean, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Pid, Real, Utc

BIAS, DARK, FLAT, LIGHT = "bias", "dark", "flat", "light"


class Instrument(Base):
    """A camera on a telescope."""

    __tablename__ = "instrument"
    __table_args__ = (UniqueConstraint("name", "telescope"), TABLE_OPTIONS)
    instrument_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    telescope: Mapped[str] = mapped_column(String(64), default="")
    diameter_m: Mapped[Real | None]  # of the telescope's aperture


class Filter(Base):
    """A photometric band; names are case-sensitive (R is not r)."""

    __tablename__ = "filter"
    filter_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)


class ObsSite(Base):
    """Where the telescope stands; longitude east positive."""

    __tablename__ = "obs_site"
    obs_site_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    longitude_deg: Mapped[Real | None]
    latitude_deg: Mapped[Real | None]
    elevation_m: Mapped[Real | None]


class Target(Base):
    """The object of observation: a star, a sky region, or a kind of calibration frame."""

    __tablename__ = "target"
    __table_args__ = (UniqueConstraint("kind", "name"), TABLE_OPTIONS)
    target_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(5))  # bias, dark, flat, light
    name: Mapped[str] = mapped_column(String(128))
    ra_deg: Mapped[Real | None]
    dec_deg: Mapped[Real | None]


class Observation(Base):
    """Frames that are processed together: one target, filter, instrument, exposure time and night, at one site.

    Copies of the same frames at two sites are two observations: each site works on files that lie under its own root.
    """

    __tablename__ = "observation"
    __table_args__ = (
        UniqueConstraint(
            *("target_id", "filter_id", "instrument_id", "exposure_s", "binning", "night", "site_id"),
            *("setting", "reduced", "geometry"),
            name="uq_observation_same",
        ),
        TABLE_OPTIONS,
    )
    observation_id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.site_id"))
    target_id: Mapped[int] = mapped_column(ForeignKey("target.target_id"))
    filter_id: Mapped[int] = mapped_column(ForeignKey("filter.filter_id"))
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instrument.instrument_id"))
    obs_site_id: Mapped[int | None] = mapped_column(ForeignKey("obs_site.obs_site_id"))
    exposure_s: Mapped[Real]  # 0 where frames of several exposure times belong together (bias, flats)
    binning: Mapped[str] = mapped_column(String(8))
    night: Mapped[date]
    setting: Mapped[str] = mapped_column(String(64), default="")  # of the detector, as headers tell
    reduced: Mapped[str] = mapped_column(String(3), default="")  # taken off before: B, D, F
    geometry: Mapped[str] = mapped_column(String(64), default="")  # how its frames are read out of their files
    created_at: Mapped[Utc]
    sky_id: Mapped[int | None] = mapped_column(ForeignKey("sky.sky_id"))
    # Where headers most likely say the telescope pointed, and the size of a pixel: hints for `solve`.
    ra_deg: Mapped[Real | None]
    dec_deg: Mapped[Real | None]
    pixel_scale_arcsec: Mapped[Real | None]
    # How the detector is turned, as told: the solution of the template says how it is.
    position_angle_deg: Mapped[Real | None]  # of +y, from north through east, less 180: a German mount turns by that
    mirrored: Mapped[bool | None] = mapped_column(Boolean)  # east is clockwise of north on the image
    # What the views show: the graph whose images count, and the relative calibration that stands for it.
    # No foreign keys: they are set by a process's own finishing transaction.
    graph_pid: Mapped[Pid | None] = mapped_column(BigInteger)
    calibration_pid: Mapped[Pid | None] = mapped_column(BigInteger)
    analysis_pid: Mapped[Pid | None] = mapped_column(BigInteger)
    detrend_pid: Mapped[Pid | None] = mapped_column(BigInteger)
    zero_point_pid: Mapped[Pid | None] = mapped_column(BigInteger)


class ToldPlace(Base):
    """One of the places where an observation's headers say that the telescope pointed; 0 is the likeliest."""

    __tablename__ = "told_place"
    __table_args__ = TABLE_OPTIONS
    observation_id: Mapped[int] = mapped_column(
        ForeignKey("observation.observation_id"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    told_by: Mapped[str] = mapped_column(String(64))  # keywords, or who told it before headers
    ra_deg: Mapped[Real]
    dec_deg: Mapped[Real]
