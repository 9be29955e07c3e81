"""A telescope as a device: plans of exposures, and taking one by ASCOM Alpaca. Knows no database."""
