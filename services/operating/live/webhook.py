"""A small JSON by HTTP POST: one attempt, with a limit of time, that follows no redirection and says no secret."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from pydantic import SecretStr

from services.errors import ConfigurationError, TianyuError, TransientError

REFUSED = (400, 404, 405, 409, 410, 413, 415, 422)  # of this very message, which will not be taken later
EXCERPT_BYTES = 200


class RefusedError(TianyuError):
    """The receiver will not take this message, however often it is sent."""


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """A token is for the host that it was given for."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Webhook:
    """Where messages go.

    Raises:
        ConfigurationError: the address is none of http or https, or the token cannot stand in a header.
    """

    def __init__(self, url: SecretStr, token: SecretStr | None, timeout_s: float) -> None:
        parts = urllib.parse.urlsplit(url.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("setting alert_url is no address of a receiver: expected https://HOST/PATH")
        if token is not None and not (token.get_secret_value().isascii() and token.get_secret_value().isprintable()):
            raise ConfigurationError("setting alert_token cannot stand in a header: expected printable ASCII")
        self._url = url
        self._token = token
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_NoRedirection)
        self.host = parts.hostname  # an address may hold a secret; its host does not

    def send(self, body: str) -> None:
        """Send one message.

        Raises:
            RefusedError: the receiver will never take it.
            TransientError: it may take it later.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "Tianyu"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            self._url.get_secret_value(), data=body.encode(), headers=headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read(EXCERPT_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                said = f"{self.host} answered HTTP {error.code} {error.reason}"
            if error.code in REFUSED:
                raise RefusedError(said) from None
            raise TransientError(said) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise TransientError(f"{self.host} cannot be reached: {type(reason).__name__}") from None
