"""What people say of candidates."""

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from schema.base import TABLE_OPTIONS, Base, Utc

CONFIRMED, REFUSED = "confirmed", "refused"
VERDICTS = (CONFIRMED, REFUSED)
AUTHOR_LENGTH = 64


class CandidateVerdict(Base):
    """Whether somebody takes a star of an observation for a variable; of several verdicts the newest counts."""

    __tablename__ = "candidate_verdict"
    __table_args__ = TABLE_OPTIONS
    verdict_id: Mapped[int] = mapped_column(primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.observation_id"))
    source_id: Mapped[int] = mapped_column(ForeignKey("source.source_id"))
    verdict: Mapped[str] = mapped_column(String(16))
    note: Mapped[str | None] = mapped_column(Text)
    author: Mapped[str | None] = mapped_column(String(AUTHOR_LENGTH))  # as the proxy or the browser names who it is
    given_at: Mapped[Utc]
