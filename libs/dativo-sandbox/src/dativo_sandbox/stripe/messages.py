"""What goes in and out: a request, a response, and Stripe's errors."""

from __future__ import annotations

import dataclasses
import http
import typing as t
import urllib.parse

from dativo_sandbox.stripe.templates import encode

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_JSON = "application/json"


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came over the wire.

    Attributes:
        method: Such as GET.
        path: The decoded path, without the query.
        query: Names and values in their order, decoded.
        headers: The headers, their names in lower case.
        body: What came after the headers.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(
        cls,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Request:
        """Return the request for a target, the path with its query."""
        path, _, query = target.partition("?")
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
        path = urllib.parse.unquote(path)
        return cls(method, path, tuple(pairs), headers or {}, body)


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """How a response reaches the client, if not at once and whole.

    Attributes:
        kind: `whole`, `reset` (nothing is sent), `reset_midway` (the connection breaks
            after half of the body), `truncate` and `truncate_chunked` (it ends there),
            `drip` or `hang`.
        seconds: How long a drip or a hang takes.
    """

    kind: str = "whole"
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """One response, before it is delivered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    content_type: str = _JSON
    delivery: Delivery = Delivery()

    def replace(self, **changes: t.Any) -> Response:
        """Return this response with some things changed."""
        return dataclasses.replace(self, **changes)


class ApiError(Exception):
    """A request that Stripe answers with an error.

    Args:
        status: The status of the response.
        message: The sentence for a developer.
        kind: The value of `type`.
        code: What a program can tell the error by, if it has a code.
        param: The parameter that it is about, if it is about one.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str = "",
        param: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = int(status)
        given = {"code": code, "param": param}
        details = {name: value for name, value in given.items() if value}
        self.error = {**details, "message": message, "type": kind}
        self.headers = headers or {}

    def response(self) -> Response:
        """Return the response that says so."""
        if "code" in self.error:
            page = self.error["code"].replace("_", "-")
            url = f"https://stripe.com/docs/error-codes/{page}"
            self.error.setdefault("doc_url", url)
        return Response(self.status, encode({"error": self.error}), self.headers)


def missing(type_: str, name: str, *, param: str = "id") -> ApiError:
    """Return the error for an object that is not there."""
    status = http.HTTPStatus.NOT_FOUND if param == "id" else http.HTTPStatus.BAD_REQUEST
    noun = type_.rpartition(".")[2]
    message = f"No such {noun}: '{name}'"
    return ApiError(status, message, code="resource_missing", param=param)


def invalid(param: str, message: str, code: str = "") -> ApiError:
    """Return the error for a parameter that cannot be."""
    return ApiError(http.HTTPStatus.BAD_REQUEST, message, param=param, code=code)
