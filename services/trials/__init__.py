"""Trials with known truth: simulated nights, and signals put into real ones."""
