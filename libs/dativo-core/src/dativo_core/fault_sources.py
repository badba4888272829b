"""Read a fault from what the other side answered, or from an exception."""

from __future__ import annotations

import errno
import re
import typing as t
from urllib.parse import urlsplit

import msgspec

from dativo_core.faults import Fault

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_REQUEST_IDS = (
    "request-id",
    "x-request-id",
    "x-hubspot-correlation-id",
    "x-amz-request-id",
    "x-goog-request-id",
)
# Far more than is shown; rules search it, and a pattern may be slow on long texts.
MAX_TEXT = 1000
_S3 = re.compile(rb"<(Code|Message)>([^<]{0,2000})</\1>")
_QUERY = re.compile(r"\?[^\s'\")]+")
# Their texts repeat the header or the URL, credentials included.
_INDISCREET = {"InvalidHeader", "InvalidURL", "InvalidProxyURL", "LocationParseError"}


def endpoint_of(method: str, url: str) -> str:
    """Return method, host and path: what may be shown of a request."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{method} {parts.scheme}://{host}{parts.path}"


def fault_of_reply(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    endpoint: str = "",
    source: str = "http",
) -> Fault:
    """Return the fault that an answer tells, in any of the shapes that are known."""
    code, kind, param, message = _told(body)
    return Fault(
        source=source,
        status=status,
        headers=headers,
        code=code,
        error_type=kind,
        param=param,
        message=message[:MAX_TEXT],
        endpoint=endpoint,
        request_id=next((headers[n] for n in _REQUEST_IDS if n in headers), ""),
    )


def is_error_body(content: t.Any) -> bool:
    """Tell whether an answer of status 200 is nothing but an error."""
    return (
        isinstance(content, dict) and bool(content.get("error")) and len(content) == 1
    )


def _told(body: bytes) -> tuple[str, str, str, str]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = {
            name.decode(): value.decode(errors="replace")
            for name, value in _S3.findall(body)
        }
        return found.get("Code", ""), "", "", found.get("Message", "")
    if not isinstance(content, dict):
        return "", "", "", ""
    error = content.get("error")
    if isinstance(error, dict):
        return _nested(error)
    if isinstance(error, str):
        said = content.get("error_description") or content.get("message")
        return error, "", "", _text(said)
    return _flat(content)


def _nested(error: dict[str, t.Any]) -> tuple[str, str, str, str]:
    """Read Stripe's and Google's shape: all is below `error`."""
    reasons = [one.get("reason") for one in _dicts(error, "errors")]
    reasons += [one.get("reason") for one in _dicts(error, "details")]
    reason = next((one for one in reasons if one), None)
    code = error.get("code") if isinstance(error.get("code"), str) else None
    kind = error.get("type") or error.get("status")
    return (
        _text(reason or code),
        _text(kind),
        _text(error.get("param")),
        _text(error.get("message")),
    )


def _flat(content: dict[str, t.Any]) -> tuple[str, str, str, str]:
    """Read HubSpot's shape: every field is optional."""
    code = (
        content.get("policyName") or content.get("subCategory") or content.get("code")
    )
    kind = content.get("errorType") or content.get("category")
    return _text(code or kind), _text(kind), "", _text(content.get("message"))


def _dicts(content: dict[str, t.Any], name: str) -> list[dict[str, t.Any]]:
    found = content.get(name)
    return (
        [one for one in found if isinstance(one, dict)]
        if isinstance(found, list)
        else []
    )


def _text(value: t.Any) -> str:
    return value if isinstance(value, str) else ""


def fault_of_exception(
    error: BaseException, *, endpoint: str = "", source: str = ""
) -> Fault:
    """Return the fault behind an exception of a driver, of requests or of Python.

    `source` is `mysql` or another name; without it the driver's module tells.
    """
    chain = list(_chain(error))
    names = dict.fromkeys(
        cls.__name__ for one in chain for cls in type(one).__mro__ if cls is not object
    )
    return Fault(
        source=source or _source(error),
        code=next(filter(None, map(_code, chain)), ""),
        sqlstate=next(filter(None, map(_sqlstate, chain)), ""),
        errno=_number(error),
        exceptions=tuple(names),
        message=""
        if _INDISCREET & names.keys()
        else _QUERY.sub("?***", str(chain[-1])[:MAX_TEXT]),
        endpoint=endpoint,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, then its causes, wherever libraries keep them."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, getattr(one, "reason", None), *one.args]
        if not any(isinstance(cause, BaseException) for cause in inner):
            inner.append(None if one.__suppress_context__ else one.__context__)
        todo += [cause for cause in inner if isinstance(cause, BaseException)]


def _source(error: BaseException) -> str:
    package = type(error).__module__.partition(".")[0]
    known = {"pymysql": "mysql", "MySQLdb": "mysql", "mysql": "mysql"}
    known |= {"psycopg": "postgres", "psycopg2": "postgres"}
    known |= {"adbc_driver_manager": "postgres", "botocore": "s3", "boto3": "s3"}
    known |= {"requests": "network", "urllib3": "network", "socket": "network"}
    return known.get(package, "os" if isinstance(error, OSError) else "python")


def _code(error: BaseException) -> str:
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):  # botocore's ClientError
        return _text((answer.get("Error") or {}).get("Code"))
    # Not of ssl's and socket's own: their numbers mean something else.
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        return errno.errorcode.get(error.errno or 0, "")
    return ""


def _sqlstate(error: BaseException) -> str:
    return _text(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None))


def _number(error: BaseException) -> int | None:
    number = error.args[0] if error.args else None
    is_ours = _source(error) == "mysql" and isinstance(number, int)
    return number if is_ours else None
