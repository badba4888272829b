"""How Stripe is asked: its headers, its limits, its clock."""

from __future__ import annotations

import math
import re
import time
import typing as t
from pathlib import Path

from dativo_core import limiter
from dativo_core.auth import bearer
from dativo_core.classifier import http_date
from dativo_core.http import Options, Request, Timeouts, build_client
from dativo_core.limiter import Rates

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dativo_core.faults import Fault
    from dativo_core.http import HttpClient

PLUGIN = "tap-stripe"
API_URL = "https://api.stripe.com"
# https://docs.stripe.com/rate-limits
LIVE_RATE, TEST_RATE, ENDPOINT_RATE = 100.0, 25.0, 25.0
SLOWER = {"GET /v1/files": 20.0}
_TEST_KEY = re.compile(r"^[a-z]+_test_")
_BYTES_A_PAGE = 64 << 20


class StripeClient:
    """Asks one account of Stripe, or those connected with it, from any thread.

    Args:
        http: What sends requests.
        url: Where the API is.
        version: The version of the API, which every request names.
        clock: Seconds since 1970, on this machine.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str,
        version: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._version = version
        self._clock = clock
        self._ahead = 0.0
        self._foreseen: dict[str, bytes] = {}

    def get(
        self,
        path: str,
        params: Mapping[str, t.Any],
        *,
        endpoint: str = "",
        account: str = "",
    ) -> bytes:
        """Return the body of a good answer.

        Args:
            path: Below the API's address.
            params: What to ask; a list repeats its name.
            endpoint: The path without ids: Stripe limits each of them.
            account: The connected account that is meant, if it is not the key's own.
        """
        known = self._foreseen.pop(_words(path, params, account), None)
        if known is not None:
            return known
        headers = {"Stripe-Version": self._version}
        headers |= {"Stripe-Account": account} if account else {}
        reply = self._http.send(
            Request(
                "GET",
                f"{self._url}{path}",
                params=params,
                headers=headers,
                endpoint=f"GET {endpoint or path}",
            )
        )
        # What stands between may send a date that is none.
        date = http_date(reply.headers.get("date", ""))
        if math.isfinite(date):
            self._ahead = date - self._clock()
        return reply.body

    def foresee(
        self,
        path: str,
        params: Mapping[str, t.Any],
        *,
        endpoint: str = "",
        account: str = "",
    ) -> None:
        """Ask now what will be asked first: its answer tells Stripe's time as well."""
        body = self.get(path, params, endpoint=endpoint, account=account)
        self._foreseen[_words(path, params, account)] = body

    def now(self) -> float:
        """Return what Stripe's own clock shows: this machine's may be wrong."""
        return self._clock() + self._ahead

    def close(self) -> None:
        """Close all connections."""
        self._http.close()


def _words(path: str, params: Mapping[str, t.Any], account: str) -> str:
    return repr((path, sorted(params.items()), account))


def connect(
    config: Mapping[str, t.Any], version: str, workers: int, **times: t.Any
) -> StripeClient:
    """Return a client as the settings want it.

    Args:
        config: The settings.
        version: The version of the API.
        workers: Connections to keep open.
        times: `clock`, `now`, `sleep` and `chance` of `dativo_core.http.Options`.
    """
    key = str(config["api_key"])
    url = str(config.get("api_url") or API_URL)
    folder = config.get("state_folder")
    overrides = config.get("error_handling")
    seconds = float(config["request_timeout"])
    options = Options(
        auth=bearer(key),
        credential=key,
        error_handling=Path(overrides) if overrides else None,
        state_folder=Path(folder) if folder else None,
        shares_limits=bool(folder),
        workers=workers,
        timeouts=Timeouts(read=seconds, total=5 * seconds),
        max_body_bytes=_BYTES_A_PAGE,
        throttle_scope=throttle_scope,
        **times,
    )
    allowed = rates(key, float(config["rate_limit_share"]))
    http = build_client(PLUGIN, url, allowed, options)
    return StripeClient(http, url, version)


def rates(key: str, share: float) -> Rates:
    """Return what Stripe allows a key: one for tests gets less."""
    everywhere = TEST_RATE if _TEST_KEY.match(key) else LIVE_RATE
    return Rates(everywhere, ENDPOINT_RATE, SLOWER, share=share, window=1)


def throttle_scope(request: Request, fault: Fault) -> str:
    """Tell what was asked too often: Stripe says so in a header."""
    reason = fault.headers.get("stripe-rate-limited-reason", "")
    if reason.startswith("global"):
        return limiter.GLOBAL
    return request.bucket if reason.startswith("endpoint") else ""
