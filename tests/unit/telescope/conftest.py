"""Sessions, as the tests of services have them."""

from tests.unit.services.conftest import any_session, session

__all__ = ["any_session", "session"]
