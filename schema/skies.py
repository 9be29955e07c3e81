"""Skies and their sources: fixed fields, fixed positions in them, and their names in Gaia."""

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Pid, Real, Small, Utc


class Sky(Base):
    """A fixed field, seen by many observations; coordinates and WCS are NULL until it is solved.

    Its pixels are those of the template that first showed it. A star has one source on the whole sphere: an
    observation's sources may have been registered by other skies that reach into its field.
    """

    __tablename__ = "sky"
    sky_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    pid: Mapped[Pid | None] = mapped_column(BigInteger, unique=True)  # the process that registered it
    # Of the template that first showed it; NULL until it is solved.
    ra_deg: Mapped[Real | None]  # centre, ICRS
    dec_deg: Mapped[Real | None]
    radius_deg: Mapped[Real | None]  # from the centre to the farthest corner
    wcs: Mapped[str | None] = mapped_column(Text)  # FITS header cards, one a line
    wcs_rms_arcsec: Mapped[Real | None]
    wcs_matches: Mapped[int | None]
    solve_pid: Mapped[Pid | None] = mapped_column(BigInteger)
    created_at: Mapped[Utc]


class SkyRegistry(Base):
    """One row, which whoever registers sources holds: two templates of one new field never make two skies."""

    __tablename__ = "sky_registry"
    registry_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    registrations: Mapped[int] = mapped_column(BigInteger)


class PlateSolution(Base):
    """What one search found of a template: its WCS, or why there is none."""

    __tablename__ = "plate_solution"
    __table_args__ = (Index(None, "image_id"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    image_id: Mapped[int]
    observation_id: Mapped[int | None]
    solved: Mapped[bool] = mapped_column(Boolean)
    solver: Mapped[str | None] = mapped_column(String(16))  # header, index, catalogue: what first found it
    reason: Mapped[str | None] = mapped_column(Text)  # why it is not solved
    ra_deg: Mapped[Real | None]  # of the image's centre, ICRS
    dec_deg: Mapped[Real | None]
    radius_deg: Mapped[Real | None]  # from the centre to the farthest corner
    pixel_scale_arcsec: Mapped[Real | None]  # at the centre
    position_angle_deg: Mapped[Real | None]  # of the image's +y, from north through east
    mirrored: Mapped[bool | None] = mapped_column(Boolean)  # east is clockwise of north on the image
    sip_degree: Mapped[Small | None]  # 1: no distortion
    matches: Mapped[int | None]
    rms_arcsec: Mapped[Real | None]
    wcs: Mapped[str | None] = mapped_column(Text)  # FITS header cards, one a line


class SkyImage(Base):
    """Images that show a sky, and in which part (template: the image that defines pixel positions)."""

    __tablename__ = "sky_image"
    sky_id: Mapped[int] = mapped_column(ForeignKey("sky.sky_id"), primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(ForeignKey("image.image_id"), primary_key=True, autoincrement=False)
    role: Mapped[str] = mapped_column(String(16))


class Source(Base):
    """A star: a fixed position, in the sky that first showed it (0-based pixels) and on the sphere."""

    __tablename__ = "source"
    __table_args__ = (Index(None, "sky_id"), Index(None, "healpix"), Index(None, "same_as"), TABLE_OPTIONS)
    source_id: Mapped[int] = mapped_column(primary_key=True)
    sky_id: Mapped[int] = mapped_column(ForeignKey("sky.sky_id"))
    pid: Mapped[Pid] = mapped_column(BigInteger)  # the `detect` that first saw it
    x: Mapped[Real]
    y: Mapped[Real]
    ra_deg: Mapped[Real | None]  # ICRS
    dec_deg: Mapped[Real | None]
    healpix: Mapped[int | None]  # cell of order 12, nested: cells of 52 arcsec
    # The source that is this star's, where it was measured as two before the coordinates of both were known.
    same_as: Mapped[int | None]


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
    """The nearest Gaia sources of a source, rank 1 the nearest; ``is_match``: that one is the star itself."""

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
    is_match: Mapped[bool | None] = mapped_column(Boolean)
    ra_deg: Mapped[Real | None]  # of the Gaia source at the epoch of the observation
    dec_deg: Mapped[Real | None]


class NamedObject(Base):
    """Where a name points: given by a user, or what a name service answered."""

    __tablename__ = "named_object"
    name: Mapped[str] = mapped_column(String(128), primary_key=True)  # lower case, single blanks
    shown_name: Mapped[str] = mapped_column(String(128))
    ra_deg: Mapped[Real]  # ICRS, epoch 2000
    dec_deg: Mapped[Real]
    pm_ra_mas: Mapped[Real | None]  # a year, times cos(declination)
    pm_dec_mas: Mapped[Real | None]
    origin: Mapped[str] = mapped_column(String(16))  # user, simbad
    created_at: Mapped[Utc]
