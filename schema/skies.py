"""Skies and their sources: fixed fields, fixed positions in them, and their names in Gaia."""

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Pid, Real, Small, Utc


class Sky(Base):
    """A fixed field, seen by many observations; coordinates and WCS are NULL until it is solved."""

    __tablename__ = "sky"
    sky_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    pid: Mapped[Pid | None] = mapped_column(BigInteger, unique=True)  # the process that registered it
    ra_deg: Mapped[Real | None]
    dec_deg: Mapped[Real | None]
    wcs: Mapped[str | None] = mapped_column(Text)  # FITS header cards
    created_at: Mapped[Utc]


class SkyImage(Base):
    """Images that show a sky, and in which part (template: the image that defines pixel positions)."""

    __tablename__ = "sky_image"
    sky_id: Mapped[int] = mapped_column(ForeignKey("sky.sky_id"), primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(ForeignKey("image.image_id"), primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(String(16))


class Source(Base):
    """A fixed position in a sky's template, 0-based pixels."""

    __tablename__ = "source"
    __table_args__ = (Index(None, "sky_id"), TABLE_OPTIONS)
    source_id: Mapped[int] = mapped_column(primary_key=True)
    sky_id: Mapped[int] = mapped_column(ForeignKey("sky.sky_id"))
    pid: Mapped[Pid] = mapped_column(BigInteger)  # the `detect` that first saw it
    x: Mapped[Real]
    y: Mapped[Real]
    ra_deg: Mapped[Real | None]
    dec_deg: Mapped[Real | None]


class SourcePosition(Base):
    """A source as one `detect` measured it on its template."""

    __tablename__ = "source_position"
    __table_args__ = (Index(None, "source_id"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.source_id"), primary_key=True, autoincrement=False)
    x: Mapped[Real]
    y: Mapped[Real]
    flux: Mapped[Real | None]  # ADU, on the mean frame
    flux_error: Mapped[Real | None]
    fwhm: Mapped[Real | None]
    ellipticity: Mapped[Real | None]
    # The ellipse of the source's second moments, and its Kron radius in units of it.
    semi_major: Mapped[Real | None]  # pixels, one standard deviation
    semi_minor: Mapped[Real | None]
    theta_deg: Mapped[Real | None]  # of the major axis, from x towards y
    kron_radius: Mapped[Real | None]
    flag: Mapped[int] = mapped_column(default=0)


class SourceCrossmatch(Base):
    """The nearest Gaia sources of a source, rank 1 the nearest."""

    __tablename__ = "source_crossmatch"
    __table_args__ = (Index(None, "gaia_source_id"), TABLE_OPTIONS)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.source_id"), primary_key=True, autoincrement=False)
    match_rank: Mapped[Small] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger)
    gaia_source_id: Mapped[int] = mapped_column(BigInteger)
    distance_arcsec: Mapped[Real]
    g_mag: Mapped[Real | None]
    bp_mag: Mapped[Real | None]
    rp_mag: Mapped[Real | None]
    parallax_mas: Mapped[Real | None]
    variable: Mapped[bool | None]
