"""What can go wrong: each fault changes one request or its response."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from dativo_sandbox.stripe.limits import too_many
from dativo_sandbox.stripe.messages import ApiError, Delivery, Request, Response
from dativo_sandbox.stripe.templates import encode

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dativo_sandbox.stripe.keys import Caller

Options = t.Mapping[str, t.Any]
Fault = t.Callable[["Ask", Options], Response]
# What a rule may say beyond when: hints to the client, the reason, how long it takes.
OPTIONS = frozenset({"retry_after", "should_retry", "reason", "seconds"})
_DAY = 86_400
_PAGE = (
    b"<html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
_LOCK = (
    "This object cannot be accessed right now because another API request or Stripe "
    "process is currently accessing it."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """A request that meets a fault.

    Attributes:
        request: What was asked.
        caller: Who asks.
        answer: Returns what the answer would be without the fault.
        touch: Changes an object: the operation, the type and the id.
    """

    request: Request
    caller: Caller
    answer: Callable[[Request], Response]
    touch: Callable[[str, str, str], None]


def _error(
    status: int, message: str, *, code: str = "", kind: str = "invalid_request_error"
) -> Callable[[], ApiError]:
    return lambda: ApiError(status, message, code=code, kind=kind)


def _refuse(make: Callable[[], ApiError]) -> Fault:
    def fault(_: Ask, options: Options) -> Response:
        response = make().response()
        headers = {**response.headers, **_hints(options)}
        return response.replace(headers=headers)

    return fault


def _rate_limit(_: Ask, options: Options) -> Response:
    reason = str(options.get("reason", "endpoint-rate"))
    return too_many(reason, **_hints(options)).response()


def _daily_quota(_: Ask, options: Options) -> Response:
    hints = {"Retry-After": str(_DAY), **_hints(options)}
    message = "You have exceeded the daily number of API reads of this account."
    headers = {"Stripe-Rate-Limited-Reason": "resource-specific", **hints}
    error = ApiError(429, message, code="rate_limit", headers=headers)
    return error.response()


def _html(status: int) -> Fault:
    def fault(_: Ask, options: Options) -> Response:
        return Response(status, _PAGE, _hints(options), content_type="text/html")

    return fault


def _body(change: Callable[[bytes], bytes]) -> Fault:
    def fault(ask: Ask, _: Options) -> Response:
        response = ask.answer(ask.request)
        return response.replace(body=change(response.body))

    return fault


def _delivered(kind: str, seconds: float = 0.0) -> Fault:
    def fault(ask: Ask, options: Options) -> Response:
        delivery = Delivery(kind, float(options.get("seconds", seconds)))
        return ask.answer(ask.request).replace(delivery=delivery)

    return fault


def _empty_page(body: bytes) -> bytes:
    return encode(json.loads(body) | {"data": [], "has_more": True})


def _duplicate(ask: Ask, _: Options) -> Response:
    """Show the last object of the page before once more, or else one of this page."""
    response = ask.answer(ask.request)
    page = json.loads(response.body)
    after = dict(ask.request.query).get("starting_after")
    if after:
        one = Request("GET", f"{ask.request.path}/{after}", (), ask.request.headers)
        again = json.loads(ask.answer(one).body)
        page["data"] = [again, *page["data"]]
    else:
        page["data"] += page["data"][-1:]
    return response.replace(body=encode(page))


def _repeat_page(ask: Ask, _: Options) -> Response:
    """Answer with the first page, whatever page was asked for."""
    query = tuple(p for p in ask.request.query if p[0] != "starting_after")
    return ask.answer(dataclasses.replace(ask.request, query=query))


def _insert(ask: Ask, _: Options) -> Response:
    """Let a new object come into being just before the answer."""
    ask.touch("create", ask.request.path, "")
    return ask.answer(ask.request)


def _delete_cursor(ask: Ask, _: Options) -> Response:
    """Let the object that the page should begin after be deleted first."""
    after = dict(ask.request.query).get("starting_after")
    if after:
        ask.touch("delete", ask.request.path, after)
    return ask.answer(ask.request)


def _hints(options: Options) -> dict[str, str]:
    hints = {"retry_after": "Retry-After", "should_retry": "Stripe-Should-Retry"}
    return {
        header: str(options[name]).lower()
        for name, header in hints.items()
        if name in options
    }


ACTIONS: Mapping[str, Fault] = {
    "rate_limit": _rate_limit,
    "rate_limit_400": _refuse(
        _error(400, "Request rate limit exceeded.", code="rate_limit")
    ),
    "daily_quota": _daily_quota,
    "lock_timeout": _refuse(_error(409, _LOCK, code="lock_timeout")),
    "lock_timeout_429": _refuse(_error(429, _LOCK, code="lock_timeout")),
    "locked": _refuse(_error(423, _LOCK)),
    "failed_dependency": _refuse(_error(424, "An external dependency failed.")),
    "server_error": _refuse(
        _error(500, "An unknown error occurred.", kind="api_error")
    ),
    "bad_gateway": _html(502),
    "unavailable": _refuse(_error(503, "Stripe is down.", kind="api_error")),
    "gateway_timeout": _html(504),
    "unauthorized": _refuse(_error(401, "Expired API Key", code="api_key_expired")),
    "token_expired": _refuse(_error(401, "The access token has expired.")),
    "forbidden": _refuse(
        _error(403, "The provided key does not have the required permissions.")
    ),
    "reset": _delivered("reset"),
    "reset_midway": _delivered("reset_midway"),
    "truncate": _delivered("truncate"),
    "truncate_chunked": _delivered("truncate_chunked"),
    "slow_drip": _delivered("drip", 2.0),
    "hang": _delivered("hang", 60.0),
    "broken_json": _body(lambda body: body[: len(body) // 2]),
    "not_json": lambda _, __: Response(200, _PAGE, content_type="text/html"),
    "empty_body": _body(lambda _: b""),
    "empty_page": _body(_empty_page),
    "duplicate": _duplicate,
    "repeat_page": _repeat_page,
    "insert": _insert,
    "delete_cursor": _delete_cursor,
}
