"""Turn what Postgres and its driver say into what a person should do."""

from __future__ import annotations

import re
import typing as t

from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    DativoError,
    TryLaterError,
)
from dativo_core.redaction import MASK

Kind: t.TypeAlias = "type[DativoError]"

# `invalid input syntax for type integer: "x"`, `value "x" is out of range`,
# `Key (email)=(x)`.
_VALUE = re.compile(r"(?:: |\bvalue )\"(.*)\"|\)=\((.*)\)", re.DOTALL)
_LATER = "Run again later; the state so far is safe."
_TLS = "Check ssl_enable, ssl_mode and the ssl_ certificate settings."
_FAILS = (
    "A view, a cast or a custom clause fails on some row: correct it, or deselect the "
    "stream."
)
# What the server refuses to do with rows: features, subqueries, constraints, limits,
# writing, and what functions and views raise on their own.
_REFUSALS = ("0A", "21", "23", "25006", "2F", "38", "39", "54", "P0")

# The first row whose SQLSTATE (by prefix) or words (by pattern) fit decides.
_RULES: tuple[tuple[str, str, Kind, str], ...] = (
    ("", r"no pg_hba\.conf entry.*no encryption", ConfigurationError, _TLS),
    (
        "",
        r"SSL error|certificate|server does not support SSL|private key|sslmode",
        ConfigurationError,
        _TLS,
    ),
    (
        "28",
        r"password authentication failed|no password supplied|role .* does not exist"
        r"|no pg_hba\.conf entry|is not permitted to log in|authentication failed",
        CredentialsError,
        "Check the settings user and password, and pg_hba.conf on the server.",
    ),
    (
        "3D",
        r"database .* does not exist",
        ConfigurationError,
        "Check the setting database.",
    ),
    (
        "42501",
        r"permission denied",
        CredentialsError,
        "GRANT SELECT on the relation (and USAGE on its schema) to the user, or "
        "deselect the stream.",
    ),
    (
        "42P01",
        "",
        ConfigurationError,
        "Discover again: the catalog names what is no longer there.",
    ),
    (
        "42",
        "",
        ConfigurationError,
        "Check custom_where_clauses of the stream in stream_options, then discover "
        "again: a column may have changed.",
    ),
    ("22", "", ConfigurationError, "Check custom_where_clauses and the state."),
    *((state, "", ConfigurationError, _FAILS) for state in _REFUSALS),
    (
        "55000",
        r"has not been populated",
        ConfigurationError,
        "REFRESH the materialized view, or deselect the stream.",
    ),
    ("55", "", TryLaterError, ""),
    ("58", r"could not (open|read|write|extend) .*file", TryLaterError, ""),
    ("72", r"snapshot too old", TryLaterError, ""),
    ("HV", r"could not connect to server", TryLaterError, ""),
    ("53300", r"too many (clients|connections)|connection slots", TryLaterError, ""),
    (
        "57P",
        r"is starting up|is shutting down|terminating connection",
        TryLaterError,
        "",
    ),
    ("40", "", TryLaterError, ""),
    ("08", "", TryLaterError, ""),
    (
        "53",
        r"out of memory|No space left on device|temporary file size exceeds",
        TryLaterError,
        "",
    ),
    ("57", r"canceling statement due to user request", TryLaterError, ""),
    (
        "",
        r"refused|time(d )?\s?out|expired|could not translate host|Name or service"
        r"|server closed the connection|reset by peer|unreachable|no connection"
        r"|could not (receive|send) data|connection (not open|is lost)|SSL SYSCALL"
        r"|conflict with recovery|could not serialize",
        TryLaterError,
        "Check host and port, or run again later.",
    ),
    # While rows stream, the driver gives no SQLSTATE.
    ("", r"PGRES_FATAL_ERROR", ConfigurationError, _FAILS),
)


def explain(sqlstate: str | None, text: str, place: str) -> DativoError | None:
    """Return the error to raise; None for what no rule knows.

    Args:
        sqlstate: Five characters, if the driver gave them.
        text: The driver's message.
        place: What was done where, for the start of the sentence.
    """
    words = plain(text)
    unwrapped = text.replace("\n", " ")
    for prefix, pattern, kind, hint in _RULES:
        by_state = bool(prefix and sqlstate and sqlstate.startswith(prefix))
        by_words = bool(not sqlstate and pattern) and bool(
            re.search(pattern, unwrapped, re.IGNORECASE)
        )
        if by_state or by_words:
            return kind(f"{place}: {words}.", hint=hint or _LATER)
    return None


def plain(text: str) -> str:
    """Reduce a driver's message to the server's sentence."""
    text = text.replace("\\n", "\n").replace("\\t", " ")
    text = re.split(r"\n*Query was:|\n*LINE \d+:|\. SQLSTATE:", text)[0]
    text = re.sub(r"^[A-Z_]+: ", "", text)
    text = re.sub(r"\[libpq\] (Failed to|Execution error) [^:]*: ", "", text)
    text = re.sub(r"could not begin COPY: ", "", text)
    text = re.sub(r"(ERROR|FATAL):\s+", "", text)
    for value in values(text):
        text = text.replace(value, MASK)
    return " ".join(text.split()).rstrip(".")


def values(text: str) -> set[str]:
    """Return what a server's sentence quotes of the data, not of names."""
    found = (match for pair in _VALUE.findall(text) for match in pair)
    return {value for value in found if value}
