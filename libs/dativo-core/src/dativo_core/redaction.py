"""Keep the values of secret settings out of every log line."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import typing as t
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
# Shorter values ("1", "no") would blank out ordinary words.
MIN_SECRET_LENGTH = 4
# And shorter pieces of base64.
MIN_PIECE_LENGTH = 6


def secret_values(
    config: t.Mapping[str, t.Any], schema: t.Mapping[str, t.Any]
) -> set[str]:
    """Collect the configured values that must not be shown.

    These are settings marked `secret` or `writeOnly`; in an object that is marked, or
    has a part that is, also undeclared parts whose names say so (`s3.session-token`);
    and passwords in URLs, wherever they are.
    """
    found = _secrets(config, schema, is_guarded=False)
    return {secret for secret in found if len(secret) >= MIN_SECRET_LENGTH}


def _secrets(
    config: t.Mapping[str, t.Any], schema: t.Mapping[str, t.Any], *, is_guarded: bool
) -> t.Iterator[str]:
    declared = schema.get("properties", {})
    is_guarded = is_guarded or any(map(_is_marked, declared.values()))
    for name, value in config.items():
        definition = declared.get(name) or schema.get("additionalProperties")
        known = definition if isinstance(definition, dict) else {}
        if isinstance(value, dict):
            yield from _secrets(
                value, known, is_guarded=is_guarded or _is_marked(known)
            )
        elif value is not None:
            is_telling = is_guarded and name not in declared and _TELLING.search(name)
            if _is_marked(known) or is_telling:
                for secret in map(str, value if isinstance(value, list) else [value]):
                    yield secret
                    # `client id:client secret`, of which a server may repeat a part.
                    yield secret.partition(":")[2]
            yield from _url_passwords(str(value))


def _url_passwords(text: str) -> t.Iterator[str]:
    for password in _URL_PASSWORD.findall(text):
        yield password
        yield unquote(password)


def _is_marked(definition: t.Mapping[str, t.Any]) -> bool:
    return bool(definition.get("secret") or definition.get("writeOnly"))


_TELLING = re.compile(
    r"secret|token|passw|credential|authorization|sas|private|connection.?string"
    r"|(?:access|account|api|shared).?key",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
# Tokens that a server gave during the run, say, in what a library logs.
_WHAT_NOBODY_TOLD = (
    re.compile(r"(\b(?:bearer|basic) +)[\w.~+/=-]{8,}", re.IGNORECASE),
    re.compile(
        r"(\b(?:(?:access|refresh|id)_token|client_secret)\W{1,6})[\w.~+/=%-]{4,}",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:Signature|X-Amz-Security-Token)\W{1,4})[\w+/=%-]{8,}"),
    re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"),
)


_CODED = re.compile("%[0-9A-F]{2}")


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret may stand in a text."""
    escaped = json.dumps(secret)[1:-1]
    percent = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {
        secret,
        escaped,
        json.dumps(escaped)[1:-1],  # JSON in JSON: an error body in a log line
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        html.escape(secret),
        *percent,
        *(_CODED.sub(lambda code: code[0].lower(), form) for form in percent),
        *_base64(secret.encode()),
    }


def _base64(secret: bytes) -> t.Iterator[str]:
    yield base64.b64encode(secret).decode()
    yield base64.urlsafe_b64encode(secret).decode()
    for before in range(3):  # as in `Basic`, where a name comes first
        text = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
        # Its first and its last letter hold bits of what stands beside it.
        first = (before * 8 + 5) // 6
        last = len(text) - 1 if (before + len(secret)) % 3 else len(text)
        piece = text[first:last]
        if len(piece) >= MIN_PIECE_LENGTH:
            yield piece
            yield piece.replace("+", "-").replace("/", "_")


class SecretFilter(logging.Filter):
    """Replace known secrets, however they are spelt, in messages and arguments.

    Attach it to a handler: filters of loggers do not see the records of children.
    """

    def __init__(self, secrets: t.Iterable[str] = ()) -> None:
        super().__init__()
        self._forms: tuple[str, ...] = ()
        self.add(secrets)

    def add(self, secrets: t.Iterable[str]) -> None:
        """Mask these values too, from now on: also tokens that come later."""
        forms = {*self._forms}
        for secret in secrets:
            if len(secret) >= MIN_SECRET_LENGTH:
                forms |= spellings(secret)
        # Another thread may be at work with the former ones.
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))

    def mask(self, text: str) -> str:
        """Return the text without any known secret."""
        for form in self._forms:
            text = text.replace(form, MASK)
        for pattern in _WHAT_NOBODY_TOLD:
            text = pattern.sub(rf"\1{MASK}", text)
        return text

    def mask_all(self, value: t.Any) -> t.Any:
        """Return JSON without any known secret in its texts."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, list):
            return [self.mask_all(part) for part in value]
        if isinstance(value, dict):
            return {name: self.mask_all(part) for name, part in value.items()}
        return value

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the rendered message; keep SDK metric points, which hold no values."""
        if self._forms and not str(record.msg).startswith("METRIC"):
            record.msg = self.mask(_rendered(record))
            record.args = None
        return True


def _rendered(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 logging would print the arguments as they are
        return str(record.msg)
