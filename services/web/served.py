"""What pages are made from: the settings, sessions that cannot write, and pictures of images."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.requests import Request

from schema import database
from schema.read_only import forbid_writing
from services.image_store import open_store
from services.settings import Settings
from services.setup import open_database
from services.web.pictures import Pictures

STATEMENT_S = 30  # longest; who waits longer has left


@dataclass(frozen=True)
class Served:
    """One database and one site, as the pages see them.

    Attributes:
        reviewing: sessions that write verdicts, by another connection; None: none are taken.
        form_key: stands in each form of this program: who cannot read its pages cannot send one.
    """

    settings: Settings
    engine: Engine
    reading: sessionmaker[Session]
    pictures: Pictures
    reviewing: sessionmaker[Session] | None
    form_key: str

    @classmethod
    def open(cls, settings: Settings) -> "Served":
        """Of a database that is set up for this version, and with `review_database_url` open for verdicts.

        Raises:
            ConfigurationError: the URL is wrong, or the schema is missing or of another version.
            TransientError: the database does not answer.
        """
        engine = open_database(settings)
        forbid_writing(engine, STATEMENT_S)
        store = open_store(settings.root, settings.frame_bounds)
        reading, key = database.reading_factory(engine), secrets.token_urlsafe(32)
        return cls(settings, engine, reading, Pictures(store), _reviewing(settings), key)

    def close(self) -> None:
        """Give up the connections."""
        self.engine.dispose()
        if self.reviewing is not None:
            self.reviewing.kw["bind"].dispose()


def _reviewing(settings: Settings) -> sessionmaker[Session] | None:
    if settings.review_database_url is None:
        return None
    found = settings.model_copy(update={"database_url": settings.review_database_url})
    return database.session_factory(open_database(found))


def form_key(request: Request) -> str | None:
    """What a form must hold to be taken; None where none is taken."""
    here = served(request)
    return None if here.reviewing is None else here.form_key


def served(request: Request) -> Served:
    """What the service of this request was started with."""
    found = request.app.state.served
    assert isinstance(found, Served)
    return found
