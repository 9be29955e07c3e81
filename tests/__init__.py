"""Tests of Tianyu."""
