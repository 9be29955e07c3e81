"""The truth of a night: its stars, its frames and every star's model flux."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.simulation.conditions import Floats, FrameTable, draw_conditions
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.optics import on_frame
from pipeline.trials.simulation.shared_sky import stars_of_sky
from pipeline.trials.simulation.star_field import StarTable, draw_stars, relative_flux


@dataclass(frozen=True)
class Truth:
    """What a perfect pipeline would find. ``relative_flux``: float32[star, frame], 1 for a constant star."""

    spec: NightSpec
    stars: StarTable
    frames: FrameTable
    relative_flux: NDArray[np.float32]

    def positions(self, i: int) -> tuple[Floats, Floats]:
        """Positions (x, y) of all stars on frame ``i``, pixels; many lie outside of it."""
        return on_frame(self.stars.x, self.stars.y, self.frames, i, self.spec)

    def electrons(self, i: int) -> Floats:
        """Electrons of all stars on frame ``i``, where the detector responds fully."""
        full = 10 ** (0.4 * (self.spec.zero_point - self.stars.mag)) * self.spec.exposure_s
        return np.asarray(full * self.frames.transparency[i] * self.relative_flux[:, i])


def make_truth(spec: NightSpec) -> Truth:
    """Draw conditions and stars; the same specification always gives the same truth.

    Raises:
        UnusableDataError: the specification cannot be met; the message says which number to change.
    """
    frames = draw_conditions(spec, spec.generator(Stream.CONDITIONS))
    if spec.sky_seed is None:
        stars = draw_stars(spec, frames, spec.generator(Stream.STARS))
    else:
        stars = stars_of_sky(spec, frames)
    return Truth(spec, stars, frames, relative_flux(stars, frames.jd_mid))
