"""Images that went from one site to another: how many bytes they have, and how many travelled."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from schema.image import COPY, PACKED, Image, ImageParent
from schema.processes import Site

BYTES_PER_MB = 1_000_000


@dataclass(frozen=True)
class Journey:
    """Images from one site to another. What travelled twice, since a link was cut, counts once."""

    from_site: str
    to_site: str
    images: int
    bytes: int
    travelled_bytes: int

    @property
    def saved_percent(self) -> float:
        """Of the bytes, what compressing has saved."""
        return 100.0 * (1.0 - self.travelled_bytes / self.bytes) if self.bytes else 0.0

    def says(self) -> str:
        """In a sentence."""
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return (
            f"{images} of {self.bytes / BYTES_PER_MB:.3f} MB went from {self.from_site} to {self.to_site}: "
            f"{self.travelled_bytes / BYTES_PER_MB:.3f} MB travelled, {self.saved_percent:.0f} % were saved"
        )


def of_graph(session: Session, graph_pid: int) -> tuple[Journey, ...]:
    """Journeys of a graph's images, by sites."""
    return tuple(_journeys(session, Image.graph_pid == graph_pid))


def of_process(session: Session, pid: int) -> tuple[Journey, ...]:
    """The journey of the image that a process brought, if it is one that does."""
    return tuple(_journeys(session, Image.pid == pid))


def _journeys(session: Session, which: ColumnElement[bool]) -> Iterable[Journey]:
    packed, here, there = aliased(Image), aliased(Site), aliased(Site)
    query = (
        select(here.name, there.name, func.count(), func.sum(Image.size_bytes), func.sum(packed.size_bytes))
        .join(ImageParent, ImageParent.image_id == Image.image_id)
        .join(packed, packed.image_id == ImageParent.parent_id)
        .join(here, here.site_id == packed.site_id)
        .join(there, there.site_id == Image.site_id)
        .where(which, Image.kind == COPY, packed.kind == PACKED)
        .group_by(here.name, there.name)
        .order_by(here.name, there.name)
    )
    for from_site, to_site, images, size, travelled in session.execute(query):
        yield Journey(from_site, to_site, images, int(size or 0), int(travelled or 0))
