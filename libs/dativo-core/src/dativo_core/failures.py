"""Turn a decision into the error that a run, or a stream, ends with."""

from __future__ import annotations

import typing as t

from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    DativoError,
    GoneError,
    NotPermittedError,
    RefusedError,
    SkippedError,
    TryLaterError,
)
from dativo_core.faults import Action, Category
from dativo_core.retry import moment

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from dativo_core.faults import Decision, Fault

_ERRORS: Mapping[Category, type[DativoError]] = {
    Category.TRANSIENT: TryLaterError,
    Category.RATE_LIMIT: TryLaterError,
    Category.AUTH: CredentialsError,
    Category.CONFIG: ConfigurationError,
    Category.DATA: RefusedError,
    Category.PERMANENT: RefusedError,
}


def error_of(decision: Decision, fault: Fault) -> DativoError:
    """Return the error to raise when nothing else helps."""
    error = _kind(decision, fault)(decision.reason, hint=_hint(decision))
    error.decision = decision
    if isinstance(error, TryLaterError):
        error.not_before = decision.not_before
    return error


def _kind(decision: Decision, fault: Fault) -> type[DativoError]:
    if decision.action is Action.STOP:
        return TryLaterError
    if decision.action is not Action.SKIP:
        return _ERRORS[decision.category]
    if decision.category is Category.AUTH:
        return NotPermittedError
    return GoneError if fault.status in {404, 410} else SkippedError


def _hint(decision: Decision) -> str:
    if decision.not_before is None:
        return decision.hint
    return f"{decision.hint} Not before {moment(decision.not_before)}.".strip()
