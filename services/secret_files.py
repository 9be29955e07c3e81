"""Secrets in files: ``TIANYU_…_FILE`` names a file that holds one, as Docker, Kubernetes and systemd hand them over."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from services.errors import ConfigurationError

ENDING = "_FILE"
SECRET_CHARACTERS_MOST = 64_000


class Secret(NamedTuple):
    """What a file holds, and the variable that names the file."""

    variable: str
    value: str


def read(variables: Iterable[str], environment: Mapping[str, str] = os.environ) -> dict[str, Secret]:
    """Secrets by the variable whose value they are; ``variables`` are those that may be given by a file.

    Raises:
        ConfigurationError: a file cannot be read or is empty, or the variable itself has another value.
    """
    return {name: _read(name, environment) for name in variables if environment.get(name + ENDING)}


def _read(name: str, environment: Mapping[str, str]) -> Secret:
    variable = name + ENDING
    value = read_one(variable, Path(environment[variable]))
    if name in environment and environment[name] != value:
        raise ConfigurationError(f"{name} and {variable} are both set, and differ: unset one of them")
    return Secret(variable, value)


def read_one(named_by: str, path: Path) -> str:
    """What one file holds: a line. ``named_by`` is what an error begins with.

    Raises:
        ConfigurationError: it cannot be read, or holds something else.
    """
    try:
        with path.open(encoding="utf-8") as file:
            value = file.read(SECRET_CHARACTERS_MOST + 1)
    except OSError as error:
        raise ConfigurationError(f"{named_by}: file {str(path)!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{named_by}: file {str(path)!r} holds no text in UTF-8") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or "\n" in value or len(value) > SECRET_CHARACTERS_MOST:
        raise ConfigurationError(f"{named_by}: file {str(path)!r}: expected one line, the secret and nothing else")
    return value


def with_password(url: str, secret: Secret) -> str:
    """A server's URL with the password; a URL that names no server (``sqlite``, ``local``) needs none.

    Raises:
        ConfigurationError: it names no user, or has another password.
    """
    try:
        parts = urlsplit(url)
        host, user, given = parts.hostname, parts.username, parts.password
    except ValueError:  # who connects says what is wrong with it
        return url
    if not host:
        return url
    if not user:
        raise ConfigurationError(
            f"{secret.variable} gives a password, and the URL names no user: expected …//USER@HOST…"
        )
    if given is not None and unquote(given) != secret.value:
        raise ConfigurationError(f"{secret.variable} gives a password, and the URL has another: take it out of the URL")
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{quote(secret.value, safe='')}@{place}").geturl()
