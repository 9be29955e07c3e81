"""All models in one place, for migrations and tests: importing this fills ``Base.metadata``."""

from schema import (
    alerts,
    found,
    image,
    observing,
    photometry,
    processes,
    retention,
    skies,
    travels,
    upkeep,
    verdicts,
    views,
)
from schema.base import Base

metadata = Base.metadata

__all__ = [
    "alerts",
    "found",
    "image",
    "metadata",
    "observing",
    "photometry",
    "processes",
    "retention",
    "skies",
    "travels",
    "upkeep",
    "verdicts",
    "views",
]
