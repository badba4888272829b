"""Put credentials on a request; get others when they are refused.

An `Auth` is what `requests` takes as `auth=`, and one question more.
"""

from __future__ import annotations

import base64
import typing as t

from dativo_core import logs
from dativo_core.errors import ConfigurationError
from dativo_core.redaction import MIN_SECRET_LENGTH

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest


class Auth(t.Protocol):
    """Puts credentials on requests, from any thread."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put credentials on the request."""

    def renew(self, rejected: PreparedRequest) -> bool:
        """Tell whether there are other credentials than those that were refused."""


class HeaderAuth:
    """The same headers on every request; their values never reach a log.

    Raises:
        ConfigurationError: A value cannot be sent; it is not shown.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = {name: value.strip() for name, value in headers.items()}
        keep_secret(*self._headers.values())
        for name, value in self._headers.items():
            if not (value.isascii() and value.isprintable()):
                msg = f"The credentials for the header {name} cannot be sent."
                hint = "Look for line breaks and for letters beyond ASCII in them."
                raise ConfigurationError(msg, hint=hint)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put the headers on the request."""
        request.headers.update(self._headers)
        return request

    def renew(self, rejected: PreparedRequest) -> bool:  # noqa: ARG002
        """Return False: there are no others."""
        return False


def no_auth() -> HeaderAuth:
    """Return what asks without credentials."""
    return HeaderAuth({})


def bearer(token: str) -> HeaderAuth:
    """Return what shows one token for ever."""
    keep_secret(token)
    return HeaderAuth({"Authorization": f"Bearer {token}"})


def basic(user: str, password: str) -> HeaderAuth:
    """Return what shows a user and a password."""
    keep_secret(password)
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return HeaderAuth({"Authorization": f"Basic {encoded}"})


def keep_secret(*values: str) -> None:
    """Keep values out of all logs from now on."""
    logs.SECRETS.add(one for one in values if len(one) >= MIN_SECRET_LENGTH)
