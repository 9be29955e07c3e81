"""Files of images: where one lies that is still there; and saving what a step made: the file first, its row later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from sqlalchemy.orm import Session

from schema.frame import Frame
from schema.image import Image
from schema.queries import images
from services.errors import ConfigurationError
from services.steps.shared.step import MADE_BY, Context

PIXELS = "PIXELS"  # extension: masked pixels (flat index, bits)
STARS = "STARS"  # extension: star list
WEIGHT = "WEIGHT"  # extension: good frames in each pixel of a stack


def path_of(image: Image | Frame) -> str:
    """Path of an image whose file a step is about to open.

    Raises:
        ConfigurationError: the file was removed to free space.
    """
    if image.deleted_at is None:
        return image.path
    raise ConfigurationError(
        f"image {image.path!r} ({image.kind} of process {image.pid}) was deleted by `tianyu gc` at "
        f"{image.deleted_at:%Y-%m-%d %H:%M:%S} UTC; "
        f"`tianyu rerun --from {MADE_BY[image.kind]} {image.observation_id}` makes it again"
    )


@dataclass(frozen=True)
class SavedImage:
    """A file that lies in its final place and waits for its row."""

    context: Context
    kind: str
    path: str
    shape: tuple[int, int]
    size_bytes: int
    parents: tuple[int, ...]

    def insert(self, session: Session, **facts: Any) -> int:
        """Insert the row; returns the image's id."""
        return images.add_image(
            session,
            kind=self.kind,
            site_id=images.site_id_of(session, self.context.deployment.site),
            path=self.path,
            parents=self.parents,
            observation_id=self.context.observation_id,
            pid=self.context.pid,
            graph_pid=self.context.graph_pid,
            ny=self.shape[0],
            nx=self.shape[1],
            size_bytes=self.size_bytes,
            **facts,
        )


def save_image(
    context: Context,
    kind: str,
    image: NDArray[Any],
    *,
    parents: Sequence[Image] | Sequence[Frame],
    masters: Sequence[Image | None] = (),
    extras: Mapping[str, NDArray[Any]] | None = None,
    unit: str = "adu",
    cards: str = "",
) -> SavedImage:
    """Write the file of this process; its place depends on the PID alone, so that a second attempt replaces it.

    ``cards``: of its header, 80 characters each, besides the PID and the unit.
    """
    path = context.images.derived_path(kind, context.observation_id, context.pid)
    header = {"TIANYUPI": str(context.pid), "BUNIT": unit}
    size = context.images.write(path, image, extras or {}, header, cards)
    ids = tuple(dict.fromkeys(parent.image_id for parent in (*parents, *masters) if parent is not None))
    ny, nx = image.shape
    return SavedImage(context, kind, path, (ny, nx), size, ids)
