"""Graphviz' own ``dot``, where it is installed."""

import shutil
import subprocess

from services.errors import ConfigurationError

TIMEOUT_S = 120.0


def find_dot() -> str | None:
    """The program, or None."""
    return shutil.which("dot")


def render(dot: str, source: str, timeout_s: float = TIMEOUT_S) -> str:
    """SVG of ``source`` by the program ``dot``.

    Raises:
        ConfigurationError: it fails, or takes too long.
    """
    instead = "`--format dot` writes the source for other programs"
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell; the source goes in by standard input
            [dot, "-Tsvg"], input=source, capture_output=True, encoding="utf-8", timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"{dot} did not end within {timeout_s:g} s: the graph is too large; {instead}"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{dot} cannot be run: {error}; {instead}") from error
    if done.returncode != 0:
        raise ConfigurationError(f"{dot} failed with exit code {done.returncode}: {done.stderr.strip()}; {instead}")
    return done.stdout
