"""A made-up night whose stars have places on the sky, and a service that answers about it."""

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from schema import database
from services.image_store import ImageStore
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp
from tests.unit.services.made_wcs import made_wcs

CENTRE = (31.0, 46.7)


STARS, FRAMES = 24, 22


def solved_night(session: Session, store: ImageStore | None = None) -> MadeUp:
    """Stars of a field about HAT-P-32."""
    numbers = np.random.default_rng(1)
    observation_id = made_up.add_observation(session)
    night = made_up.add_light_curves(session, observation_id, numbers, store=store, n_stars=STARS, n_frames=FRAMES)
    made_up.solve_field(session, night, made_wcs(ra=CENTRE[0], dec=CENTRE[1]))
    made_up.name_in_gaia(session, int(night.source_ids[2]), 2864243154873221479, 11.2)
    session.commit()
    return night


def reading_engine(url: str) -> Engine:
    """Connections that cannot write."""
    engine = database.connect(url)
    database.forbid_writing(engine, 60)
    return engine
