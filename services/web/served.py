"""What pages are made from: the settings, sessions that cannot write, and pictures of images."""

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.requests import Request

from schema import database
from services.image_store import open_store
from services.settings import Settings
from services.setup import open_database
from services.web.pictures import Pictures

STATEMENT_S = 30  # longest; who waits longer has left


@dataclass(frozen=True)
class Served:
    """One database and one site, as the pages see them."""

    settings: Settings
    engine: Engine
    reading: sessionmaker[Session]
    pictures: Pictures

    @classmethod
    def open(cls, settings: Settings) -> "Served":
        """Of a database that is set up for this version.

        Raises:
            ConfigurationError: the URL is wrong, or the schema is missing or of another version.
            TransientError: the database does not answer.
        """
        engine = open_database(settings)
        database.forbid_writing(engine, STATEMENT_S)
        store = open_store(settings.root, settings.frame_bounds)
        return cls(settings, engine, database.reading_factory(engine), Pictures(store))

    def close(self) -> None:
        """Give up the connections."""
        self.engine.dispose()


def served(request: Request) -> Served:
    """What the service of this request was started with."""
    found = request.app.state.served
    assert isinstance(found, Served)
    return found
