"""TLS to the servers: files of certificates become part of the URLs, which are all that a connection is made by."""

import ssl
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from services.deployment import Deployment
from services.errors import ConfigurationError

OWN_OPTION = "ssl"  # options of the URL that begin so are the operator's own, and go before the settings


def secured_database(url: str, settings: Deployment) -> str:
    """The database's URL with what `database_tls` and the files say."""
    parts = urlsplit(url)
    if not parts.scheme.startswith(("mysql", "mariadb")) or _has_own(parts.query):
        return url
    if settings.database_tls == "off":
        return _with(url, {"ssl_disabled": "true"})
    authority = settings.tls_ca_file
    if authority is None:
        if settings.database_tls == "auto":
            return url  # encrypted where the server offers it, whoever that is
        authority = _system_authorities()
    return _with(url, {"ssl_ca": str(authority)} | _identity(settings, "ssl_cert", "ssl_key"))


def secured_broker(url: str, settings: Deployment) -> str:
    """The broker's URL with the files; whether there is TLS says its scheme."""
    parts = urlsplit(url)
    if parts.scheme != "amqps" or _has_own(parts.query) or (settings.tls_ca_file or settings.tls_cert_file) is None:
        return url
    options = {"cafile": str(settings.tls_ca_file or _system_authorities())}
    return _with(url, {"ssl_options": repr(options | _identity(settings, "certfile", "keyfile"))})


def _has_own(query: str) -> bool:
    return any(name.startswith(OWN_OPTION) for name, _ in parse_qsl(query, keep_blank_values=True))


def _identity(settings: Deployment, certificate: str, key: str) -> dict[str, str]:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return {}
    return {certificate: str(settings.tls_cert_file), key: str(settings.tls_key_file)}


def _system_authorities() -> Path:
    found = ssl.get_default_verify_paths().cafile
    if found is None:
        raise ConfigurationError("this system has no file of certificate authorities: set TIANYU_TLS_CA_FILE")
    return Path(found)


def _with(url: str, options: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(options, quote_via=quote))))
    return parts._replace(query=query).geturl()


def require_files(settings: Deployment) -> None:
    """Make sure that the files of certificates are there, and that a certificate has its key.

    Raises:
        ConfigurationError: one is not; the driver's own words would name no file.
    """
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise ConfigurationError("TIANYU_TLS_CERT_FILE and TIANYU_TLS_KEY_FILE belong together: set both or none")
    for name in ("tls_ca_file", "tls_cert_file", "tls_key_file"):
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigurationError(
                f"TIANYU_{name.upper()}: file {str(path)!r} cannot be read: {error.strerror}"
            ) from None
