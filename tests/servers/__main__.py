"""``python -m tests.servers up | down | env | status``."""

import argparse
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url

from tests.servers import env, ladder
from tests.servers.errors import Refused, ServerError
from tests.servers.kinds import ALL


def say(line: str) -> None:
    """Tell the person who waits."""
    sys.stderr.write(line + "\n")


def shown(url: str) -> str:
    """``url`` without its password."""
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two runs in one checkout must not start the same server twice."""
    env.HOME.mkdir(exist_ok=True)
    with (env.HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up() -> None:
    """Find or start the servers and remember where they are."""
    with one_at_a_time():
        urls = ladder.find_all(env.HOME, say)
        env.write(env.FILE, {name: url for name, url in urls.items() if url not in os.environ.values()})
    for name, url in urls.items():
        say(f"{name} = {shown(url)}")


def down() -> None:
    """Stop what ``up`` started."""
    with one_at_a_time():
        ladder.stop_all(env.HOME, say)
        env.FILE.unlink(missing_ok=True)


def print_env() -> None:
    """Write lines for a shell: ``eval "$(python -m tests.servers env)"``."""
    for name, url in env.read(env.FILE).items():
        sys.stdout.write(f"export {name}={shlex.quote(url)}\n")


def status() -> None:
    """Ask each server that is remembered; fails if one is missing."""
    urls = env.read(env.FILE)
    missing = 0
    for kind in ALL:
        try:
            kind.answers(urls[kind.variable])
        except KeyError:
            missing += 1
            say(f"{kind.title}: not known")
        except Refused as reason:
            missing += 1
            say(f"{kind.title}: {reason}")
        else:
            say(f"{kind.title}: {shown(urls[kind.variable])}")
    if missing:
        raise ServerError("not all servers are there: `make servers` brings them up")


COMMANDS = {"up": up, "down": down, "env": print_env, "status": status}


def main() -> int:
    """Run one command; 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description="Real servers for the tests.")
    parser.add_argument("command", choices=COMMANDS)
    try:
        COMMANDS[parser.parse_args().command]()
    except ServerError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"{env.HOME} cannot be used: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
