"""Parts of calibrated images and templates as FITS files: their pixels, with the coordinates of the part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.regions import Box
from schema.frame import Frame
from schema.image import CALIBRATED, TEMPLATE, Image
from schema.processes import Site
from schema.queries import frames
from services.errors import DataError
from services.fits_cards import card, sound_cards
from services.fits_writer import CARD_BYTES, END_CARD, FITS_BLOCK_BYTES
from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.sky_field import solution_of
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.sky_registration import wcs_of

CUT_KINDS = (TEMPLATE, CALIBRATED)  # what has stars where the sky has them
ROWS_AT_ONCE_BYTES = 4_000_000  # read from the file
# What Tianyu itself says of an image, names of files left out; what the camera wrote besides is in the file alone.
_OWN = """
    IMAGETYP PRODUCT SITELAT SITELONG SITEELEV TELESCOP APTDIA INSTRUME FILTER XBINNING YBINNING DETSET EXPTIME EXPOSURE
    TOTEXP CCD-TEMP GAIN EGAIN RDNOISE SATURATE OBJECT TIMESYS DATE-OBS MJD-OBS DATE-AVG MJD-AVG JD JD_UTC MJD HJD
    HJD_UTC BJD BJD_TDB ALT AZ AIRMASS SKYLEVEL SKYRMS FWHM NSTARS CREATOR CALSTAT NCOMBINE COMBINE
"""
KEPT = frozenset(_OWN.split())


@dataclass(frozen=True)
class Cutout:
    """Rows and columns of an image's file; ``wcs`` is the whole image's."""

    image_id: int
    path: str
    box: Box
    wcs: SkyWcs | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.box
        return rows.stop - rows.start, columns.stop - columns.start

    @property
    def size(self) -> int:
        """Bytes of its pixels."""
        return 4 * self.shape[0] * self.shape[1]

    def parts(self, store: ImageStore) -> Iterator[bytes]:
        """The FITS file, some rows at a time: float32, NaN where a pixel is masked.

        Raises:
            DataError: the image's file is not what it should be.
            SurroundingsError, TransientError: it cannot be read.
        """
        yield self._header(store.read_header(self.path))
        rows, columns = self.box
        step = max(1, ROWS_AT_ONCE_BYTES // (4 * columns.stop))
        for start in range(rows.start, rows.stop, step):
            taken = store.read(self.path, rows=slice(start, min(start + step, rows.stop)))
            yield np.ascontiguousarray(taken[:, columns], dtype=">f4").tobytes()
        yield bytes(-self.size % FITS_BLOCK_BYTES)

    def _header(self, whole: str) -> bytes:
        ny, nx = self.shape
        rows, columns = self.box
        kept = "".join(words for keyword, words in sound_cards(whole) if keyword in KEPT)
        text = "".join(
            (
                card("SIMPLE", True, "conforms to FITS standard"),
                card("BITPIX", -32, "array data type"),
                *(card(key, value) for key, value in (("NAXIS", 2), ("NAXIS1", nx), ("NAXIS2", ny))),
                card("IMAGEID", self.image_id, "image of Tianyu that this is a part of"),
                card("LTV1", -float(columns.start), "x of the image is x of this less this"),
                card("LTV2", -float(rows.start), "y of the image is y of this less this"),
                kept,
                *(card(*row) for row in ({} if self.wcs is None else self._moved(self.wcs).cards()).items()),
            )
        )
        header = text.encode("ascii") + END_CARD
        assert len(header) % CARD_BYTES == 0
        return header.ljust(len(header) + -len(header) % FITS_BLOCK_BYTES)

    def _moved(self, wcs: SkyWcs) -> SkyWcs:
        rows, columns = self.box
        return replace(wcs, crpix=(wcs.crpix[0] - columns.start, wcs.crpix[1] - rows.start))


def wcs_of_image(session: Session, image: Image) -> SkyWcs | None:
    """Where the pixels of a template or calibrated image lie on the sky; None where that is not known."""
    wcs = wcs_of(solution_of(session, image))
    if wcs is None or image.kind == TEMPLATE:
        return wcs
    frame = session.get(Frame, image.image_id)
    return None if frame is None or frame.dx is None else wcs.through(alignment_of(frame))


def box_around(xy: tuple[float, float], size: int, shape: tuple[int, int]) -> Box | None:
    """Rows and columns of ``size`` pixels a side around a place (x, y), as far as an image (ny, nx) has them."""
    starts = [round(centre) - size // 2 for centre in reversed(xy)]
    rows, columns = (slice(max(0, at), min(at + size, side)) for at, side in zip(starts, shape, strict=True))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def frame_cutouts(
    session: Session,
    observation: ObservationFacts,
    site: str,
    xy: tuple[float, float],
    size: int,
    chosen: Sequence[int] = (),
) -> tuple[list[Cutout], list[str]]:
    """Parts of calibrated frames around a place of the template, by time, and what is left out and why.

    Args:
        session: reads only.
        observation: whose shown graph they are of.
        site: whose files can be read here.
        xy: template pixels.
        size: pixels a side.
        chosen: ids of calibrated images, good or not; without them all good ones.

    Raises:
        DataError: none of them shows the place.
    """
    rows = frames.of_graph(session, observation.graph_pid or 0)
    if strange := sorted({*chosen} - {row.image_id for row in rows}):
        raise DataError(
            f"observation {observation.observation_id} has no calibrated image {strange[0]}: column image_id of view "
            "frame has them"
        )
    wanted = [row for row in rows if row.image_id in chosen or (not chosen and row.good)]
    images = {one.image_id: one for one in session.scalars(
        select(Image).join(Site, Site.site_id == Image.site_id).where(
            Image.graph_pid == observation.graph_pid, Image.kind == CALIBRATED, Image.deleted_at.is_(None),
            Site.name == site,
        )
    )}  # fmt: skip
    found, away, outside = [], 0, 0
    for row in sorted(wanted, key=lambda row: (row.jd_utc or 0.0, row.image_id)):
        if row.image_id not in images or row.dx is None:
            away += 1
            continue
        [at] = alignment_of(row).to_frame(np.array([xy])).tolist()
        box = box_around((at[0], at[1]), size, (row.ny or 0, row.nx or 0))
        if box is None:
            outside += 1
            continue
        image = images[row.image_id]
        found.append(Cutout(image.image_id, image.path, box, wcs_of_image(session, image)))
    told = [
        f"{away} frames are left out: their calibrated images are not here, were deleted, or are not aligned"
    ] * bool(away)
    told += [f"{outside} frames are left out: they do not show the star"] * bool(outside)
    if not found:
        reason = "; ".join(told) or "no frame is good"
        raise DataError(f"observation {observation.observation_id} has no frame to cut from: {reason}")
    return found, told
