"""Housekeeping: images that nobody needs any more make room for the next night."""

from services.operating.housekeeping.collect import Collection, Removed, collect, policy_of
from services.operating.housekeeping.prune import Pruned, prune

__all__ = ["Collection", "Pruned", "Removed", "collect", "policy_of", "prune"]
