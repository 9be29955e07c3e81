"""A simulated night as files: FITS frames as a camera would write them, and the truth in a folder beside them.

OUT_DIR/bias_001.fits … dark_001.fits … flat_R_001.fits … TARGET_R_0001.fits …
OUT_DIR/truth/spec.json  stars.ecsv  frames.ecsv  relative_flux.npy (float32[star, frame])  gaia.csv
"""

from services.trials.simulate.simulated_night import simulate
from services.trials.simulate.specification import night_spec
from services.trials.simulate.truth_files import read_truth

__all__ = ["night_spec", "read_truth", "simulate"]
