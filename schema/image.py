"""Images: frames from the camera, masters, calibrated and stacked images, and which was made from which."""

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Pid, Real, Utc

# Kinds besides the frames' (bias, dark, flat, light).
MASTER_BIAS, MASTER_DARK, DEBIASED_FLAT, MASTER_FLAT = "master_bias", "master_dark", "debiased_flat", "master_flat"
PARTIAL_BIAS, PARTIAL_DARK = "partial_bias", "partial_dark"
CALIBRATED, STACKED, TEMPLATE = "calibrated", "stacked", "template"
PACKED = "packed"  # a derived image as it goes to another site
COPY = "copy"  # of a derived image at another site, where its path is the same
_MASTERS = (MASTER_BIAS, MASTER_DARK, DEBIASED_FLAT, MASTER_FLAT, PARTIAL_BIAS, PARTIAL_DARK)
DERIVED = (*_MASTERS, CALIBRATED, STACKED, TEMPLATE, PACKED)  # which have a folder each
STORED = (*DERIVED, COPY)  # all that processes keep under a site's root


class Image(Base):
    """One image on disk. Frames have no ``pid``; every other image was made by exactly one process.

    A row has what its maker knew and is not changed later, but for ``deleted_at``; what others found of the image
    stands in the tables of `schema.found`. ``path`` is relative to the site's root, or absolute for frames that lie
    elsewhere.
    """

    __tablename__ = "image"
    __table_args__ = (
        Index(None, "observation_id", "kind"),
        Index(None, "graph_pid", "kind"),
        TABLE_OPTIONS,
    )
    image_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    observation_id: Mapped[int | None] = mapped_column(ForeignKey("observation.observation_id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("site.site_id"))
    pid: Mapped[Pid | None] = mapped_column(BigInteger, unique=True)
    graph_pid: Mapped[Pid | None] = mapped_column(BigInteger)
    path: Mapped[str] = mapped_column(Text)
    path_digest: Mapped[str] = mapped_column(String(32), unique=True)  # of site and path: Text cannot be unique
    nx: Mapped[int | None]
    ny: Mapped[int | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    header_digest: Mapped[str | None] = mapped_column(String(32))  # of a frame: another one is read again
    geometry: Mapped[str | None] = mapped_column(Text)  # how a frame is read out of its file; NULL: its first image
    # Of a frame, and of what it was calibrated to: the pixel of the file that is its pixel (0, 0), and pixels of the
    # file from one of its pixels to the next; NULL where it is all of an image, or several amplifiers were joined.
    file_x: Mapped[Real | None]
    file_y: Mapped[Real | None]
    file_step: Mapped[Real | None]
    temperature_c: Mapped[Real | None]  # of the detector
    deleted_at: Mapped[Utc | None]  # when its file was removed to free space; the row stays
    # Facts of a frame, carried on to its calibrated image.
    exposure_s: Mapped[Real | None]
    start_jd_utc: Mapped[Real | None]
    jd_utc: Mapped[Real | None]  # mid-exposure
    bjd_tdb: Mapped[Real | None]  # mid-exposure, where headers say the telescope pointed
    hjd_utc: Mapped[Real | None]  # the same at the Sun, UTC
    # BJD(TDB) of any star of the frame is jd_tdb + observer · (direction of the star).
    jd_tdb: Mapped[Real | None]  # mid-exposure, where the light was caught
    observer_x: Mapped[Real | None]  # barycentric place of the observer, light-days, ICRS axes
    observer_y: Mapped[Real | None]
    observer_z: Mapped[Real | None]
    gain: Mapped[Real | None]  # electrons per ADU
    gain_source: Mapped[str | None] = mapped_column(String(32))
    read_noise: Mapped[Real | None]  # electrons
    read_noise_source: Mapped[str | None] = mapped_column(String(32))
    dark_electrons: Mapped[Real | None]  # thermal electrons a pixel in the whole exposure
    flat_error: Mapped[Real | None]  # relative noise of a pixel of the (master) flat
    saturation: Mapped[Real | None]  # ADU
    linearity: Mapped[Real | None]  # ADU; raw pixels above it are not proportional to light
    # As seen from the observatory at mid-exposure, computed from place, time and the pointing of the headers.
    airmass: Mapped[Real | None]
    altitude_deg: Mapped[Real | None]
    azimuth_deg: Mapped[Real | None]  # from north through east
    scintillation: Mapped[Real | None]  # relative standard deviation of any star's flux
    # Measured by `calibrate`.
    background: Mapped[Real | None]  # ADU
    background_rms: Mapped[Real | None]  # ADU a pixel
    star_count: Mapped[int | None]
    fwhm: Mapped[Real | None]  # pixels
    ellipticity: Mapped[Real | None]
    hot_pixels: Mapped[int | None]  # pixels masked as hot, dead or bad
    cosmic_rays: Mapped[int | None]  # pixels masked as cosmic rays
    trails: Mapped[int | None]  # trails of satellites and aircraft
    # Whether ingest could use a frame; what processes could not use has a row in table rejection.
    good: Mapped[bool | None]
    reject_reason: Mapped[str | None] = mapped_column(Text)
    weight: Mapped[Real | None]  # good frames in it (stacks and masters)


class ImageParent(Base):
    """Lineage: ``image_id`` was made from ``parent_id``."""

    __tablename__ = "image_parent"
    __table_args__ = (Index(None, "parent_id"), TABLE_OPTIONS)
    image_id: Mapped[int] = mapped_column(ForeignKey("image.image_id"), primary_key=True, autoincrement=False)
    parent_id: Mapped[int] = mapped_column(ForeignKey("image.image_id"), primary_key=True, autoincrement=False)


class CapturedFrame(Base):
    """Which `capture` took a frame of the camera, and the digest of the header that it wrote.

    Graphs know the frame by this PID, which they were told before there was a frame; one whose header was corrected
    since is known by its image id, as any other.
    """

    __tablename__ = "captured_frame"
    __table_args__ = TABLE_OPTIONS
    image_id: Mapped[int] = mapped_column(ForeignKey("image.image_id"), primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, unique=True)
    header_digest: Mapped[str] = mapped_column(String(32))


class FrameNote(Base):
    """What is doubtful of a frame, and how it was decided: by its newest reading, and by who read its pixels since."""

    __tablename__ = "frame_note"
    __table_args__ = TABLE_OPTIONS
    image_id: Mapped[int] = mapped_column(ForeignKey("image.image_id"), primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # from 0, in the order of finding
    note: Mapped[str] = mapped_column(Text)
