"""The template's coordinates on a calibrated frame: its own header says where its pixels are on the sky."""

from pipeline.alignment import Alignment
from pipeline.astrometry.sky_wcs import SkyWcs
from schema.frames import Frame
from services.steps.base import Context
from services.steps.files import path_of


def write_frame_wcs(context: Context, image: Frame, alignment: Alignment, wcs: SkyWcs) -> None:
    """Write the WCS of a frame whose pixels are ``alignment.to_frame`` of the template's; a second time replaces it.

    Raises:
        ConfigurationError: the frame's file was removed to free space.
        DataError: the file is gone or no FITS file.
        TransientError: the disk is full or failed.
    """
    shape = (image.ny or 0, image.nx or 0)
    context.images.add_cards(path_of(image), wcs.through(alignment, shape).cards())
