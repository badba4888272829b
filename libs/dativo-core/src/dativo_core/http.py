"""Put an HTTP client together from what a tap knows of its API."""

from __future__ import annotations

import logging
import random
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from dativo_core.breaker import Breaker, breaker_key
from dativo_core.breaker_store import JsonBreakerStore
from dativo_core.call_metrics import CallMetrics
from dativo_core.classifier import Classifier, load_policy, load_rules
from dativo_core.errors import ConfigurationError
from dativo_core.fetch import pause
from dativo_core.http_client import MAX_BODY_BYTES, HttpClient
from dativo_core.http_messages import Call, Reply, Request, Timeouts
from dativo_core.limiter import FileBuckets, Limiter, Rates
from dativo_core.retry import Retrier, Retry, RetryBudget

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests

    from dativo_core.auth import Auth
    from dativo_core.breaker import BreakerPolicy, Transition
    from dativo_core.faults import Fault
    from dativo_core.retry import Hook

__all__ = [
    "Call",
    "HttpClient",
    "Options",
    "Reply",
    "Request",
    "Timeouts",
    "build_client",
]


# A longer hold is a matter of the retry policy, which tells of it and may end the run.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What an API and its users want beside the usual.

    Args:
        auth: Puts credentials on requests.
        credential: What tells one credential from another; it is only kept hashed.
        error_handling: The user's changes to the error table.
        state_folder: Where the breaker, and shared limits, live between runs.
        shares_limits: Share the rates with all processes that use the state folder.
        workers: Connections to keep open.
        ca_file: Authorities to trust in place of the usual ones.
        breaker_policy: When to leave the API alone.
        timeouts: How long one request may take.
        max_body_bytes: How large one answer may be.
        on_call: Told of each exchange, beside the METRIC lines; it must not block.
        on_retry: Told before each pause.
        throttle_scope: See `HttpClient`.
        source: `oauth` for a token endpoint.
        clock: Seconds that never go back.
        now: Seconds since 1970.
        sleep: Waits; `fetch.pause` can be cut short.
        chance: A number in [0, 1).
    """

    auth: Auth | None = None
    credential: str = ""
    error_handling: Path | None = None
    state_folder: Path | None = None
    shares_limits: bool = False
    workers: int = 16
    ca_file: Path | None = None
    breaker_policy: BreakerPolicy | None = None
    timeouts: Timeouts | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    on_call: Callable[[Call], None] | None = None
    on_retry: Hook | None = None
    throttle_scope: Callable[[Request, Fault], str] = lambda *_: ""
    source: str = "http"
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = pause
    chance: Callable[[], float] = random.random


def build_client(
    plugin: str, url: str, rates: Rates, options: Options | None = None
) -> HttpClient:
    """Return a client for one API and one credential, with all that protects them.

    Args:
        plugin: Whose rules and retry policy count.
        url: The API's address; its host names the breaker.
        rates: What the provider allows.
        options: What else is wanted.

    Raises:
        ConfigurationError: `error_handling` or the address is not valid, or the state
            folder cannot be written.
    """
    wanted = options or Options()
    key = breaker_key(_host(url), wanted.credential)
    metrics = CallMetrics(clock=wanted.clock)
    return HttpClient(
        open_session(plugin, wanted.workers, wanted.ca_file),
        classifier=Classifier(load_rules(wanted.error_handling, plugin)),
        retrier=_retrier(plugin, wanted),
        breaker=_breaker(key, wanted),
        limiter=_limiter(key, rates, wanted),
        auth=wanted.auth,
        timeouts=wanted.timeouts,
        max_body_bytes=wanted.max_body_bytes,
        on_call=_both(metrics, wanted.on_call),
        on_close=metrics.log,
        throttle_scope=wanted.throttle_scope,
        source=wanted.source,
        clock=wanted.clock,
        now=wanted.now,
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError as error:
        # The address is not shown: it may hold a password.
        msg = f"The API's address is none: {error}."
        raise ConfigurationError(msg, hint="Check the URL.") from error


def _retrier(plugin: str, wanted: Options) -> Retrier:
    return Retrier(
        load_policy(wanted.error_handling, plugin),
        RetryBudget(),
        clock=wanted.clock,
        now=wanted.now,
        sleep=wanted.sleep,
        chance=wanted.chance,
        hooks=[_log_retry, *([wanted.on_retry] if wanted.on_retry else [])],
    )


def _breaker(key: str, wanted: Options) -> Breaker:
    folder = wanted.state_folder
    store = JsonBreakerStore(folder) if folder else None
    listeners = [_log_transition]
    return Breaker(
        key, wanted.breaker_policy, store, now=wanted.now, listeners=listeners
    )


def _limiter(key: str, rates: Rates, wanted: Options) -> Limiter:
    if not (wanted.shares_limits and wanted.state_folder):
        return Limiter(
            rates, patience=PATIENCE_SECONDS, clock=wanted.clock, sleep=wanted.sleep
        )
    name = f"limits-{key.replace(':', '_')}.json"
    # Clocks of two processes agree only on the time of day.
    shared = FileBuckets(wanted.state_folder / name)
    return Limiter(
        rates,
        shared,
        patience=PATIENCE_SECONDS,
        clock=wanted.now,
        sleep=wanted.sleep,
    )


def _both(
    metrics: CallMetrics, also: Callable[[Call], None] | None
) -> Callable[[Call], None]:
    def tell(call: Call) -> None:
        metrics(call)
        if also:
            also(call)

    return tell


def open_session(
    plugin: str, workers: int, ca_file: Path | None = None
) -> requests.Session:
    """Return a pooled session that verifies certificates and never repeats itself."""
    import requests  # noqa: PLC0415
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    session = requests.Session()
    session.headers["User-Agent"] = f"{plugin} (dativo)"
    if ca_file:
        session.verify = str(ca_file)
    # The retrier's part: two of them multiply.
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=workers, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # Its debug lines show queries.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
    return session


def _log_retry(retry: Retry) -> None:
    said = "%s Attempt %d; the next one is in %.1f seconds (%s)."
    values = (retry.attempt, retry.pause_seconds, retry.decision.rule)
    logging.getLogger(__name__).warning(said, retry.decision.reason, *values)


def _log_transition(change: Transition) -> None:
    host = change.key.partition("#")[0]
    said = "The breaker of %s is %s now. %s"
    logging.getLogger(__name__).warning(said, host, change.after.value, change.reason)
