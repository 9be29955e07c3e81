"""Alerts: which candidates somebody was, or shall be, told of."""

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Utc


class Alert(Base):
    """One candidate of one observation, once and for all, as it was when it passed the limit first."""

    __tablename__ = "alert"
    __table_args__ = TABLE_OPTIONS
    observation_id: Mapped[int] = mapped_column(
        ForeignKey("observation.observation_id"), primary_key=True, autoincrement=False
    )
    source_id: Mapped[int] = mapped_column(ForeignKey("source.source_id"), primary_key=True, autoincrement=False)
    found_at: Mapped[Utc]
    body: Mapped[str] = mapped_column(Text)  # JSON, as it is sent
    sent_at: Mapped[Utc | None]  # NULL: not yet
    refusal: Mapped[str | None] = mapped_column(Text)  # why the receiver will never take it
