"""Images as pictures: tiles of 8-bit PNG at full size and at halves of it, the newest few images kept."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from schema.image import Image
from services.frame_geometry import readout_of
from services.image_store import ImageStore
from services.results.plots.template_picture import reduced, stretch_of
from services.steps.shared.raw_frames import pixels_of

TILE_PX = 512
SMALLEST_PX = 700  # of the smallest level's longer side, at most
KEPT_BYTES = 200_000_000  # of pictures
NO_PIXEL = 170  # gray of what is masked: neither sky nor star
COMPRESSION = 3

Shades = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One image, black on white and with its first row at the bottom: each level half as large as the one before."""

    levels: tuple[Shades, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        ny, nx = self.levels[0].shape
        return ny, nx

    def tile(self, level: int, column: int, row: int) -> bytes | None:
        """PNG of a tile, counted from the top left; None where there is none."""
        if not 0 <= level < len(self.levels):
            return None
        part = self.levels[level][row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
        return png(part) if part.size else None


def png(shades: Shades) -> bytes:
    """An 8-bit gray picture as PNG."""
    out = BytesIO()
    Pillow.fromarray(shades).save(out, "PNG", compress_level=COMPRESSION)
    return out.getvalue()


def picture_of(pixels: NDArray[np.floating]) -> Picture:
    """The picture of an image, stretched as plots show it; float[ny, nx], NaN where masked."""
    full = np.asarray(pixels, dtype=np.float32)
    stretch = stretch_of(full)
    levels = [_shades(full, stretch)]
    while max(full.shape) > SMALLEST_PX:
        full = reduced(full, 2)
        levels.append(_shades(full, stretch))
    return Picture(tuple(levels))


def _shades(pixels: NDArray[np.float32], stretch: object) -> Shades:
    light = np.ma.filled(stretch(pixels), np.nan)  # type: ignore[operator]
    with np.errstate(invalid="ignore"):
        shades = np.where(np.isfinite(pixels), 255.0 * (1.0 - np.clip(light, 0.0, 1.0)), NO_PIXEL)
    return np.ascontiguousarray(np.nan_to_num(shades, nan=NO_PIXEL).astype(np.uint8)[::-1])


class Pictures:
    """Pictures of images by their ids; a file is read once, however many tiles are asked for."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._kept: OrderedDict[int, Picture] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def of(self, image: Image) -> Picture:
        """The picture of an image that lies at this site.

        Raises:
            DataError, TransientError: its file cannot be read.
        """
        with self._one_at_a_time:
            found = self._kept.get(image.image_id)
            if found is None:
                found = self._kept[image.image_id] = picture_of(self._pixels(image))
                while len(self._kept) > 1 and self._bytes() > KEPT_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(image.image_id)
            return found

    def _pixels(self, image: Image) -> NDArray[np.floating]:
        if image.pid is not None:
            return self._store.read(image.path)
        return pixels_of(self._store, image.path, readout_of(image.geometry), (image.ny, image.nx)).counts

    def _bytes(self) -> int:
        return sum(level.nbytes for picture in self._kept.values() for level in picture.levels)
