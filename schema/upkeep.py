"""What upgrades and backups tell the programs that run beside them."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Utc

UPKEEP_ID = 1


class Upkeep(Base):
    """One row, made by the migration."""

    __tablename__ = "upkeep"
    __table_args__ = TABLE_OPTIONS
    upkeep_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # Programs that were written for this revision of the schema, or a later one, can use the database.
    oldest_revision: Mapped[str] = mapped_column(String(32))
    # A backup copies images: none is marked as deleted until it is done, or has fallen silent.
    images_held_by: Mapped[str | None] = mapped_column(String(128))  # its host
    images_held_since: Mapped[Utc | None]
    images_held_until: Mapped[Utc | None]
