"""Housekeeping: images that nobody needs any more make room for the next night."""

from services.operating.housekeeping.collect import Collection, Removed, collect, policy_of

__all__ = ["Collection", "Removed", "collect", "policy_of"]
