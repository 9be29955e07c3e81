"""Aperture fluxes on one calibrated image, at the places of the template's sources and at any others: in one way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.aperture.aperture_flux import Apertures, Measurement, measure
from pipeline.aperture.own_light import judge_pixels
from pipeline.frame.masked_pixels import PixelBit, pixel_bits, with_bit, within
from pipeline.registration.alignment import Alignment
from schema.frame import Frame
from schema.queries import frames
from services.errors import DataError
from services.steps.shared.apertures import on_frame, seeing_change
from services.steps.shared.detector_pixels import (
    FEWEST_FRAMES,
    hot_pixels,
    mark_hot_pixels,
    template_path,
    template_pixels,
)
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.frame_noise import noise_of
from services.steps.shared.image_files import PIXELS, path_of
from services.steps.shared.noise_facts import gain_of_night
from services.steps.shared.step import Context
from services.steps.shared.template_sources import TemplateSources, template_sources

NOWHERE = np.empty((0, 2))


@dataclass(frozen=True)
class FrameToMeasure:
    """A calibrated image, and what is to be known of it before it is opened."""

    image: Frame
    sources: TemplateSources
    gain: float | None
    hot: NDArray[np.int32]
    template: str | None  # path of the template, which tells hits from stars

    @classmethod
    def of(cls, context: Context, session: Session, calibrated: int, detected: int) -> "FrameToMeasure":
        """The image that process ``calibrated`` made, for the sources that ``detected`` found.

        Raises:
            DataError: it is gone, or `select` has refused it.
        """
        image = frames.by_pid(session, calibrated, context.pid)
        if image is None:
            raise DataError(f"process {context.pid}: its image is gone; publish the observation again")
        if image.dx is None and image.reject_reason:  # `select` has said why
            raise DataError(f"image {image.image_id} ({image.path}): {image.reject_reason}")
        sources = template_sources(context, session, detected)
        hot = hot_pixels(context, session)
        template = template_path(context, session, FEWEST_FRAMES)
        gain = image.gain
        if gain is None:
            gain = gain_of_night(session, context.graph_pid, detected)
        return cls(image, sources, gain, hot, template)

    @property
    def alignment(self) -> Alignment:
        """Template to frame."""
        return alignment_of(self.image)

    def apertures(self, *, with_ellipses: bool = True) -> Apertures:
        """Those of the graph on this frame."""
        ellipses = self.sources.ellipses if with_ellipses else None
        if ellipses is not None:
            ellipses = ellipses.on_frame(self.alignment.rotation, self.alignment.scale)
        return on_frame(self.sources.apertures, self.image.fwhm, ellipses)

    def measure(self, context: Context, places: NDArray[np.float64] = NOWHERE) -> tuple[Measurement, NDArray[np.uint8]]:
        """Measure the sources, and behind them ``places``, float64[m, 2], template pixels; and the masked pixels' bits.

        What looks like a cosmic ray is judged by the template first: light of the stars is measured, hits on them are
        not. The sky beside a place is drawn to that beside all others, so that sources are measured where only places
        are asked for. A place has no shape: with places there is no Kron ellipse.
        """
        image, sources, alignment = self.image, self.sources, self.alignment
        stored = context.images.read_all(path_of(image), (PIXELS,))
        apertures = self.apertures(with_ellipses=not len(places))
        xy = np.vstack([sources.xy, places])
        table = mark_hot_pixels(within(stored.extras[PIXELS], stored.image.size), self.hot)
        bits, marked = pixel_bits(table, stored.image.shape), table["index"].astype(np.int64)
        noise = noise_of(image, self.gain)
        if (shown := template_pixels(context, self.template)) is not None:
            judging = alignment, xy, max(apertures.radii), noise, with_bit(table, PixelBit.COSMIC).astype(np.int64)
            marked = np.concatenate([marked, judge_pixels(stored.image, bits, shown, *judging)])
        marked = marked[bits.reshape(-1)[marked] > 0]
        response = sources.seeing_response[:, : apertures.number] * seeing_change(sources.apertures, image.fwhm)
        measured = measure(
            stored.image,
            alignment.to_frame(xy),
            apertures,
            noise,
            bits=bits,
            marked=marked,
            isolated=np.concatenate([sources.isolated, np.zeros(len(places), dtype=np.bool_)]),
            neighbours=np.vstack([response, np.zeros((len(places), apertures.number))]),
            fwhm=image.fwhm,
        )
        return measured, bits.reshape(-1)[marked]
