"""Tests of the pipeline: arrays with a known truth."""
