"""Read the body of an answer, within bounds of size and time."""

from __future__ import annotations

import typing as t

import msgspec

if t.TYPE_CHECKING:
    from collections.abc import Callable

    import requests

CHUNK = 1 << 16


class TruncatedBodyError(Exception):
    """The body ended before its time."""


class BodyTooLargeError(Exception):
    """The body is larger than allowed."""


class BodyTooSlowError(Exception):
    """The body took longer than allowed."""


class NotJsonError(Exception):
    """The body is not JSON, though the status says that all is well."""


def read_body(
    response: requests.Response,
    max_bytes: int,
    deadline: float,
    clock: Callable[[], float],
) -> bytes:
    """Return the decoded body of an answer that was opened as a stream.

    Raises:
        TruncatedBodyError: It ended early.
        BodyTooLargeError: It has more than `max_bytes`, decoded.
        BodyTooSlowError: It is not there at the deadline, though bytes trickle in.
    """
    parts: list[bytes] = []
    size = 0
    # Not iter_content: it waits for a full chunk, however slowly that comes.
    while part := response.raw.read1(CHUNK, decode_content=True):
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise BodyTooLargeError(f"more than {max_bytes} bytes")
        if clock() > deadline:
            raise BodyTooSlowError(f"{size} bytes in the time allowed")
    return b"".join(parts)


def parse_json(status: int, body: bytes) -> t.Any:
    """Return the content of a body; None where the status says that there is none.

    Raises:
        NotJsonError: saying how the body begins to be something else, not what it says.
    """
    if status in {204, 304} and not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJsonError(f"{len(body)} bytes: {error}") from error
