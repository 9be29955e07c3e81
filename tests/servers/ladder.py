"""The ways to a server, tried in order; the first that leads to one is taken.

A variable that is set is the only way: a wrong one is an error and not a reason to test something else.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.servers import containers, daemon, env, probe
from tests.servers.errors import CannotStart, NoServer, Refused, ServerError
from tests.servers.kinds import ALL, MARIADB, MYSQL, RABBITMQ, Kind, standard_url

Say = Callable[[str], None]


def find(kind: Kind, home: Path, say: Say, environ: Mapping[str, str] = os.environ) -> str:
    """URL of a server of ``kind`` that lets us in, started if need be under ``home``.

    Raises:
        NoServer: no way leads to one; the message tells each way's end and what to do.
    """
    if given := environ.get(kind.variable):
        try:
            kind.answers(given)
        except Refused as reason:
            raise NoServer(f"{kind.variable} leads to no {kind.title}: {reason}; correct or unset it") from reason
        return given
    ways: dict[str, Callable[[], str]] = {
        "standard port": lambda: _standing(kind, standard_url(kind, environ)),
        "started before": lambda: _standing(kind, daemon.url(home / kind.name)),
        "container engine": lambda: containers.start(home, kind.name, kind.answers),
        "program of this machine": lambda: _private(kind, home / kind.name, say),
    }
    ends = []
    for name, way in ways.items():
        try:
            return way()
        except ServerError as reason:
            ends.append(f"{name}: {reason}")
    advice = (
        f"Install {kind.title} or start a container engine, or set {kind.variable} to one on which the tests may work:"
        f" {kind.expected}"
    )
    raise NoServer("\n  ".join([f"There is no {kind.title} for the tests.", *ends, advice]))


def _standing(kind: Kind, url: str | None) -> str:
    if url is None:
        raise CannotStart("none is running")
    kind.answers(url)
    return url


def _private(kind: Kind, folder: Path, say: Say) -> str:
    say(f"{kind.title}: starting one in {folder} (the first time it may be downloaded) …")
    kind.stop(folder)  # one that runs and answers no more
    folder.mkdir(parents=True, exist_ok=True)
    return kind.start(folder)


def find_all(home: Path, say: Say, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """URL by variable for all that the tests need.

    Raises:
        NoServer: one of them cannot be had.
    """
    databases = dict(environ)
    if main := environ.get(env.DATABASE):
        try:
            databases.setdefault(_variable_of(main), main)
        except Refused as reason:
            raise NoServer(f"{env.DATABASE} leads to no MariaDB or MySQL: {reason}; correct or unset it") from reason
    urls = {kind.variable: find(kind, home, say, databases) for kind in (MARIADB, MYSQL)}
    if not main:
        standard = standard_url(MYSQL, environ)
        main = standard if standard in urls.values() else urls[env.MARIADB]
    return {env.DATABASE: main, **urls, env.BROKER: find(RABBITMQ, home, say, environ)}


def _variable_of(database_url: str) -> str:
    return env.MARIADB if probe.flavour(database_url) == "mariadb" else env.MYSQL


def stop_all(home: Path, say: Say) -> None:
    """End what was started under ``home``; nothing else is touched."""
    for kind in ALL:
        if kind.stop(home / kind.name):
            say(f"{kind.title}: stopped")
    if containers.stop(home):
        say("containers: removed")
