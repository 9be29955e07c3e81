"""Sessions, as the tests of services have them."""

from tests.unit.services.conftest import session

__all__ = ["session"]
