"""Templates and calibrated images whose files this site can read, by their ids alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine, and_, select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from schema import database
from schema.image import TEMPLATE, Image
from schema.observing import Observation
from schema.processes import Process
from schema.skies import Source, SourcePosition
from services.image_store import ImageStore
from services.own_site import why_not_here
from services.results.cutouts import CUT_KINDS, wcs_of_image
from services.steps.detect import DETECT


@dataclass(frozen=True)
class SiteImage:
    """An image of this site; ``wcs`` is None where nobody knows where it lies on the sky."""

    image_id: int
    observation_id: int
    kind: str
    path: str
    shape: tuple[int, int]
    size_bytes: int | None
    wcs: SkyWcs | None

    @property
    def is_template(self) -> bool:
        """A stack of a night's frames."""
        return self.kind == TEMPLATE

    @cached_property
    def circle(self) -> tuple[float, float, float] | None:
        """Centre and radius of a circle about it, degrees."""
        return None if self.wcs is None else (*self.wcs.centre(self.shape), self.wcs.radius(self.shape))


@dataclass(frozen=True)
class StarImages:
    """A star's place, degrees, and the templates that show it, as ids by observation."""

    place: tuple[float, float] | None
    templates: dict[int, int]


class SiteImages:
    """Of one database and one site."""

    def __init__(self, engine: Engine, store: ImageStore, site: str) -> None:
        self._reading = database.reading_factory(engine)
        self.store, self.site = store, site

    def find(self, numbers: Sequence[int]) -> dict[int, SiteImage | str]:
        """Images by their ids, or why there is none to be had."""
        with self._reading() as session:
            return {number: self._one(session, number) for number in dict.fromkeys(numbers)}

    def _one(self, session: Session, number: int) -> SiteImage | str:
        image = session.get(Image, number)
        if image is None or image.kind not in CUT_KINDS or image.observation_id is None:
            return f"there is no template or calibrated image {number}"
        lacking = why_not_here(session, self.site, image)
        if lacking or not (image.nx and image.ny):
            return lacking or f"image {number} has no pixels"
        wcs, shape = wcs_of_image(session, image), (image.ny, image.nx)
        return SiteImage(number, image.observation_id, image.kind, image.path, shape, image.size_bytes, wcs)

    def of_stars(self, numbers: Sequence[int]) -> dict[int, StarImages]:
        """Places and shown templates of those stars that there are."""
        wanted = list(dict.fromkeys(numbers))
        own = Observation.observation_id, Image.image_id
        seen = (
            select(SourcePosition.source_id, *own)
            .join(Process, and_(Process.pid == SourcePosition.pid, Process.command == DETECT.command))
            .join(Observation, Observation.graph_pid == Process.graph_pid)
            .outerjoin(
                Image,
                and_(
                    Image.graph_pid == Observation.graph_pid,
                    Image.kind == TEMPLATE,
                    Image.observation_id == Observation.observation_id,
                    Image.deleted_at.is_(None),
                ),
            )
            .where(SourcePosition.source_id.in_(wanted))
            .order_by(Observation.night.desc(), Observation.observation_id)
        )
        with self._reading() as session:
            places = session.execute(
                select(Source.source_id, Source.ra_deg, Source.dec_deg).where(Source.source_id.in_(wanted))
            )
            found = {
                number: StarImages(None if ra is None or dec is None else (ra, dec), {}) for number, ra, dec in places
            }
            for number, observation_id, image_id in session.execute(seen):
                found[number].templates[observation_id] = image_id or 0
        return found
