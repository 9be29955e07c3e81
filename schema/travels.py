"""What is told of images that go from one site to another, by the processes that pack them.

A packed image is a row of table image of kind ``packed``, made from the image that is in it; a copy at another site is
one of kind ``copy``, made from the packed image. There are no foreign keys, as what is found of images has none.
"""

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Pid


class Package(Base):
    """What a packed image must be when it arrives, and what must come out of it."""

    __tablename__ = "package"
    __table_args__ = TABLE_OPTIONS
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # of the packed image
    sha256: Mapped[str] = mapped_column(String(64))
    content_sha256: Mapped[str] = mapped_column(String(64))  # of the file that is in it
    content_bytes: Mapped[int] = mapped_column(BigInteger)


class WcsClaim(Base):
    """The WCS that a camera's frame claims in its header, for sites that do not have the frame.

    Of several rows about a frame that of the newest process counts.
    """

    __tablename__ = "wcs_claim"
    __table_args__ = TABLE_OPTIONS
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # of the frame
    pid: Mapped[Pid] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    wcs: Mapped[str | None] = mapped_column(Text)  # header cards, one a line; NULL: it claims none
