"""What can go wrong on the way to a server.

ServerError
├── Refused           a server does not answer, does not let us in, or is another one than wanted
├── CannotStart       this way to a server is closed on this machine; the next one is tried
└── NoServer          every way is closed: the message says what to do
"""


class ServerError(Exception):
    """Base of the tree."""


class Refused(ServerError):
    """A server does not answer, does not let us in, or is another one than wanted."""


class CannotStart(ServerError):
    """This way to a server is closed on this machine; the next one is tried."""


class NoServer(ServerError):
    """Every way is closed: the message says what to do."""
