"""Who asks: keys, the version of the API they want, and the account they act for."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import typing as t

from dativo_sandbox.stripe.messages import ApiError
from dativo_sandbox.stripe.shapes import View, is_version, view

if t.TYPE_CHECKING:
    from dativo_sandbox.stripe.messages import Request
    from dativo_sandbox.stripe.world import Account, World

_HELP = "See https://stripe.com/docs/api#authentication for details."


@dataclasses.dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a simulator accepts."""

    live: str
    test: str
    restricted: str

    @classmethod
    def of(cls, secret: str) -> Keys:
        """Make the keys that end with a secret."""
        return cls(*(f"{kind}_{secret}" for kind in ("sk_live", "sk_test", "rk_live")))


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how objects are to be shown."""

    account: Account
    version: str
    view: View
    restricted: bool


def caller(request: Request, keys: Keys, world: World) -> Caller:
    """Tell who asks.

    Raises:
        ApiError: The key, the version or the account is not known.
    """
    key = _key(request)
    if key not in dataclasses.astuple(keys):
        message = f"Invalid API Key provided: {_redacted(key)}"
        raise ApiError(401, message)
    account = _account(request, key, world)
    version = request.headers.get("stripe-version") or account.events.version
    if not is_version(version):
        message = f"Invalid Stripe API version: {version}"
        raise ApiError(400, message)
    seen = view(version, livemode=key != keys.test)
    return Caller(account, version, seen, key == keys.restricted)


def _key(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    message = f"You did not provide an API key. {_HELP}"
    raise ApiError(401, message)


def _account(request: Request, key: str, world: World) -> Account:
    name = request.headers.get("stripe-account")
    account = world.platform if name is None else world.account(name)
    if account is None:
        message = (
            f"The provided key '{_redacted(key)}' does not have access to account "
            f"'{name}' (or that account does not exist). Application access may have "
            "been revoked."
        )
        raise ApiError(403, message, code="account_invalid")
    return account


def _redacted(key: str) -> str:
    kept = 4
    head = "_".join(key.split("_")[:2])[:8]
    return f"{head}_{'*' * 8}{key[-kept:]}" if len(key) > 3 * kept else "*" * len(key)
