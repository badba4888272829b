"""OAuth 2.0 for programs: get access tokens early, and once; lose no refresh token.

Only what runs without a person: the grants `refresh_token` and `client_credentials`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import random
import threading
import time
import typing as t
from dataclasses import dataclass, field

from dativo_core.auth import keep_secret
from dativo_core.errors import CredentialsError
from dativo_core.files import replace_file
from dativo_core.http_messages import Request

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from requests import PreparedRequest

    from dativo_core.http_messages import Reply

EARLY_SECONDS = 300.0
EARLY_PART = 0.2
_SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Grant:
    """What the token endpoint is told.

    Args:
        token_url: The token endpoint.
        client_id: The app.
        client_secret: Its secret; empty for public apps.
        refresh_token: The user's grant; empty asks with the app's own credentials.
        scope: Scopes, separated by blanks; empty leaves them as granted.
        fields: Further fields of the form, such as `audience`.
        is_basic: Show the app's credentials in a header, not in the form.
        lifetime_seconds: For answers that do not tell it.
    """

    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    scope: str = ""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_basic: bool = False
    lifetime_seconds: float = 1800.0

    def request(self, refresh_token: str) -> Request:
        """Return the request for a new access token."""
        form = {"grant_type": "client_credentials"}
        if refresh_token:
            form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        form |= {"scope": self.scope} if self.scope else {}
        headers = {"Accept": "application/json"}
        if self.is_basic:
            pair = f"{self.client_id}:{self.client_secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form["client_id"] = self.client_id
            form |= {"client_secret": self.client_secret} if self.client_secret else {}
        form |= self.fields
        return Request(
            "POST", self.token_url, headers=headers, data=form, endpoint="oauth_token"
        )


class TokenStore(t.Protocol):
    """Where a refresh token that replaced the configured one lives between runs."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from refreshing meanwhile."""

    def load(self, origin: str) -> str:
        """Return the newest refresh token that came of a configured one, or nothing."""

    def save(self, origin: str, refresh_token: str) -> None:
        """Keep it; return when it is durable."""


class MemoryTokenStore:
    """Forgets with the process: for providers that do not rotate refresh tokens."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Do nothing: no other process can know it."""
        yield

    def load(self, origin: str) -> str:
        """Return what was saved."""
        return self._tokens.get(origin, "")

    def save(self, origin: str, refresh_token: str) -> None:
        """Keep it for this process."""
        self._tokens[origin] = refresh_token


class FileTokenStore:
    """A JSON file for its owner only, replaced as a whole, locked between processes.

    `--config` is not written back: under Meltano that is a temporary file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from refreshing meanwhile."""
        import fcntl  # noqa: PLC0415 not on Windows, where nothing else needs it

        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT
        handle = os.open(self._path.with_name(f"{self._path.name}.lock"), flags, 0o600)
        with os.fdopen(handle, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def load(self, origin: str) -> str:
        """Return what was saved for this configured token; others are out of date."""
        try:
            content = json.loads(self._path.read_bytes())
            is_ours = content["origin"] == _digest(origin)
            return str(content["refresh_token"]) if is_ours else ""
        except FileNotFoundError:
            return ""
        except (ValueError, TypeError, KeyError) as error:
            msg = f"The token file {self._path} is damaged."
            hint = "Authorise again, then delete the file."
            raise CredentialsError(msg, hint=hint) from error

    def save(self, origin: str, refresh_token: str) -> None:
        """Keep it; return when it is on the disk."""
        content = {"origin": _digest(origin), "refresh_token": refresh_token}
        replace_file(self._path, json.dumps(content).encode())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, and when to get the next one, in seconds since 1970."""

    value: str = field(repr=False)
    renew_at: float


class OAuth2:
    """An `Auth` that gets its tokens itself: one request, however many threads ask.

    Args:
        grant: What to ask for.
        send: How to ask the token endpoint: `HttpClient.send` of a client without
            credentials, which repeats what may pass.
        store: Where rotated refresh tokens live.
        now: Seconds since 1970.
        chance: A number in [0, 1), so that not all processes refresh at once.
    """

    def __init__(
        self,
        grant: Grant,
        send: Callable[[Request], Reply],
        store: TokenStore | None = None,
        *,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._grant = grant
        self._send = send
        self._store = store or MemoryTokenStore()
        self._now = now
        self._chance = chance
        self._lock = threading.Lock()
        self._token: Token | None = None
        keep_secret(grant.client_secret, grant.refresh_token)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put a token on the request that lives longer than the request takes."""
        request.headers["Authorization"] = f"{_SCHEME}{self.token()}"
        return request

    def renew(self, rejected: PreparedRequest) -> bool:
        """Forget the token that was refused, unless it is not the newest any more."""
        refused = rejected.headers.get("Authorization", "")
        with self._lock:
            if self._token and refused == f"{_SCHEME}{self._token.value}":
                self._token = None
        return True

    def token(self) -> str:
        """Return a good access token.

        Raises:
            CredentialsError: The grant is refused, or the answer has no token.
            TryLaterError: The token endpoint cannot be reached.
        """
        with self._lock:
            if self._token is None or self._now() >= self._token.renew_at:
                with self._store.locked():
                    self._token = self._refresh()
            return self._token.value

    def _refresh(self) -> Token:
        used = self._refresh_token()
        try:
            return self._asked(used)
        except CredentialsError:
            # A process on another machine may have used it up meanwhile.
            newer = self._refresh_token()
            if newer == used:
                raise
        return self._asked(newer)

    def _refresh_token(self) -> str:
        origin = self._grant.refresh_token
        newest = self._store.load(origin) if origin else ""
        keep_secret(newest)
        return newest or origin

    def _asked(self, refresh_token: str) -> Token:
        asked_at = self._now()
        answer = self._send(self._grant.request(refresh_token)).json()
        value = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value:
            msg = f"{self._grant.token_url} answered without an access token."
            raise CredentialsError(msg, hint="Check the token URL.")
        rotated = answer.get("refresh_token")
        keep_secret(value)
        if isinstance(rotated, str) and rotated and rotated != refresh_token:
            keep_secret(rotated)
            # Before the access token is used: a crash must not lose the only grant.
            self._store.save(self._grant.refresh_token, rotated)
        return Token(value, asked_at + self._useful_seconds(answer.get("expires_in")))

    def _useful_seconds(self, told: t.Any) -> float:
        try:
            lifetime = float(told)
        except (TypeError, ValueError):
            lifetime = self._grant.lifetime_seconds
        early = min(EARLY_SECONDS, EARLY_PART * lifetime)
        return lifetime - early * (1 - self._chance() / 2)
