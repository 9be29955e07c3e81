"""Register the master files that the operator gave, so that observations can be published with them."""

from pathlib import Path

from sqlalchemy.orm import Session

from services.choices import Choices, apart, is_file
from services.ingest.dialect import Kind
from services.settings import Settings

KINDS: tuple[Kind, ...] = ("bias", "dark", "flat")


def register_files(session: Session, settings: Settings) -> list[str]:
    """Register the files among what is given; returns what is to be said of them.

    Raises:
        ConfigurationError: one cannot be used; the message names it.
    """
    files = [(kind, Path(what)) for kind in KINDS for what in _files(settings.choices, kind)]
    if not files:
        return []
    # Without files nothing here waits for what opens them: half a second of CPU each time.
    from services.ingest.dialect_files import with_own
    from services.ingest.given_files import register_given

    # Their pixels are as a master's, whatever is cut off the camera's frames: of the reading the words alone count.
    dialects, site, root = with_own(settings.dialects), settings.site, settings.root
    return [
        line
        for kind, path in files
        for line in register_given(session, path, kind, site=site, root=root, dialects=dialects)
    ]


def _files(choices: Choices, kind: Kind) -> list[str]:
    texts = (*getattr(choices, f"use_{kind}"), *getattr(choices, f"alt_{kind}"))
    return [what for _, what in map(apart, texts) if is_file(what)]
