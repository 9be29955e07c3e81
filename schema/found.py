"""What processes found of images that others had made: rows that are written once, keyed by image and process.

Of several rows of one table about an image the one of the newest process counts (`schema.frame`). It is marked, so that
views find it at once, and the database takes no second one: who writes without the mark in mind (`queries.finding`) is
refused. There are no foreign keys, as measurements have none.
"""

from typing import Annotated

from sqlalchemy import BigInteger, Boolean, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import MEASUREMENT_OPTIONS, TABLE_OPTIONS, Base, Pid, Real

MARK = "is_newest"
# True or NULL: of a unique index NULL may stand in any number of rows.
Mark = Annotated[bool | None, mapped_column(Boolean, server_default=text("1"))]


def _one_is_newest() -> tuple[Index, dict[str, bool | str]]:
    # In this order: behind the image servers would take the index for the key, and sort an image's rows by PID.
    return Index(None, MARK, "image_id", unique=True), MEASUREMENT_OPTIONS


class FoundAlignment(Base):
    """Reference (template) to image, about the image's centre: by `align`, or by `select` from its neighbours.

    All is NULL where nothing was found.
    """

    __tablename__ = "alignment"
    __table_args__ = _one_is_newest()
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    dx: Mapped[Real | None]  # pixels
    dy: Mapped[Real | None]  # pixels
    rotation_deg: Mapped[Real | None]
    scale: Mapped[Real | None]
    rms: Mapped[Real | None]  # pixels
    matches: Mapped[int | None]
    light: Mapped[Real | None]  # of common stars, over the reference's
    is_newest: Mapped[Mark]


class Verdict(Base):
    """Whether a calibrated image is good, by one `select`, and what only a whole night tells of it."""

    __tablename__ = "verdict"
    __table_args__ = _one_is_newest()
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    good: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(Text)  # why it is not good
    weight: Mapped[Real]  # in the stack
    transparency: Mapped[Real | None]  # light of common stars over that of the night's clearest frames
    gain: Mapped[Real | None]  # electrons per ADU, measured in the night's sky where nothing else tells it
    gain_error: Mapped[Real | None]  # one standard deviation
    is_newest: Mapped[Mark]


class ReferenceFrame(Base):
    """The image that the others of its graph are aligned to, as `choose_reference` chose it."""

    __tablename__ = "reference_frame"
    __table_args__ = (Index(None, "image_id"), TABLE_OPTIONS)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    image_id: Mapped[int]


class FrameSight(Base):
    """A solved field as it was seen in mid-exposure, by `extract` or, solved later, by `place_frames`.

    The columns are those of table image, which are of the pointing that headers tell.
    """

    __tablename__ = "frame_sight"
    __table_args__ = _one_is_newest()
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    bjd_tdb: Mapped[Real | None]
    hjd_utc: Mapped[Real | None]
    jd_tdb: Mapped[Real | None]
    observer_x: Mapped[Real | None]
    observer_y: Mapped[Real | None]
    observer_z: Mapped[Real | None]
    airmass: Mapped[Real | None]
    altitude_deg: Mapped[Real | None]
    azimuth_deg: Mapped[Real | None]
    is_newest: Mapped[Mark]


class MaskedPixels(Base):
    """How many pixels of an image `extract` left out, when the template had told hits from stars."""

    __tablename__ = "masked_pixels"
    __table_args__ = _one_is_newest()
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hot_pixels: Mapped[int]  # hot, dead or bad
    cosmic_rays: Mapped[int]
    is_newest: Mapped[Mark]


class Rejection(Base):
    """A frame of the camera that a process could not use, and why; a later row without reason takes that back."""

    __tablename__ = "rejection"
    __table_args__ = (Index(None, "image_id"), TABLE_OPTIONS)
    rejection_id: Mapped[int] = mapped_column(primary_key=True)  # of several rows about a frame the last one counts
    image_id: Mapped[int]
    pid: Mapped[Pid | None] = mapped_column(BigInteger)  # NULL: ingest, which found another file in its place
    reason: Mapped[str | None] = mapped_column(Text)


OF_CALIBRATED = (FoundAlignment, Verdict, ReferenceFrame, FrameSight, MaskedPixels)
