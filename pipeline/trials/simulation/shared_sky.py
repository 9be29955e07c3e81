"""The part of a sky that a night shows, when other nights show that sky too."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.celestial import Sky, SkyStars, draw_sky, moved, years_since_gaia
from pipeline.trials.simulation.conditions import FrameTable
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.optics import to_pixels
from pipeline.trials.simulation.star_field import StarTable, farthest, in_filter, laid_out
from pipeline.units import ARCSEC


def stars_of_sky(spec: NightSpec, frames: FrameTable) -> StarTable:
    """The stars of the sky ``sky_seed`` on everything that the night's frames see, where they are that night."""
    low, high = laid_out(spec, frames)
    stars = draw_sky_around(spec, frames, 1.0)
    ra, dec = moved(stars.ra, stars.dec, stars.pm_ra_mas, stars.pm_dec_mas, years_since_gaia(spec.middle_jd))
    x, y = to_pixels(ra, dec, spec)
    seen: NDArray[np.intp] = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    stars = stars.take(seen)
    return StarTable(
        id=np.arange(seen.size),
        x=x[seen],
        y=y[seen],
        mag=in_filter(spec, stars.g_mag, stars.bp_rp),
        kind=stars.kind,
        amplitude=stars.amplitude,
        period_d=stars.period_d,
        epoch_jd=stars.epoch_jd,
        duration_d=stars.duration_d,
        ra=ra[seen],
        dec=dec[seen],
        gaia_source_id=stars.source_id,
        g_mag=stars.g_mag,
        bp_rp=stars.bp_rp,
        pm_ra_mas=stars.pm_ra_mas,
        pm_dec_mas=stars.pm_dec_mas,
        parallax_mas=stars.parallax_mas,
    )


def draw_sky_around(spec: NightSpec, frames: FrameTable, reach: float) -> SkyStars:
    """Stars of the sky ``sky_seed`` out to ``reach`` times as far from the middle as any star is laid out.

    Raises:
        UnusableDataError: the night has no sky of its own.
    """
    if spec.sky_seed is None:
        raise UnusableDataError("sky_seed is None, expected the seed of a sky: give one")
    radius = np.degrees(np.arctan(np.radians(farthest(spec, frames) * reach * spec.pixel_scale / ARCSEC)))
    sky = Sky(
        seed=spec.sky_seed,
        density=spec.sky_density,
        separation_arcsec=spec.sky_separation_arcsec,
        faintest_mag=spec.sky_faintest_mag,
        brightest_mag=spec.sky_brightest_mag,
    )
    return draw_sky(sky, spec.ra_deg, spec.dec_deg, float(radius))
