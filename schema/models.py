"""All models in one place, for migrations and tests: importing this fills ``Base.metadata``."""

from schema import images, observing, photometry, processes, skies
from schema.base import Base

metadata = Base.metadata

__all__ = ["images", "metadata", "observing", "photometry", "processes", "skies"]
