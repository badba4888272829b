"""Keep the values of secret settings out of every log line."""

from __future__ import annotations

import base64
import logging
import re
import typing as t
from urllib.parse import quote, quote_plus

MASK = "***"
# Shorter values ("1", "no") would blank out ordinary words.
MIN_SECRET_LENGTH = 4


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
                yield from map(str, value if isinstance(value, list) else [value])
            yield from _URL_PASSWORD.findall(str(value))


def _is_marked(definition: t.Mapping[str, t.Any]) -> bool:
    return bool(definition.get("secret") or definition.get("writeOnly"))


_TELLING = re.compile(
    r"secret|token|passw|credential|authorization|sas|private|connection.?string"
    r"|(?:access|account|api|shared).?key",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


class SecretFilter(logging.Filter):
    """Replace known secrets, also URL- and base64-encoded, in messages and arguments.

    Attach it to a handler: filters of loggers do not see the records of children.
    """

    def __init__(self, secrets: t.Iterable[str] = ()) -> None:
        super().__init__()
        self._forms: list[str] = []
        self.add(secrets)

    def add(self, secrets: t.Iterable[str]) -> None:
        """Mask these values too, from now on."""
        for secret in secrets:
            encoded = base64.b64encode(secret.encode()).decode()
            self._forms += {secret, quote(secret, safe=""), quote_plus(secret), encoded}
        self._forms.sort(key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Return the text without any known secret."""
        for form in self._forms:
            text = text.replace(form, MASK)
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
            record.msg = self.mask(record.getMessage())
            record.args = None
        return True
