"""What names of files and an observing log tell of a frame, which goes before its header; and where they disagree."""

import re
from dataclasses import dataclass, fields

from services.ingest.coordinates import SAME_POINTING_DEG, Pointing, apart_deg
from services.ingest.dialect import Kind

SAME_EXPOSURE_S, SAME_EXPOSURE_SHARE = 0.01, 0.01


@dataclass(frozen=True)
class Told:
    """Facts of one frame that stand elsewhere than in its header; None: nothing is told."""

    kind: Kind | None = None
    target: str | None = None
    filter: str | None = None
    exposure: float | None = None  # s
    ra_deg: float | None = None
    dec_deg: float | None = None
    by: str = ""  # who tells, in a note
    notes: tuple[str, ...] = ()

    def over(self, other: "Told") -> "Told":
        """These facts, and what they leave open as ``other`` tells it."""
        names = ("kind", "target", "filter", "exposure", "ra_deg", "dec_deg")
        facts = {name: getattr(other if getattr(self, name) is None else self, name) for name in names}
        told_by = dict.fromkeys(one.by for one in (self, other) if one.by)
        return Told(**facts, by=" and ".join(told_by), notes=(*self.notes, *other.notes))

    def places(self) -> tuple[Pointing, ...]:
        """Where the telescope pointed, if it is told."""
        if self.ra_deg is None or self.dec_deg is None:
            return ()
        return (Pointing(self.by or "the log", self.ra_deg, self.dec_deg),)

    def lines(self) -> tuple[str, ...]:
        """As lines of a header: a frame of which something else is told than before is read again."""
        told = ((field.name, getattr(self, field.name)) for field in fields(self) if field.name not in ("by", "notes"))
        return tuple(f"told {name} {value}" for name, value in told if value is not None)

    def against(self, name: str, value: str | None, header: str | None) -> tuple[str, ...]:
        """A note where the header tells another ``value`` of what has this ``name``."""
        if value is None or header is None or _bare(value) == _bare(header):
            return ()
        return (f"{name} is {value!r} by {self.by}, another by the header: the former is used",)

    def exposure_notes(self, header: float | None) -> tuple[str, ...]:
        """A note where the header tells another exposure time."""
        if self.exposure is None or header is None:
            return ()
        allowed = max(SAME_EXPOSURE_S, SAME_EXPOSURE_SHARE * header)
        is_same = abs(self.exposure - header) <= allowed
        return (
            () if is_same else (f"exposure is {self.exposure:g} s by {self.by}, which is used, not as in the header",)
        )

    def pointing_notes(self, header: tuple[float | None, float | None]) -> tuple[str, ...]:
        """A note where the header tells another place."""
        ra, dec = header
        if self.ra_deg is None or self.dec_deg is None or ra is None or dec is None:
            return ()
        apart = apart_deg((self.ra_deg, self.dec_deg), (ra, dec))
        return (
            ()
            if apart <= SAME_POINTING_DEG
            else (f"the pointing by {self.by} is far from that of the header: the former is used",)
        )


NOTHING = Told()


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
