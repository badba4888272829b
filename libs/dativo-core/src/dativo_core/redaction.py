"""Keep the values of secret settings out of every log line."""

from __future__ import annotations

import base64
import logging
import typing as t
from urllib.parse import quote, quote_plus

MASK = "***"
# Shorter values ("1", "no") would blank out ordinary words.
MIN_SECRET_LENGTH = 4


def secret_values(
    config: t.Mapping[str, t.Any], schema: t.Mapping[str, t.Any]
) -> set[str]:
    """Collect the configured values of all settings marked `secret` or `writeOnly`."""
    found: set[str] = set()
    for name, definition in schema.get("properties", {}).items():
        value = config.get(name)
        if value is None:
            continue
        if definition.get("secret") or definition.get("writeOnly"):
            found.update(_leaves(value))
        elif isinstance(value, dict):
            found |= secret_values(value, definition)
    return {secret for secret in found if len(secret) >= MIN_SECRET_LENGTH}


def _leaves(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _leaves(child)
    else:
        yield str(value)


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

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the rendered message; keep SDK metric points, which hold no values."""
        if self._forms and not str(record.msg).startswith("METRIC"):
            record.msg = self.mask(record.getMessage())
            record.args = None
        return True
