"""A browser for tests of the web service: one that is installed, else Debian's Chromium, installed when asked for."""

from pathlib import Path

from tests.servers import debian, programs
from tests.servers.errors import CannotStart

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser() -> Path:
    """The program.

    Raises:
        CannotStart: there is none, and it cannot be installed.
    """
    found = programs.find(*NAMES)
    if found is None:
        try:
            debian.install("chromium")
        except CannotStart as error:
            raise CannotStart(f"there is no browser ({', '.join(NAMES)}), and none can be installed: {error}") from None
        found = programs.find(*NAMES)
    if found is None:
        raise CannotStart("chromium was installed, and is still not there: is its folder in PATH?")
    return found
