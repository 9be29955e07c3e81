"""Files that another site offers: by HTTP and HTTPS with no more than Python, by any other address with fsspec.

Nothing but an address of the settings and a path of numbers and fixed words is ever asked for. A redirection is not
followed, for a secret is for the host that it was given for, and no message names one.
"""

import base64
import http.client
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from services import secret_files
from services.deployment import OWN_MACHINE, WEB, OtherSite
from services.errors import ConfigurationError, SurroundingsError, TransientError

CHUNK_BYTES = 1 << 18
DENIED = (401, 403, 407)
MISSING = (404, 410)
LATER = (408, 425, 429)  # besides all from 500 on
WAYS_FAIL = (OSError, http.client.HTTPException)
NOTHING_MORE = 416  # there is nothing from there on
PARTIAL = 206
_RANGE = re.compile(r"bytes (\d+)-")


class Opened(NamedTuple):
    """The bytes of a file from ``start`` on."""

    start: int
    chunks: Iterator[bytes]


@contextmanager
def opened(name: str, site: OtherSite, path: str, start: int) -> Iterator[Opened]:
    """A file of the site ``name``, from a byte on; from its first one where the other side can do no other.

    Raises:
        SurroundingsError: the site, or the way to it, is away; also while the bytes are read.
        TransientError: the file is not there.
        ConfigurationError: it may not be read, or the address cannot be used.
    """
    is_web = urllib.parse.urlsplit(site.url).scheme in WEB
    with ExitStack() as stack:
        try:
            found = (_by_http if is_web else _by_fsspec)(stack, name, site, path, start)
        except WAYS_FAIL as error:
            raise _failure(name, site, error) from None
        yield Opened(found.start, _reading(name, site, found.chunks))


def _reading(name: str, site: OtherSite, chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except Exception as error:  # each way has its own
        raise _failure(name, site, error) from None


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _by_http(stack: ExitStack, name: str, site: OtherSite, path: str, start: int) -> Opened:
    headers = {"User-Agent": "Tianyu", "Accept-Encoding": "identity", **_authorization(name, site)}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(f"{site.url.rstrip('/')}/{path}", headers=headers)  # noqa: S310 - it is WEB's
    opener = urllib.request.build_opener(_NoRedirection, urllib.request.HTTPSHandler(context=_trust(name, site)))
    try:
        answer = stack.enter_context(opener.open(request, timeout=site.silent_s))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(name, site, path, error.code) from None
    return Opened(_start_of(answer, start), iter(lambda: answer.read1(CHUNK_BYTES), b""))


def _start_of(answer: Any, asked: int) -> int:
    if answer.status != PARTIAL:
        return 0  # all of it
    told = _RANGE.match(answer.headers.get("Content-Range", ""))
    if told is None or int(told[1]) != asked:
        raise http.client.HTTPException(f"bytes from {asked} on were asked for, and others sent")
    return asked


def _authorization(name: str, site: OtherSite) -> dict[str, str]:
    if site.secret_file is None:
        return {}
    parts = urllib.parse.urlsplit(site.url)
    if parts.scheme == "http" and parts.hostname not in OWN_MACHINE:
        raise ConfigurationError(
            f"site {name!r} has a secret, which everybody on the way to {_shown(site)} could read: use https"
        )
    secret = secret_files.read_one(f"sites.{name}.secret_file", site.secret_file)
    if not (secret.isascii() and secret.isprintable()):
        raise ConfigurationError(f"sites.{name}.secret_file cannot stand in a header: expected printable ASCII")
    if site.user is None:
        return {"Authorization": f"Bearer {secret}"}
    return {"Authorization": f"Basic {base64.b64encode(f'{site.user}:{secret}'.encode()).decode()}"}


def _trust(name: str, site: OtherSite) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if site.ca_file is None else str(site.ca_file))
    except OSError as error:
        raise ConfigurationError(f"sites.{name}.ca_file: {str(site.ca_file)!r} cannot be read: {error}") from None


def _by_fsspec(stack: ExitStack, name: str, site: OtherSite, path: str, start: int) -> Opened:
    try:
        import fsspec
    except ImportError:
        raise ConfigurationError(
            f"site {name!r} offers its files at {_shown(site)}, which needs fsspec: install 'tianyu[sites]' on this "
            "machine, or offer them by https"
        ) from None
    try:
        files, root = fsspec.core.url_to_fs(site.url)  # type: ignore[no-untyped-call]
        file = stack.enter_context(files.open(f"{root.rstrip('/')}/{path}", "rb"))
        file.seek(start)
    except FileNotFoundError:
        raise _missing(name, site, path) from None
    except PermissionError:
        raise _denied(name, site, path, "permission denied") from None
    except (ImportError, ValueError) as error:  # no such way, or its own library is not there
        raise ConfigurationError(f"site {name!r}: {_shown(site)} cannot be used: {error}") from None
    except Exception as error:  # each way has its own
        raise _failure(name, site, error) from None
    return Opened(start, iter(lambda: file.read(CHUNK_BYTES), b""))


def _refusal(name: str, site: OtherSite, path: str, code: int) -> Exception:
    if code in DENIED:
        return _denied(name, site, path, f"HTTP {code}")
    if code in MISSING:
        return _missing(name, site, path)
    if code in LATER or code >= 500 or code == NOTHING_MORE:
        return SurroundingsError(f"site {name!r}: {_shown(site)} answers HTTP {code} now")
    return ConfigurationError(
        f"site {name!r}: {_shown(site)} answers HTTP {code} for {path!r}: correct its server, or url of [sites.{name}]"
    )


def _missing(name: str, site: OtherSite, path: str) -> TransientError:
    return TransientError(
        f"site {name!r} has no file {path!r} at {_shown(site)}: does its server offer the root folder of the site, as "
        "`tianyu init` registered it?"
    )


def _denied(name: str, site: OtherSite, path: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"site {name!r} does not give {path!r} at {_shown(site)} ({why}): correct user and secret_file of "
        f"[sites.{name}], or the rights of its server"
    )


def _failure(name: str, site: OtherSite, error: Exception) -> Exception:
    """An error of the way there; its own words are left out where they may hold an address with a secret."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"site {name!r}: {_shown(site)} does not prove who it is: {reason.verify_message}; correct ca_file of "
            f"[sites.{name}], or the certificate there"
        )
    said = getattr(reason, "strerror", None) or type(reason).__name__
    return SurroundingsError(f"site {name!r} cannot be reached at {_shown(site)}: {said}")


def _shown(site: OtherSite) -> str:
    """The address without whoever it names."""
    parts = urllib.parse.urlsplit(site.url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
