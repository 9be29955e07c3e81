"""Register the master files that the operator gave, so that observations can be published with them."""

from pathlib import Path

from sqlalchemy.orm import Session

from services.choices import Choices, apart, is_file
from services.ingest.dialect import Kind
from services.ingest.given_files import register_given
from services.settings import Settings

KINDS: tuple[Kind, ...] = ("bias", "dark", "flat")


def register_files(session: Session, settings: Settings) -> list[str]:
    """Register the files among what is given; returns what is to be said of them.

    Raises:
        ConfigurationError: one cannot be used; the message names it.
    """
    return [
        line
        for kind in KINDS
        for what in _files(settings.choices, kind)
        for line in register_given(session, Path(what), kind, site=settings.site, root=settings.root)
    ]


def _files(choices: Choices, kind: Kind) -> list[str]:
    texts = (*getattr(choices, f"use_{kind}"), *getattr(choices, f"alt_{kind}"))
    return [what for _, what in map(apart, texts) if is_file(what)]
