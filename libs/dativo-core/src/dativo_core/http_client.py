"""Ask an API: one visible order of what protects the asker and the asked.

breaker -> limiter -> credentials -> request -> validation -> classification
        -> again later, with new credentials once, without this one thing, or not at all
"""

from __future__ import annotations

import time
import typing as t

from dativo_core.auth import no_auth
from dativo_core.breaker import Breaker, BreakerOpenError
from dativo_core.failures import error_of
from dativo_core.fault_sources import (
    fault_of_exception,
    fault_of_reply,
    is_error_body,
)
from dativo_core.faults import Action, Category, Decision, Fault
from dativo_core.http_body import (
    BodyTooLargeError,
    BodyTooSlowError,
    NotJsonError,
    parse_json,
    read_body,
)
from dativo_core.http_messages import Call, Reply, Request, Timeouts
from dativo_core.limiter import HeldError
from dativo_core.retry import AttemptError, Retrier

if t.TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from dativo_core.auth import Auth
    from dativo_core.breaker import Permit
    from dativo_core.classifier import Classifier
    from dativo_core.errors import DativoError
    from dativo_core.limiter import Limiter, Turn

MAX_BODY_BYTES = 64 << 20
# And "not modified": no other answer of the 300s is one.
_GOOD = {*range(200, 300), 304}


class _UnauthorizedError(Exception):
    """Credentials were refused; perhaps there are others."""

    def __init__(self, rejected: requests.PreparedRequest, error: DativoError) -> None:
        super().__init__(str(error))
        self.rejected = rejected
        self.error = error


class HttpClient:
    """Sends requests from any thread, and returns good answers only.

    `throttle_scope` tells what a refusal for too many requests is about: the name of
    the endpoint, `limiter.GLOBAL`, or nothing if the answer does not tell.
    """

    def __init__(
        self,
        session: requests.Session,
        *,
        classifier: Classifier,
        retrier: Retrier,
        breaker: Breaker,
        limiter: Limiter,
        auth: Auth | None = None,
        timeouts: Timeouts | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        on_call: Callable[[Call], None] | None = None,
        on_close: Callable[[], None] | None = None,
        throttle_scope: Callable[[Request, Fault], str] = lambda *_: "",
        source: str = "http",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._classifier = classifier
        self._retrier = retrier
        self._breaker = breaker
        self._limiter = limiter
        self._auth = auth or no_auth()
        self._timeouts = timeouts or Timeouts()
        self._max_body_bytes = max_body_bytes
        self._on_call = on_call or (lambda _: None)
        self._on_close = on_close or (lambda: None)
        self._throttle_scope = throttle_scope
        self._source = source
        self._clock = clock
        self._now = now

    def send(self, request: Request) -> Reply:
        """Return a good answer, however often it takes to get one.

        Raises:
            NotPermittedError: The credentials do not allow this; others may be allowed.
            GoneError: It is not there.
            SkippedError: This one thing cannot be had.
            TryLaterError: Patience has ended, or the provider wants the run to end.
            CredentialsError: The credentials are refused.
            ConfigurationError: A setting is wrong, the URL for one.
            RefusedError: The request itself is wrong.
        """
        try:
            return self._retrier.call(lambda: self._attempt(request))
        except _UnauthorizedError as refusal:
            if not self._auth.renew(refusal.rejected):
                raise refusal.error from None
        try:
            return self._retrier.call(lambda: self._attempt(request))
        except _UnauthorizedError as refusal:
            raise refusal.error from None

    def close(self) -> None:
        """Close all connections, and leave what was learned to the next run."""
        self._breaker.save()
        self._session.close()
        self._on_close()

    def _attempt(self, request: Request) -> Reply:
        permit = self._admit()
        try:
            turn = self._wait_for_turn(request)
            prepared = self._prepare(request)
            started = self._clock()
            found = self._exchange(request, prepared)
            seconds = self._clock() - started
            self._limiter.answered(request.bucket, turn)
            decision = None
            if not isinstance(found, Reply):
                decision = self._classifier.classify(found, self._now())
            self._tell(request, permit, found, decision, seconds, turn.waited)
        finally:
            permit.release()
        if isinstance(found, Reply):
            return found
        raise self._failure(prepared, found, t.cast("Decision", decision))

    def _admit(self) -> Permit:
        try:
            return self._breaker.admit()
        except BreakerOpenError as refusal:
            decision = Decision(
                Category.TRANSIENT,
                Action.WAIT,
                rule="breaker",
                reason=refusal.what,
                hint=refusal.hint,
                retry_after=refusal.retry_after,
                not_before=refusal.not_before,
            )
            raise AttemptError(decision, refusal, is_sent=False) from None

    def _wait_for_turn(self, request: Request) -> Turn:
        try:
            return self._limiter.acquire(request.bucket)
        except HeldError as held:
            decision = Decision(
                Category.RATE_LIMIT,
                Action.WAIT,
                rule="limiter",
                reason=f"{request.place} is not to be asked for a while, as it said.",
                retry_after=held.seconds,
                not_before=self._now() + held.seconds,
            )
            error = error_of(decision, Fault(self._source))
            raise AttemptError(decision, error, is_sent=False) from None

    def _prepare(self, request: Request) -> requests.PreparedRequest:
        import requests  # noqa: PLC0415 0.1 s, and --about needs none

        bare = requests.Request(
            request.method,
            request.url,
            params=request.params,
            headers=dict(request.headers),
            data=request.data,
            # Even without credentials: those of ~/.netrc are for others.
            auth=self._auth,
        )
        try:
            return self._session.prepare_request(bare)
        except (requests.RequestException, ValueError) as error:
            fault = fault_of_exception(error, endpoint=request.place, source="network")
            decision = self._classifier.classify(fault, self._now())
            raise error_of(decision, fault) from None

    def _exchange(
        self, request: Request, prepared: requests.PreparedRequest
    ) -> Reply | Fault:
        import requests  # noqa: PLC0415
        import urllib3  # noqa: PLC0415

        try:
            return self._ask(request, prepared)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            BodyTooLargeError,
            BodyTooSlowError,
            NotJsonError,
        ) as error:
            return fault_of_exception(error, endpoint=request.place, source="network")

    def _ask(
        self, request: Request, prepared: requests.PreparedRequest
    ) -> Reply | Fault:
        deadline = self._clock() + self._timeouts.total
        url = t.cast("str", prepared.url)
        # A file in the settings goes before REQUESTS_CA_BUNDLE, which requests prefers.
        verify = None if self._session.verify is True else self._session.verify
        options = self._session.merge_environment_settings(url, {}, True, verify, None)
        # Not session.send: it follows redirects, and the credentials with it, and it
        # reads the bodies of redirects without a limit.
        with self._session.get_adapter(url).send(
            prepared,
            timeout=(self._timeouts.connect, self._timeouts.read),
            **options,
        ) as response:
            body = read_body(response, self._max_body_bytes, deadline, self._clock)
        status = response.status_code
        headers = {name.lower(): value for name, value in response.headers.items()}
        is_good = status in _GOOD
        content = None
        if is_good and request.expect == "json":
            content = parse_json(status, body)
        if is_good and not is_error_body(content):
            return Reply(status, headers, body, content)
        place, source = request.place, self._source
        return fault_of_reply(status, headers, body, endpoint=place, source=source)

    def _tell(
        self,
        request: Request,
        permit: Permit,
        found: Reply | Fault,
        decision: Decision | None,
        seconds: float,
        waited: float,
    ) -> None:
        category = decision.category if decision else None
        permit.record(is_failed=category is Category.TRANSIENT, seconds=seconds)
        if decision and not isinstance(found, Reply) and decision.action is Action.WAIT:
            scope = self._throttle_scope(request, found)
            wait = decision.retry_after or 0.0
            self._limiter.throttled(request.bucket, wait, scope)
        size = len(found.body) if isinstance(found, Reply) else 0
        status = found.status or 0
        self._on_call(Call(request.bucket, status, seconds, waited, size, decision))

    def _failure(
        self,
        prepared: requests.PreparedRequest,
        fault: Fault,
        decision: Decision,
    ) -> Exception:
        error = error_of(decision, fault)
        if decision.action in {Action.RETRY, Action.WAIT}:
            return AttemptError(decision, error)
        if decision.action is Action.REFRESH:
            return _UnauthorizedError(prepared, error)
        return error
