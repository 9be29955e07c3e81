"""A WCS that somebody claims, a frame's header most of all: is it true, and what is it if it is a little off?"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.registration.alignment import Alignment
from pipeline.registration.offset_vote import vote
from pipeline.sky.astrometry.odds import in_field
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.wcs_fit import WcsFit, refine

Floats = NDArray[np.float64]

VOTING_STARS = 150  # brightest of the image, and of the catalogue in its field
LARGEST_SCALE_CHANGE = 0.1  # relative: what fits at another scale is another match than the claimed one


def confirmed(wcs: SkyWcs, xy: Floats, flux: Floats, radec: Floats, mag: Floats, shape: tuple[int, int]) -> WcsFit:
    """The claimed WCS fitted to a catalogue's stars, where more of these match than chance explains.

    xy: float64[n, 2], px; flux: float64[n]; radec: float64[m, 2], degrees, as far about the image as the claim may be
    off; mag: float64[m]; shape: (ny, nx). It is taken as it is first (right within 2 % of the image's side), then
    shifted and turned (by 1.6 degrees at most) as most pairs of bright stars vote: mounts are off by more than stars
    are apart.

    Raises:
        UnusableDataError: the stars do not bear the claim out.
    """
    try:
        return _near(wcs, refine(wcs, xy, flux, radec, mag, shape), shape)
    except UnusableDataError:
        moved = _moved(wcs, xy, flux, radec, mag, shape)
    if moved is None:
        raise UnusableDataError("the stars are not where it says, nor shifted from there")
    return _near(wcs, refine(moved, xy, flux, radec, mag, shape), shape)


def _near(claimed: SkyWcs, fit: WcsFit, shape: tuple[int, int]) -> WcsFit:
    scale, claim = fit.wcs.pixel_scale(shape), claimed.pixel_scale(shape)
    if abs(scale / claim - 1.0) > LARGEST_SCALE_CHANGE:
        raise UnusableDataError(f"the stars say {scale:.4g} arcsec a pixel, it says {claim:.4g}")
    return fit


def _moved(wcs: SkyWcs, xy: Floats, flux: Floats, radec: Floats, mag: Floats, shape: tuple[int, int]) -> SkyWcs | None:
    """The WCS that the votes of pairs of stars move it to."""
    here = np.flatnonzero(np.isfinite(xy).all(axis=1))
    here = here[np.argsort(-np.nan_to_num(flux[here], nan=-np.inf), kind="stable")][:VOTING_STARS]
    # As wide as the image and no wider: the vote counts what chance gives by how far two such fields overlap.
    there = in_field(wcs, radec, mag, shape)[:VOTING_STARS]
    places = wcs.to_pixels(radec[there])
    found = vote(places, xy[here], shape, rotate=True)
    if found is None:
        return None
    centre = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    moved = Alignment(found.dx, found.dy, found.rotation, 1.0, *centre, 0.0, found.votes)
    return wcs.through(moved)
