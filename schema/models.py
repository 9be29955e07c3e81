"""All models in one place, for migrations and tests: importing this fills ``Base.metadata``."""

from schema import found, image, observing, photometry, processes, skies, views
from schema.base import Base

metadata = Base.metadata

__all__ = ["found", "image", "metadata", "observing", "photometry", "processes", "skies", "views"]
