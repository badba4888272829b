"""What went wrong, in words that fit every source; and what to do about it."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Mapping


class Category(str, enum.Enum):
    """Whose problem it is."""

    TRANSIENT = "transient"
    RATE_LIMIT = "rate_limit"
    AUTH = "auth"
    CONFIG = "config"
    DATA = "data"
    PERMANENT = "permanent"


class Action(str, enum.Enum):
    """What to do next.

    RETRY and WAIT send the same request again: after a random pause, or after the pause
    that the other side wants. REFRESH gets new credentials, once. SKIP leaves one thing
    out. STOP ends the run with what is done (75); FAIL ends it for a person to look.
    """

    RETRY = "retry"
    WAIT = "wait"
    REFRESH = "refresh"
    SKIP = "skip"
    STOP = "stop"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure as the other side, or the library that talks to it, told it.

    Args:
        source: `http`, `oauth`, `network`, `postgres`, `mysql`, `s3`, `os`, `python`.
        status: HTTP status.
        headers: Headers of the answer; names in lower case.
        code: The provider's own code or reason, such as `lock_timeout`.
        error_type: The provider's family of errors, such as `invalid_request_error`.
        param: The parameter that the provider objects to.
        sqlstate: Five characters.
        errno: Number of the database's error.
        exceptions: Class names, the most special first, causes last.
        message: For people; it is shown masked and cut.
        endpoint: Method, host and path; never a query, which may hold secrets.
        request_id: The provider's name of the request, for its support.
    """

    source: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    error_type: str = ""
    param: str = ""
    sqlstate: str = ""
    errno: int | None = None
    exceptions: tuple[str, ...] = ()
    message: str = ""
    endpoint: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the classifier made of a fault.

    Args:
        category: Whose problem it is.
        action: What to do next.
        rule: Name of the rule that decided.
        reason: What happened, as a sentence without secrets.
        hint: What a person can do, as an imperative sentence.
        retry_after: Seconds that the other side, or the rule, wants to pass first.
        not_before: The same as a time, in seconds since 1970.
        max_attempts: A limit of this rule's own, lower than the policy's.
    """

    category: Category
    action: Action
    rule: str = ""
    reason: str = ""
    hint: str = ""
    retry_after: float | None = None
    not_before: float | None = None
    max_attempts: int | None = None
