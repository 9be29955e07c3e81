"""Kinds of derived images by what becomes of them, as the steps say that make them."""

from schema.observing import LIGHT
from schema.queries.housekeeping import Kinds
from services.steps import ORDER

PARTIAL = tuple(kind for step in ORDER for kind in step.partial)
_OF_FRAMES = tuple(kind for step in ORDER if step.each.item == "frame" for kind in step.makes)
_RESULTS = tuple(kind for step in ORDER if step.each.item != "frame" for kind in step.makes)
_MASTERS = tuple(kind for step in ORDER if step.kind != LIGHT for kind in step.makes)
MADE = Kinds((*PARTIAL, *_OF_FRAMES, *_RESULTS), _RESULTS, _MASTERS)
