"""The stack of a night's good frames, and the sources that stand on it."""
