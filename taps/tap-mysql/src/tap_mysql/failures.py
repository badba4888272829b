"""Turn what MySQL and its driver say into what a person should do."""

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

# `Incorrect datetime value: 'x'`, `Duplicate entry 'x'`, `near 'x' at line 1`.
_VALUE = re.compile(
    r"(?:value:? |entry |near |constant |literal )'(.*?)'(?: for| at|$|\.)", re.DOTALL
)
_LATER = "Run again later; the state so far is safe."
_LOGIN = "Check the settings user and password, and from which hosts the user may come."
_TLS = "Check ssl, ssl_mode and the other ssl_ settings."
_GRANT = "GRANT SELECT on the table to the user, or deselect the stream."
_CLAUSE = (
    "Check the view, or custom_where_clauses of the stream in stream_options, then "
    "discover again: a column may have changed."
)

# Functions and types that do not fit, subqueries, patterns, signals, writing; and what
# the functions of JSON say.
_REFUSALS = frozenset(
    {1054, 1064, 1109, 1111, 1115, 1128, 1139, 1210, 1222, 1235, 1241, 1242}
    | {1247, 1253, 1267, 1270, 1271, 1273, 1305, 1318, 1327, 1367, 1425, 1426, 1436}
    | {1582, 1583, 1584, 1630, 1644, 1792, 4078, 4079, 4161}
    | {*range(3141, 3159), *range(3685, 3700), *range(4036, 4050)}
)
# Full disks and memory, connections that are gone or too many, locks, and statements
# that are ended; 0 is what PyMySQL says of a connection that is closed already.
_PASSING = frozenset(
    {0, 1021, 1037, 1038, 1040, 1041, 1053, 1114, 1129, 1135, 1158, 1159, 1160, 1161}
    | {1203, 1205, 1213, 1226, 1317, 1412, 1927, 1969, 2006, 2013, 2055, 3024, 4031}
)
# https://mariadb.com/kb/en/mariadb-error-code-reference/
_RULES: tuple[tuple[frozenset[int], Kind, str], ...] = (
    (frozenset({1044, 1045, 1698, 1820, 1862, 3118, 4151}), CredentialsError, _LOGIN),
    (frozenset({1142, 1143, 1227, 1370}), CredentialsError, _GRANT),
    (frozenset({1049}), ConfigurationError, "Check the setting database."),
    (
        frozenset({1051, 1146, 1356}),
        ConfigurationError,
        "Discover again: the catalog names what is no longer there.",
    ),
    (_REFUSALS, ConfigurationError, _CLAUSE),
    (
        frozenset({1449}),
        ConfigurationError,
        "Give the view a definer that exists, or deselect the stream.",
    ),
    (
        frozenset({1034, 1035, 1194, 1195, 1712, 1932}),
        ConfigurationError,
        "REPAIR the table on the server, or deselect the stream.",
    ),
    (frozenset({3159, 2026}), ConfigurationError, _TLS),
    (
        frozenset({1065, 1193, 1231, 1238}),
        ConfigurationError,
        "Check session_sqls: the server knows no such statement, variable or value.",
    ),
    (
        frozenset({1292, 1365, 1366, 1411, 1525, 1690}),
        ConfigurationError,
        "Check custom_where_clauses and the state.",
    ),
    (frozenset({1153, 2020}), ConfigurationError, "Raise max_allowed_packet."),
    (
        frozenset({2002, 2003, 2005}),
        TryLaterError,
        "Check host and port, or run again later.",
    ),
    (
        _PASSING,
        TryLaterError,
        _LATER,
    ),
)
_WORDS: tuple[tuple[str, Kind, str], ...] = (
    (r"SSL|certificate|TLS", ConfigurationError, _TLS),
    (
        r"cryptography|authentication (plugin|method)|auth_",
        ConfigurationError,
        "Give the user another authentication plugin.",
    ),
    (r"timed? ?out|reset|refused|broken pipe|unreachable", TryLaterError, _LATER),
)


def parts(exception: BaseException) -> tuple[int | None, str]:
    """Return the number of an error, if it has one, and its words."""
    first, *rest = exception.args or ("",)
    if isinstance(first, int) and rest and not isinstance(exception, OSError):
        return first, str(rest[0])
    return None, str(exception)


def explain(code: int | None, text: str, place: str) -> DativoError | None:
    """Return the error to raise; None for what no rule knows.

    Args:
        code: The server's number of the error, or the driver's.
        text: The words that came with it.
        place: What was done where, for the start of the sentence.
    """
    for words, kind, hint in _WORDS[:1]:
        # The driver hides what TLS says behind "cannot connect".
        if code in {None, 2003, 2013} and re.search(words, text):
            return kind(f"{place}: {plain(text)}.", hint=hint)
    for codes, kind, hint in _RULES:
        if code in codes:
            return kind(f"{place}: {plain(text)}.", hint=hint)
    for words, kind, hint in _WORDS[1:]:
        if re.search(words, text, re.IGNORECASE):
            return kind(f"{place}: {plain(text)}.", hint=hint)
    return None


def plain(text: str) -> str:
    """Return the server's sentence without values of rows."""
    for value in values(text):
        text = text.replace(value, MASK)
    return " ".join(text.split()).rstrip(".")


def values(text: str) -> set[str]:
    """Return what a server's sentence quotes of the data, not of names."""
    return {value for value in _VALUE.findall(text) if value}
