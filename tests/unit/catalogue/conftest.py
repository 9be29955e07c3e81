"""A small sky behind a TAP service on this machine."""

from collections.abc import Iterator

import pytest

from tests.unit.catalogue.archive import Archive, serve, sky


@pytest.fixture
def archive() -> Iterator[Archive]:
    """3000 stars in 16 square degrees about right ascension 0 h: the sky's worst place."""
    with serve(Archive(sky(0.0, 46.0, 2.0, 3000))) as archive:
        yield archive
