"""SExtractor with its default configuration: a catalogue a frame, fluxes in fixed circles, matched by position."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from bench.photometry.light_curves import RawFluxes
from bench.photometry.masters import Calibration
from bench.photometry.night import Night
from bench.source_extractor import extract

RADII_FWHM = (0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
COLUMNS = ("X_IMAGE", "Y_IMAGE", "FLUX_APER", "FLUXERR_APER")


def run(night: Night, work: Path) -> RawFluxes:
    """Fluxes of every detection that is a star of the truth."""
    work.mkdir(parents=True, exist_ok=True)
    parameters, image, catalogue = work / "columns.param", work / "image.fits", work / "catalogue.fits"
    columns = [f"{name}({len(RADII_FWHM)})" if name.endswith("APER") else name for name in COLUMNS]
    parameters.write_text("\n".join(columns) + "\n")
    flux, error = np.full((2, night.truth.stars.id.size, night.epochs.size, len(RADII_FWHM)), np.nan)
    calibration = Calibration(night)
    for epoch, path in enumerate(night.light_frames()):
        fits.writeto(image, calibration.frame(path), overwrite=True)
        extract(image, parameters, catalogue, _options(night))
        table = Table.read(catalogue)
        xy = np.column_stack([table["X_IMAGE"], table["Y_IMAGE"]]) - 1  # FITS counts pixels from 1
        stars = night.stars_of(epoch, xy)
        flux[stars[stars >= 0], epoch] = np.asarray(table["FLUX_APER"])[stars >= 0]
        error[stars[stars >= 0], epoch] = np.asarray(table["FLUXERR_APER"])[stars >= 0]
    return RawFluxes("SExtractor", flux, error, RADII_FWHM)


def _options(night: Night) -> dict[str, object]:
    spec = night.truth.spec
    return {
        "PHOT_APERTURES": ",".join(f"{2 * factor * night.fwhm:.3f}" for factor in RADII_FWHM),
        "GAIN": spec.gain,
        "SATUR_LEVEL": spec.saturation,
        "PIXEL_SCALE": spec.pixel_scale,
        "SEEING_FWHM": night.fwhm * spec.pixel_scale,
    }
