"""The sources of an observation as regions of DS9: circles as wide as the aperture, coloured by the part they play."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy.orm import Session

from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.points import plain_text
from services.results.lightcurves.reading import read_apertures
from services.results.lightcurves.selection import SourceFacts, observed_sources
from services.results.lightcurves.sky_field import solved_field
from services.results.plots.roles import read_roles

FIRST_PIXEL = 1.0  # as DS9 counts
COLOURS = {"target": "red", "reference": "cyan", "check": "green", "source": "yellow"}
WIDTHS = {"target": 2, "reference": 1, "check": 1, "source": 1}


def regions_text(session: Session, observation: ObservationFacts, targets: Sequence[int]) -> str:
    """The text of a region file, places in ICRS; in pixels of the first frame where the field is not solved.

    Raises:
        DataError: there are no sources yet.
    """
    sources = observed_sources(session, observation)
    roles = read_roles(session, observation, None)
    field = solved_field(session, observation)
    radii = [one.radius for one in read_apertures(session, observation).values() if one.kind == "circle"]
    radius = float(np.median(radii)) if radii else 5.0
    on_sky = field is not None and all(star.ra_deg is not None for star in sources)
    lines = [
        "# Region file format: DS9 version 4.1",
        f"# observation {observation.observation_id}: {plain_text(observation.title)}",
        'global dashlist=8 3 font="helvetica 10 normal" select=1 edit=0 move=0 delete=1 include=1 source=1',
        "icrs" if on_sky else "image",
    ]
    for star in sources:
        part = _part(star.source_id, targets, list(roles.references), roles.checks)
        place = _on_sky(star, radius * field.pixel_scale) if on_sky and field is not None else _in_pixels(star, radius)
        words = f"color={COLOURS[part]} width={WIDTHS[part]} text={{{star.source_id}}} tag={{{part}}}"
        lines.append(f"circle({place}) # {words}")
    return "\n".join(lines) + "\n"


def _part(source_id: int, targets: Sequence[int], references: Sequence[int], checks: Sequence[int]) -> str:
    parts = {"target": targets, "reference": references, "check": checks}
    return next((name for name, members in parts.items() if source_id in members), "source")


def _on_sky(star: SourceFacts, radius_arcsec: float) -> str:
    return f'{star.ra_deg:.7f},{star.dec_deg:+.7f},{radius_arcsec:.3f}"'


def _in_pixels(star: SourceFacts, radius: float) -> str:
    return f"{star.x + FIRST_PIXEL:.3f},{star.y + FIRST_PIXEL:.3f},{radius:.3f}"
