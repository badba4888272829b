"""What is asked, what is answered, and what is told about it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from dativo_core.fault_sources import endpoint_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from dativo_core.faults import Decision


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask.

    Args:
        method: `GET`, or `POST` for what changes nothing or may happen twice.
        url: Without a query.
        params: The query: a mapping or pairs; a list repeats its name.
        headers: Without credentials, which `Auth` adds.
        data: Body: bytes as they are, or the fields of a form.
        endpoint: Name for limits and metrics, with no ids in it; default is the path.
        expect: `json`, or `bytes` for what is not to be parsed.
    """

    method: str
    url: str
    params: t.Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    data: bytes | Mapping[str, str] | None = field(default=None, repr=False)
    endpoint: str = ""
    expect: t.Literal["json", "bytes"] = "json"

    @property
    def place(self) -> str:
        """What may be shown of it: method, host and path."""
        return endpoint_of(self.method, self.url)

    @property
    def bucket(self) -> str:
        """Name of its endpoint."""
        return self.endpoint or self.place


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer; `headers` have names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    content: t.Any = field(default=None, repr=False)

    def json(self) -> t.Any:
        """Return the parsed body of a request that expected JSON."""
        return self.content


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two bytes, and for a whole body."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class Call:
    """One exchange, for metrics.

    Args:
        endpoint: The endpoint's name.
        status: HTTP status; 0 when there was none.
        seconds: From the request to the last byte.
        waited_seconds: For the limiter, before.
        received_bytes: Of the body, decoded.
        decision: What it came to, unless all was well.
    """

    endpoint: str
    status: int
    seconds: float
    waited_seconds: float
    received_bytes: int
    decision: Decision | None = None
