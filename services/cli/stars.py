"""Which star a user means, for all commands that take one."""

from typing import TYPE_CHECKING

from services.cli.console import note
from services.cli.positions import Position

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from services.lightcurves.selection import ObservationFacts, SourceFacts


def target_source(session: "Session", observation: "ObservationFacts", place: Position) -> "SourceFacts":
    """The source at a place on the sky, or at pixels of the observation's first frame.

    Raises:
        ConfigurationError: no source lies there.
        DataError: no frame could be aligned, or there are no sources yet.
    """
    from services.lightcurves.selection import find_source
    from services.targets import template_position

    if place.on_sky:
        return find_source(session, observation, radec=place.pair)
    xy = template_position(session, observation.graph_pid or 0, place.pair)
    star = find_source(session, observation, own_xy=xy)
    note(f"the target is source {star.source_id} at x = {star.x:.1f}, y = {star.y:.1f} of the template")
    return star
