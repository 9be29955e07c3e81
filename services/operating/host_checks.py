"""What `tianyu doctor` looks at on the host: who may read secrets, certificates that end, the port of the metrics."""

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from cryptography import x509

from services.deployment import listen_address
from services.operating.finding import Finding
from services.settings import CONFIG_VARIABLE, Settings, file_variables

MOUNTED = Path("/run/secrets")  # Docker's: of one container, and readable by all in it
CERTIFICATE_DAYS = 14
ANSWER_S = 2.0  # of a program on this host
OWN_METRICS = b"tianyu_"


def look_at_host(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Secrets, certificates and the port; what is not used is not told of."""
    yield from _secrets(settings, environment)
    for name in ("tls_ca_file", "tls_cert_file"):
        path = getattr(settings, name)
        if path is not None:
            yield _certificate(name, path)
    if settings.metrics_listen is not None:
        yield _metrics(settings.metrics_listen)


def _secrets(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Files that hold a secret are their owner's, and at most a group's."""
    files = {name: Path(environment[name]) for name in sorted(file_variables()) if environment.get(name)}
    if settings.tls_key_file is not None:
        files["tls_key_file"] = settings.tls_key_file
    config = Path(environment.get(CONFIG_VARIABLE, "tianyu.toml"))
    if config.is_file() and _holds(config, settings):
        files["settings"] = config
    open_to_all = [
        f"{path} ({name}, mode {mode:04o})"
        for name, path in files.items()
        if MOUNTED not in path.absolute().parents and (mode := _mode(path)) & stat.S_IRWXO
    ]
    if open_to_all:
        yield Finding("secrets", f"everybody on this host may read {', '.join(open_to_all)}", "chmod o-rwx these files")
    elif files:
        yield Finding("secrets", f"files that hold secrets: {len(files)}, none is open to everybody on this host")


def _holds(config: Path, settings: Settings) -> bool:
    """Whether a password, or the token of alerts, stands in the file of settings."""
    urls = (settings.database_url, settings.broker_url)
    secrets = [urlsplit(url.get_secret_value()).password for url in urls]
    if settings.alert_token is not None:
        secrets.append(settings.alert_token.get_secret_value())
    text = config.read_text("utf-8")
    return any(secret in text for secret in secrets if secret)


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:  # who reads it says so
        return 0


def _certificate(name: str, path: Path) -> Finding:
    subject = "certificates"
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        return Finding(subject, f"{name} {path}: {error}", f"give a file of certificates in PEM as {name}")
    end = min(one.not_valid_after_utc for one in found)
    words = f"{name} {path}: {len(found)}, the first of them ends {end:%Y-%m-%d %H:%M} UTC"
    soon = end < datetime.now(UTC) + timedelta(days=CERTIFICATE_DAYS)
    return Finding(subject, words, "renew it, and start managers and consumers again: they connect no more then" * soon)


def _metrics(listen: str) -> Finding:
    """Free, or answered by one of Tianyu's programs."""
    host, port = listen_address(listen)
    subject = f"metrics at {host}:{port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = str(error)
        else:
            return Finding(subject, "free: no manager or consumer of these settings runs here")
    asked = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - is asked for
    try:
        with urlopen(f"http://{asked}:{port}/metrics", timeout=ANSWER_S) as answer:
            if OWN_METRICS in answer.read():
                return Finding(subject, "a program of Tianyu answers")
    except (URLError, OSError, ValueError):
        pass
    remedy = "give another port or an address of this machine as metrics_listen, each program one of its own"
    return Finding(subject, f"cannot be listened on ({reason}), and no program of Tianyu answers there", remedy)
