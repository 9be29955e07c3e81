"""Tianyu's light curves beside those of photutils, eloy and SExtractor, of the same frames: `make bench-photometry`."""
