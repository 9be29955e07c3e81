"""A private RabbitMQ: guest/guest, on loopback, with a port mapper and a cookie of its own."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers import daemon, debian, probe, programs
from tests.servers.errors import CannotStart

PACKAGE = "rabbitmq-server"
# The command in PATH is Debian's wrapper, which changes to the user of the system's broker.
UNWRAPPED = "/usr/lib/rabbitmq/bin"
DISK_FREE_LIMIT = "64MB"
EPMD_TIMEOUT_S = 20.0
EPMD_POLL_S = 0.1
EPMD_REFUSES = "not allowed"
NODE = "tianyu-test@localhost"
CONTROL_TIMEOUT_S = 60.0


def start(folder: Path, more: str = "", plugins: Sequence[str] = ()) -> str:
    """Start in ``folder``, by ``more`` lines of configuration and with ``plugins``; returns the URL.

    Raises:
        CannotStart: RabbitMQ is not installed and cannot be, or does not start.
    """
    server = programs.find("rabbitmq-server", first=UNWRAPPED)
    if server is None:
        debian.install(PACKAGE)
        server = programs.find("rabbitmq-server", first=UNWRAPPED)
    if server is None:
        raise CannotStart(f"rabbitmq-server is not there, even after {PACKAGE} was installed")
    for name in ("mnesia", "logs", "home"):
        (folder / name).mkdir(exist_ok=True)
    port, node_port, mapper_port = (daemon.free_port() for _ in range(3))
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\ndisk_free_limit.absolute = {DISK_FREE_LIMIT}\n{more}", encoding="utf-8"
    )
    (folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n", encoding="utf-8")
    (folder / "mapper_port").write_text(str(mapper_port), encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))} | {
        "HOME": str(folder / "home"),
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_DIST_PORT": str(node_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_PID_FILE": str(folder / "server.pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
    }
    return daemon.launch(folder, [server], f"amqp://guest:guest@127.0.0.1:{port}/", probe.rabbitmq, environ)


def stop(folder: Path) -> bool:
    """End the server of ``folder`` and its port mapper; False if none was running."""
    stopped = daemon.stop(folder)
    _end_port_mapper(folder)
    return stopped


def kill(folder: Path) -> None:
    """End the server of ``folder`` by SIGKILL; its data stay."""
    daemon.kill(folder)
    _end_port_mapper(folder)


def _end_port_mapper(folder: Path) -> None:
    """It leaves the process group of its server."""
    port = folder / "mapper_port"
    mapper = programs.find("epmd") or next(iter(sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))), None)
    if port.is_file() and mapper:
        environ = dict(os.environ, ERL_EPMD_PORT=port.read_text(encoding="utf-8"), ERL_EPMD_ADDRESS="127.0.0.1")
        deadline = time.monotonic() + EPMD_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                programs.run([mapper, "-kill"], EPMD_TIMEOUT_S, environ=environ)
            except CannotStart as reason:
                if EPMD_REFUSES in str(reason):  # it has not noticed yet that its node is gone
                    time.sleep(EPMD_POLL_S)
                    continue
            break  # ended, or gone already
    port.unlink(missing_ok=True)


def control(folder: Path, *arguments: str) -> str:
    """What `rabbitmqctl` says to the server of ``folder``.

    Raises:
        CannotStart: it failed.
    """
    environ = dict(
        os.environ,
        HOME=str(folder / "home"),
        ERL_EPMD_PORT=(folder / "mapper_port").read_text(encoding="utf-8"),
        ERL_EPMD_ADDRESS="127.0.0.1",
        RABBITMQ_NODENAME=NODE,
        RABBITMQ_CONF_ENV_FILE=str(folder / "none"),
    )
    program = programs.find("rabbitmqctl", first=UNWRAPPED)
    assert program is not None
    return programs.run([program, "--quiet", *arguments], CONTROL_TIMEOUT_S, environ=environ)
