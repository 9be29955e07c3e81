"""All models in one place, for migrations and tests: importing this fills ``Base.metadata``."""

from schema import (
    alerts,
    forced,
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
    "forced",
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
