"""Errors named by what the caller should do, each with its exit code.

DativoError
├── ConfigurationError   78  a setting, a name or the catalog must be changed
├── CredentialsError     77  a password, key or grant must be changed
│   └── NotPermittedError    77  the credentials are good, but not for this
├── TryLaterError        75  nothing to change: run again, later
├── RefusedError          1  the same request will never succeed
│   ├── GoneError             1  what was asked for is not there, or not any more
│   └── SkippedError          1  this one thing cannot be read; the others can
├── DataLimitError       65  too many records went to the dead letters
├── IncompleteError      75  the input ended without proof that the tap finished
└── FencedError           3  another run of the same pipeline owns the table now
"""

from __future__ import annotations

import enum
import typing as t

if t.TYPE_CHECKING:
    from dativo_core.faults import Decision


class ExitCode(enum.IntEnum):
    """What an orchestrator may route on; anything else is a bug."""

    COMPLETE = 0
    BUG = 1
    FENCED = 3
    DATA_LIMIT = 65
    TRY_LATER = 75
    CREDENTIALS = 77
    CONFIGURATION = 78
    INTERRUPTED = 130
    TERMINATED = 143


class DativoError(Exception):
    """An expected failure: one line for a person, one code for an orchestrator.

    Args:
        what: What happened, and where (stream, host, path).
        hint: What to do next, as an imperative sentence.
    """

    exit_code = ExitCode.BUG
    #: What the classifier made of the fault behind it, where there was one.
    decision: Decision | None = None

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(f"{what} {hint}".rstrip())
        self.what = what
        self.hint = hint


class ConfigurationError(DativoError):
    """A setting, a name or the catalog must be changed."""

    exit_code = ExitCode.CONFIGURATION


class CredentialsError(DativoError):
    """A password, a key or a grant must be changed."""

    exit_code = ExitCode.CREDENTIALS


class NotPermittedError(CredentialsError):
    """The credentials are good, but a permission or scope is missing."""


class TryLaterError(DativoError):
    """The other side is unreachable or overloaded; the same run may succeed later.

    `not_before` is the earliest time that makes sense, in seconds since 1970.
    """

    exit_code = ExitCode.TRY_LATER
    not_before: float | None = None


class RefusedError(DativoError):
    """The same request will never succeed: the tap or its settings must change."""


class GoneError(RefusedError):
    """What was asked for is not there, not any more, or not for these credentials."""


class SkippedError(RefusedError):
    """This one thing cannot be read; leave it out visibly and go on."""


class IncompleteError(TryLaterError):
    """The input ended without proof that the tap finished."""


class DataLimitError(DativoError):
    """More records went to the dead letters than the settings allow."""

    exit_code = ExitCode.DATA_LIMIT


class FencedError(DativoError):
    """Another run of the same pipeline has moved the bookmark meanwhile."""

    exit_code = ExitCode.FENCED
