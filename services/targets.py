"""Why two plain numbers that a user typed were taken for pixels."""

from sqlalchemy.orm import Session

from services.lightcurves.field import solution_of
from services.lightcurves.selection import ObservationFacts


def why_not_on_sky(session: Session, observation: ObservationFacts) -> str:
    """Why two plain numbers were not taken for right ascension and declination."""
    solution = solution_of(session, observation)
    if solution is None or not solution.solved:
        return "the field has no sky coordinates, so that the numbers were taken for pixels of the first frame"
    circle = f"{solution.radius_deg:.3g} degrees around {solution.ra_deg:.4f},{solution.dec_deg:+.4f}"
    return f"as RA,DEC the numbers lie outside of the field ({circle}), so that they were taken for pixels"
