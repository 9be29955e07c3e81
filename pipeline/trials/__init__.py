"""Trials with known truth: nights that are simulated, and signals put into real frames."""
