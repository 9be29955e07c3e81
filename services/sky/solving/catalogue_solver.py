"""A field among the catalogue's stars: found by its pattern around a pointing, and fitted at the epoch of the image."""

import math
from dataclasses import replace

from pipeline.errors import UnusableDataError
from services.log import get_logger
from services.sky.catalogue import Catalogue, CatalogueOutage, CatalogueStars
from services.sky.solving.depth import area, limit_for
from services.sky.solving.hints import Claim, Try
from services.sky.solving.solution import Field, Solution

log = get_logger("solving")
PATTERN_STARS = 150  # of the catalogue in the field, to find a pattern; near the galactic poles a third of it
SEARCHED_STARS = 50_000  # of the catalogue in a search, at most
FITTED_STARS = 300_000  # of the catalogue in a fit, at most
WORSE_RMS = 2.0  # of the catalogue's fit over the first one's: it takes in fainter stars
LEAST_RMS_PX = 0.5  # a first fit to few stars may follow them by chance
FIELD_MARGIN = 1.05  # of the field's radius: the first WCS may be off


def confirm_claim(field: Field, catalogue: Catalogue, claim: Claim, mag_limit: float) -> Solution:
    """A header's WCS, where the catalogue's stars bear it out, fitted to them.

    Raises:
        UnusableDataError: they do not, or the catalogue has none there.
        CatalogueOutage: the catalogue cannot be asked.
    """
    from pipeline.sky.astrometry.wcs_claims import confirmed

    stars = _pattern_stars(field, catalogue, claim.narrowed(), mag_limit)
    fit = confirmed(claim.wcs, field.xy, field.flux, field.places(stars), stars.g_mag, field.shape)
    return _fitted_deeper(field, catalogue, Solution(fit, "header"), mag_limit)


def search_catalogue(field: Field, catalogue: Catalogue, one: Try, mag_limit: float) -> Solution:
    """Find the field by its pattern around the place of a try.

    Raises:
        UnusableDataError: no pattern fits, with the reason.
        CatalogueOutage: the catalogue cannot be asked.
    """
    from pipeline.sky.astrometry.patterns import SkyHint, match_catalogue

    assert one.place is not None
    ra, dec, radius = one.place
    stars = _pattern_stars(field, catalogue, one, mag_limit)
    least, greatest = one.scale_arcsec
    hint = SkyHint(ra, dec, radius, one.scale_guess, 1.0 - math.sqrt(least / greatest))
    fit = match_catalogue(field.xy, field.flux, field.places(stars), stars.g_mag, field.shape, hint)
    return _fitted_deeper(field, catalogue, Solution(fit, "catalogue"), mag_limit)


def _pattern_stars(field: Field, catalogue: Catalogue, one: Try, mag_limit: float) -> CatalogueStars:
    """Bright stars about the place of a try: as many in the field as make a pattern."""
    assert one.place is not None
    ra, dec, radius = one.place
    field_radius = field.radius_deg(one.scale_guess)
    cone = min(radius + field_radius, 180.0)
    density = min(PATTERN_STARS / area(field_radius), SEARCHED_STARS / area(cone))
    return catalogue.cone(ra, dec, cone, min(mag_limit, limit_for(density)))


def _fitted_deeper(field: Field, catalogue: Catalogue, solution: Solution, mag_limit: float) -> Solution:
    try:
        return fit_to_catalogue(field, catalogue, solution, mag_limit)
    except (UnusableDataError, CatalogueOutage) as error:
        log.warning("the solution rests on the catalogue's brightest stars", reason=str(error))
        return solution


def fit_to_catalogue(field: Field, catalogue: Catalogue, found: Solution, mag_limit: float) -> Solution:
    """The solution fitted to the catalogue's stars in the field, down to its faint ones; as it was if they do not fit.

    Raises:
        UnusableDataError: next to none match.
        CatalogueOutage: the catalogue cannot be asked.
    """
    from pipeline.sky.astrometry.wcs_fit import refine

    before = found.fit
    radius = FIELD_MARGIN * before.wcs.radius(field.shape)
    # The limit is crossmatch's, as far as it goes: the same stars are fetched once.
    limit = min(mag_limit, limit_for(FITTED_STARS / area(radius)))
    stars = catalogue.cone(*before.wcs.centre(field.shape), radius, limit)
    fit = refine(before.wcs, field.xy, field.flux, field.places(stars), stars.g_mag, field.shape)
    largest_rms = max(WORSE_RMS * before.rms_arcsec, LEAST_RMS_PX * before.wcs.pixel_scale(field.shape))
    # A catalogue of a corner of the field, or of other stars, matches few stars, or any within a wide radius.
    if fit.matches < before.matches or fit.rms_arcsec > largest_rms:
        log.warning("the catalogue does not fit the solution", matches=fit.matches, rms_arcsec=fit.rms_arcsec)
        return found
    return replace(found, fit=fit)
