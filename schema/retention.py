"""What retention by policy has removed, call by call."""

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Utc


class RetentionRun(Base):
    """One call that came to its end. ``site_id`` NULL: whoever made it saw no site's disk, and left images alone."""

    __tablename__ = "retention_run"
    __table_args__ = TABLE_OPTIONS
    run_id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int | None] = mapped_column(ForeignKey("site.site_id"))
    host: Mapped[str] = mapped_column(String(128))
    started_at: Mapped[Utc]
    finished_at: Mapped[Utc]
    files: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    deleted_rows: Mapped[int] = mapped_column(BigInteger)
    deleted_attempts: Mapped[int]
    failures: Mapped[str | None] = mapped_column(Text)  # what could not be removed, a line each
