"""Listen on an address, by rules that are safe without a thought."""

import ipaddress
import os
import resource
import socket
from collections.abc import Callable
from dataclasses import replace

import uvicorn

from services.errors import ConfigurationError
from services.vo.vo_routes import WRITING, VoServices
from services.web.application import application
from services.web.guard import LOOPBACK_NAMES, Guard, Rules
from services.web.served import Served

LEAST_TOKEN = 16  # characters
KEEP_ALIVE_S = 15
NICENESS = 10  # a machine that is shared with the engine works for the engine first
FILES_MOST = 20_000  # open, nearly all of them connections; what they ask is limited by the guard
END_S = 5


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can ask by this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def rules_for(host: str, token: str | None, proxy: str | None) -> Rules:
    """Who may ask a service that listens on ``host``; ``proxy``: the name by which people reach a proxy before it.

    Raises:
        ConfigurationError: others than this machine's programs could ask, and nothing would keep them from it.
    """
    if token is not None and len(token) < LEAST_TOKEN:
        raise ConfigurationError(
            f"serve_token has {len(token)} characters: expected at least {LEAST_TOKEN}, such as those of "
            "`openssl rand -hex 24`"
        )
    if proxy is not None:
        return Rules(token, LOOPBACK_NAMES | {proxy.lower()}, is_behind_proxy=True)
    if is_loopback(host):
        return Rules(token)
    if token is None:
        raise ConfigurationError(
            f"--host {host} lets others than this machine's programs ask: give a token (TIANYU_SERVE_TOKEN_FILE names "
            "a file with one), or --behind-proxy NAME where a reverse proxy asks people who they are"
        )
    return Rules(token, names=None)


def all_services(served: Served, tables: VoServices, rules: Rules) -> Guard:
    """Pages, and what programs of the Virtual Observatory ask, by the same rules."""
    return application(served, replace(rules, writing=WRITING), tables.routes)


def listen(served: Served, host: str, port: int, rules: Rules, told: Callable[[str], None]) -> None:
    """Answer until the program is told to end; ``told`` is given the address.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    os.nice(NICENESS)
    tables = VoServices.open(served.settings)
    _allow_files(FILES_MOST)
    config = uvicorn.Config(
        all_services(served, tables, rules),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=END_S,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        ws="none",
    )
    with _bound(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        told(f"http://{name}:{listener.getsockname()[1]}/")
        try:
            uvicorn.Server(config).run([listener])
        finally:
            tables.close()


def _allow_files(count: int) -> None:
    """Let this program have so many files open, as far as it may: most systems begin with 1024."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if most == resource.RLIM_INFINITY else min(count, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"{host} port {port} cannot be listened on ({error}): is another `tianyu serve` there? choose --port, and "
            "as --host an address of this machine"
        ) from error
    return listener
