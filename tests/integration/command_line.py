"""Tianyu's command line, in the test's own process."""

from typer.testing import CliRunner, Result

from services.cli.app import app

RUNNER = CliRunner()


def tianyu(*words: str) -> Result:
    """Run a command; what it raises fails the test."""
    return RUNNER.invoke(app, words, catch_exceptions=False)
