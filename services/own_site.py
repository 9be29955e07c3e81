"""An observation by its id, and whose site it is of: its frames lie under that site's root, and nowhere else.

Copies of its images may lie at other sites, where steps open them.
"""

from pathlib import Path

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from schema.image import TEMPLATE, Image
from schema.observing import Observation
from schema.processes import Site
from schema.queries import images
from services.errors import ConfigurationError


def require_observation(session: Session, observation_id: int) -> Observation:
    """The observation of this id.

    Raises:
        ConfigurationError: there is none.
    """
    observation = session.get(Observation, observation_id)
    if observation is None:
        raise no_observation(observation_id)
    return observation


def no_observation(observation_id: int, what_was_done: str = "") -> ConfigurationError:
    """The error of an id that no observation has; ``what_was_done``: about that, where people may wonder."""
    done = f"{what_was_done}; " if what_was_done else ""
    return ConfigurationError(
        f"there is no observation {observation_id}: {done}`tianyu status` lists the observations with their ids"
    )


def is_of(site: str) -> ColumnElement[bool]:
    """Whether an observation is of the site of this name, in SQL."""
    return Observation.site_id == select(Site.site_id).where(Site.name == site).scalar_subquery()


def of_another_site(session: Session, observation: Observation) -> str:
    """Which observation it is, and whose."""
    return f"observation {observation.observation_id} is of site {session.get_one(Site, observation.site_id).name!r}"


def require_own(session: Session, site: str, observation: Observation) -> None:
    """Refuse the observation of another site than this one.

    Raises:
        ConfigurationError: it is.
    """
    name = session.get_one(Site, observation.site_id).name
    if name != site:
        raise ConfigurationError(
            f"{of_another_site(session, observation)}, where its frames and images are; this is "
            f"{site!r}: give the command on a machine of that site (TIANYU_SITE={name}), or ingest a copy of its "
            "frames here"
        )


def has_template(session: Session, site: str, observation: Observation) -> bool:
    """Whether this site can show an observation's template: it is its own, or has a copy that was sent here."""
    site_id = session.scalar(select(Site.site_id).where(Site.name == site))
    if site_id is None or observation.site_id == site_id:
        return site_id is not None
    shown = select(Image.path).where(Image.graph_pid == observation.graph_pid, Image.kind == TEMPLATE)
    paths = session.scalars(shown).all()
    return bool(images.copies(session, paths, observation.observation_id, site_id))


def why_not_here(session: Session, site: str, image: Image) -> str | None:
    """Why the file of an image is not at a site; None where it should be there."""
    if image.deleted_at is not None:
        return f"the file of image {image.image_id} was deleted to free space"
    own = session.scalar(select(Site.site_id).where(Site.name == site))
    if image.site_id == own or (own is not None and images.copies(session, [image.path], image.observation_id, own)):
        return None
    return f"image {image.image_id} is at another site than {site}"


def stored_path(path: Path, root: Path) -> str:
    """The path as kept in table image: relative to the site's root, absolute for files that lie elsewhere.

    Bytes that are no UTF-8 are written as escapes; no frame of such a name is ever opened by its stored path.
    """
    absolute, resolved_root = path.absolute(), root.absolute()
    kept = absolute.relative_to(resolved_root) if absolute.is_relative_to(resolved_root) else absolute
    return str(kept).encode(errors="backslashreplace").decode()
