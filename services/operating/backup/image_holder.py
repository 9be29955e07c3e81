"""A thread that holds images for a backup, so that `tianyu gc` deletes none of them meanwhile."""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from schema import database
from schema.queries import image_hold
from services.engine.presence import HOST
from services.errors import ConfigurationError, TransientError
from services.log import get_logger

log = get_logger("backup")
RENEWALS_A_LEASE = 3
LEASE_LEAST_S = 10.0  # a busy database shall not cost a backup its hold


class ImageHolder:
    """Whether the hold lasts."""

    def __init__(self, engine: Engine, lease_s: float) -> None:
        self._sessions = database.session_factory(engine)
        self._lease_s = max(lease_s, LEASE_LEAST_S)
        self._name = f"{HOST[:64]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._end = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._keep, name="image-hold", daemon=True)

    def begin(self) -> None:
        """Take the hold.

        Raises:
            ConfigurationError: another backup has it.
        """
        if not database.transact(self._sessions, partial(image_hold.take, holder=self._name, lease_s=self._lease_s)):
            with self._sessions() as session:
                other = image_hold.holder(session)
            since = "" if other is None else f" since {other.since:%F %T} UTC ({other.holder})"
            raise ConfigurationError(
                f"another backup of this database is being made{since}: wait for it. One that was killed is forgotten "
                "within a minute or two (lease_s)"
            )
        self._thread.start()

    def _keep(self) -> None:
        while not self._end.wait(self._lease_s / RENEWALS_A_LEASE):
            try:
                kept = database.transact(
                    self._sessions, partial(image_hold.renew, holder=self._name, lease_s=self._lease_s)
                )
            except DBAPIError as error:
                log.warning("the hold on images is not renewed, trying again", reason=str(error.orig))
                continue
            if not kept:
                self._lost = True
                return

    def require(self) -> None:
        """Make sure that it was never lost.

        Raises:
            TransientError: it was: images may have been deleted that the copy of the database names.
        """
        if self._lost or not database.transact(
            self._sessions, partial(image_hold.renew, holder=self._name, lease_s=self._lease_s)
        ):
            raise TransientError(
                "the database was away for longer than `lease_s` while the backup was made, and images may have been "
                "deleted meanwhile: make it again"
            )

    def end(self) -> None:
        """Give the hold back."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            database.transact(self._sessions, partial(image_hold.give_back, holder=self._name))
        except DBAPIError as error:
            log.warning("the hold on images is not given back, it ends by itself", reason=str(error.orig))


@contextmanager
def images_held(engine: Engine, lease_s: float) -> Iterator[ImageHolder]:
    """Hold images for the block."""
    holder = ImageHolder(engine, lease_s)
    holder.begin()
    try:
        yield holder
    finally:
        holder.end()
