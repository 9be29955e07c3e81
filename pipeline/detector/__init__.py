"""The detector: master frames, raw frames calibrated by them, its noise, and the pixels that cannot be trusted."""
