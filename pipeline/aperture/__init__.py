"""Aperture photometry: fluxes, errors and flags of known positions on frames that are never resampled."""
