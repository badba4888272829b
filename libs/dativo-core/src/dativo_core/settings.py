"""Check a plugin's settings and say what is wrong in the user's words."""

from __future__ import annotations

import contextlib
import difflib
import math
import typing as t

from jsonschema import Draft202012Validator

from dativo_core import logs
from dativo_core.errors import ConfigurationError
from dativo_core.redaction import secret_values

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import ValidationError

Json: t.TypeAlias = "Mapping[str, t.Any]"


def accept(
    config: dict[str, t.Any], schema: Json, *, plugin: str, strict: bool
) -> list[str]:
    """Register the secrets of the configuration, then check it.

    Args:
        config: The settings as given; numbers that are texts become numbers.
        schema: JSON Schema of all settings; those marked `secret` are kept from logs.
        plugin: Command name, for the message.
        strict: Raise on the first problem found, instead of returning them all.

    Raises:
        ConfigurationError: naming every setting that is unknown, missing or invalid.
    """
    logs.SECRETS.add(secret_values(config, schema))
    _read_numbers(config, schema)
    found = problems(config, schema)
    if found and strict:
        msg = f"{plugin}: {' '.join(found)}"
        raise ConfigurationError(msg, hint=f"`{plugin} --about` lists all settings.")
    return found


def _read_numbers(config: dict[str, t.Any], schema: Json) -> None:
    """Read what comes from the environment: there the SDK reads whole numbers only."""
    for name, definition in schema.get("properties", {}).items():
        value = config.get(name)
        if isinstance(value, str) and "number" in definition.get("type", ()):
            with contextlib.suppress(ValueError):
                number = float(value)
                config[name] = number if math.isfinite(number) else value


def problems(config: Json, schema: Json) -> list[str]:
    """Return a sentence for each setting that is unknown, missing or invalid."""
    known = schema.get("properties", {})
    unknown = [_unknown("", name, known) for name in config if name not in known]
    errors = Draft202012Validator(schema).iter_errors(dict(config))
    return unknown + [_invalid(error) for error in errors]


def _unknown(within: str, name: str, known: Json) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    suggestion = f" Did you mean '{within}{close[0]}'?" if close else ""
    return f"There is no setting '{within}{name}'.{suggestion}"


def _invalid(error: ValidationError) -> str:
    path = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        given: t.Any = error.instance
        required: t.Any = error.validator_value
        missing = [name for name in required if name not in given]
        return f"Setting {', '.join(repr(name) for name in missing)} is missing."
    expected = error.validator_value
    if error.validator == "additionalProperties":
        instance: t.Any = error.instance
        schema: t.Any = error.schema
        known = schema.get("properties", {})
        found = [_unknown(f"{path}.", n, known) for n in instance if n not in known]
        return " ".join(found)
    if error.validator in {"type", "enum", "minimum", "maximum"}:
        return f"Setting '{path}' must be {_words(error.validator, expected)}."
    return f"Setting '{path}' is not valid ({error.validator})."


def _words(rule: str, expected: t.Any) -> str:
    choices = expected if isinstance(expected, list) else [expected]
    listed = " or ".join(str(choice) for choice in choices if choice != "null")
    return {
        "type": f"of type {listed}",
        "enum": f"one of: {listed}",
        "minimum": f"at least {listed}",
        "maximum": f"at most {listed}",
    }[rule]
