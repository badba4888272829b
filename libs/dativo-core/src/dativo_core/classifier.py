"""Decide what to do about a fault, by the first rule that fits it."""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t
from datetime import timezone
from email.utils import parsedate_to_datetime
from pathlib import Path

from dativo_core.faults import Action, Category, Decision
from dativo_core.retry import RetryPolicy
from dativo_core.rules import Rule, changed, expect, merged, positive, wrong

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dativo_core.faults import Fault

SHIPPED = Path(__file__).with_name("error_handling.yaml")
MAX_MESSAGE = 200
# Bounded: without that a long word takes minutes.
_MAIL = re.compile(r"[^\s@<>'\"]{1,64}@[^\s@<>'\"]{1,255}")
_LAST = Rule("unknown", {}, Category.PERMANENT, Action.FAIL)
_KEYS = {"version", "retry", "categories", "rules", "plugins"}


class Classifier:
    """A table of rules, asked from its first to its last."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def classify(self, fault: Fault, now: float) -> Decision:
        """Return what to do; `now` is in seconds since 1970.

        A fault that no rule knows is permanent: what nobody has thought of must not be
        repeated blindly.
        """
        rule = next((rule for rule in self._rules if rule.fits(fault)), _LAST)
        told = retry_after(fault.headers, now)
        known = [one for one in (told, rule.retry_after_seconds) if one is not None]
        wait = max(known, default=None)
        return Decision(
            category=rule.category,
            action=rule.action,
            rule=rule.name,
            reason=describe(fault),
            hint=rule.hint,
            retry_after=wait,
            not_before=None if wait is None else now + wait,
            max_attempts=rule.max_attempts,
        )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, a number or a date."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = http_date(text) - now
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def http_date(text: str) -> float:
    """Return the seconds since 1970 of a header's date; not a number if it is none."""
    try:
        date = parsedate_to_datetime(text)
        # What names no zone is in UTC: https://www.rfc-editor.org/rfc/rfc9110#name-date
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return math.nan


def describe(fault: Fault) -> str:
    """Say what happened in one sentence, without e-mail addresses and long texts."""
    where = fault.endpoint or fault.source
    if fault.status is not None:
        said = f"{where} answered {fault.status}"
    else:
        said = f"{where} failed with {next(iter(fault.exceptions), 'an error')}"
    names = (fault.code, fault.error_type, fault.sqlstate, fault.errno)
    known = ", ".join(str(name) for name in names if name)
    message = _MAIL.sub("***", " ".join(fault.message.split())).rstrip(".")
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}..."
    request = f" Request {fault.request_id}." if fault.request_id else ""
    return f"{said}{known and f' ({known})'}{message and f': {message}'}.{request}"


def load_rules(overrides: Path | None, plugin: str) -> tuple[Rule, ...]:
    """Return the shipped rules as a plugin sees them, changed by a file of the user.

    Raises:
        ConfigurationError: naming the file and the rule that is wrong.
    """
    rules: tuple[Rule, ...] = ()
    for section, place in _sections(SHIPPED, plugin):
        rules = (*merged((), section.get("rules"), place), *rules)
    given = list(_sections(overrides, plugin)) if overrides else []
    for section, place in given:
        rules = _recategorised(rules, section.get("categories"), place)
    for section, place in given:
        rules = merged(rules, section.get("rules"), place)
    return rules


def load_policy(overrides: Path | None, plugin: str) -> RetryPolicy:
    """Return how patient a plugin is: as shipped, changed by a file of the user.

    Raises:
        ConfigurationError: naming the file and the number that is wrong.
    """
    names = {field.name for field in dataclasses.fields(RetryPolicy)}
    numbers: dict[str, t.Any] = {}
    for path in (SHIPPED, overrides) if overrides else (SHIPPED,):
        for section, place in _sections(path, plugin):
            given = expect(section.get("retry") or {}, dict, f"{place}: retry")
            for name, value in given.items():
                where = f"{place}: retry.{name}"
                if name not in names:
                    raise wrong(where, "is unknown")
                whole = name == "max_attempts"
                numbers[name] = positive(
                    expect(value, int, where) if whole else value, where
                )
    return RetryPolicy(**numbers)


def _sections(path: Path, plugin: str) -> Iterator[tuple[dict[str, t.Any], str]]:
    content = _read(path)
    plugins = expect(content.get("plugins") or {}, dict, f"{path}: plugins")
    for section, place in (
        (content, str(path)),
        (plugins.get(plugin) or {}, f"{path}: plugins.{plugin}"),
    ):
        for key in expect(section, dict, place):
            if key not in _KEYS:
                raise wrong(place, f"has an unknown section '{key}'")
        yield section, place


def _read(path: Path) -> dict[str, t.Any]:
    import yaml  # noqa: PLC0415 not for --about

    try:
        # The loader in C is faster, where PyYAML was built with it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506
    except OSError as error:
        raise wrong(str(path), f"cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise wrong(str(path), f"is not YAML: {said}") from error
    return t.cast("dict[str, t.Any]", expect(content or {}, dict, str(path)))


def _recategorised(
    rules: tuple[Rule, ...], given: t.Any, place: str
) -> tuple[Rule, ...]:
    where = f"{place}: categories"
    for name, content in expect(given or {}, dict, where).items():
        if name not in {category.value for category in Category}:
            raise wrong(where, f"has an unknown category '{name}'")
        place_of_one = f"{where}.{name}"
        expect(content, dict, place_of_one)
        if found := {"name", "when", "category"} & content.keys():
            raise wrong(place_of_one, f"cannot set {', '.join(sorted(found))}")
        rules = tuple(
            changed(rule, content, place_of_one) if rule.category == name else rule
            for rule in rules
        )
    return rules
