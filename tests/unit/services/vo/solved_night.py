"""A made-up night whose stars have places on the sky, and a service that answers about it."""

from pathlib import Path

import numpy as np
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session
from starlette.routing import BaseRoute

from schema import database
from schema.image import Image
from schema.read_only import allow_cross_joins, forbid_writing
from services.image_store import ImageStore, open_store
from services.vo.query_limits import QueryLimits
from services.vo.vo_routes import vo_routes
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp
from tests.unit.services.made_wcs import made_wcs

CENTRE = (31.0, 46.7)


STARS, FRAMES = 24, 22
SHAPE = (200, 300)  # rows and columns of its images


def solved_night(session: Session, store: ImageStore | None = None) -> MadeUp:
    """Stars of a field about HAT-P-32."""
    numbers = np.random.default_rng(1)
    observation_id = made_up.add_observation(session)
    night = made_up.add_light_curves(session, observation_id, numbers, store=store, n_stars=STARS, n_frames=FRAMES)
    made_up.solve_field(session, night, made_wcs(ra=CENTRE[0], dec=CENTRE[1]))
    made_up.name_in_gaia(session, int(night.source_ids[2]), 2864243154873221479, 11.2)
    if store is not None:
        calibrated_files(session, night, store)
    session.commit()
    return night


def calibrated_files(session: Session, night: MadeUp, store: ImageStore) -> None:
    """Sizes of all calibrated images, and the file of the second one, on which each row counts up."""
    ny, nx = SHAPE
    ids = night.image_ids.tolist()
    session.execute(update(Image).where(Image.image_id.in_(ids)).values(ny=ny, nx=nx))
    session.expire_all()
    pixels = np.arange(ny * nx, dtype=np.float32).reshape(ny, nx)
    store.write(session.get_one(Image, ids[1]).path, pixels, {}, {"BIASFILE": "/secret/bias.fits", "FILTER": "R"})


def routes_of(engine: Engine, limits: QueryLimits, root: Path = Path("/nowhere")) -> list[BaseRoute]:
    """The services of the made-up site, whose images lie under ``root``."""
    return vo_routes(engine, limits, open_store(root), made_up.SITE)


def reading_engine(url: str) -> Engine:
    """Connections that cannot write."""
    engine = database.connect(url)
    forbid_writing(engine, 60)
    allow_cross_joins(engine)
    return engine
