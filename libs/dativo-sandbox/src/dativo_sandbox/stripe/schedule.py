"""When faults happen: rules that count the requests they match."""

from __future__ import annotations

import dataclasses
import fnmatch
import random
import typing as t

from dativo_sandbox.stripe.faults import ACTIONS, OPTIONS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dativo_sandbox.stripe.messages import Request


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One fault and the requests that meet it.

    Without `nth`, `every` and `probability`, every match from the `first` on meets it.

    Attributes:
        action: What happens.
        path: The paths it is for, with `*` for any text.
        query: Parameters that must be there, with patterns for their values.
        nth: Which of the matching requests meet it, counted from one.
        every: Each how manieth does.
        first: From which on.
        times: How often it happens at most; 0 for no end.
        probability: How likely it is, by a seeded die.
        seed: What seeds the die.
        options: What the action takes, such as retry_after.
    """

    action: str
    path: str = "/v1/*"
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    nth: tuple[int, ...] = ()
    every: int = 0
    first: int = 1
    times: int = 0
    probability: float = 0.0
    seed: int = 0
    options: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, thing: Mapping[str, t.Any]) -> Rule:
        """Read a rule; keys that are not the rule's own are the action's options.

        Raises:
            ValueError: There is no such action, or nothing that takes such a key.
        """
        ours = {field.name for field in dataclasses.fields(cls)} - {"options"}
        known = {name: value for name, value in thing.items() if name in ours}
        options = {name: thing[name] for name in thing if name not in ours}
        if known.get("action") not in ACTIONS:
            actions = ", ".join(sorted(ACTIONS))
            message = (
                f"There is no action {known.get('action')!r}. Take one of: {actions}."
            )
            raise ValueError(message)
        if not options.keys() <= OPTIONS:
            unknown = ", ".join(sorted(options.keys() - OPTIONS))
            raise ValueError(f"A rule has no key {unknown}.")
        nth = known.get("nth", ())
        known["nth"] = (nth,) if isinstance(nth, int) else tuple(nth)
        return cls(**known, options=options)

    def matches(self, request: Request) -> bool:
        """Tell whether a request is counted."""
        if not fnmatch.fnmatchcase(request.path, self.path):
            return False
        given = dict(request.query)
        return all(
            name in given and fnmatch.fnmatchcase(given[name], pattern)
            for name, pattern in self.query.items()
        )


class Counted:
    """A rule, with how many requests matched and how many met it."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.matched = 0
        self.met = 0
        self._die = random.Random(rule.seed)  # noqa: S311 no secret

    def meets(self) -> bool:
        """Count one more matching request and tell whether it meets the fault."""
        self.matched += 1
        rule = self.rule
        if self.matched < rule.first or (rule.times and self.met >= rule.times):
            return False
        if rule.probability:
            return self._die.random() < rule.probability
        if rule.nth:
            return self.matched in rule.nth
        return not rule.every or self.matched % rule.every == 0


class Schedule:
    """The rules in force."""

    def __init__(self, rules: Iterable[Mapping[str, t.Any]]) -> None:
        self._rules = [Counted(Rule.of(rule)) for rule in rules]

    def next(self, request: Request) -> Rule | None:
        """Return the rule whose fault a request meets; all that match count it."""
        meeting = [
            counted
            for counted in self._rules
            if counted.rule.matches(request) and counted.meets()
        ]
        if not meeting:
            return None
        meeting[0].met += 1
        return meeting[0].rule

    def report(self) -> list[dict[str, t.Any]]:
        """Say how often each rule matched and was met."""
        return [
            {"action": c.rule.action, "matched": c.matched, "met": c.met}
            for c in self._rules
        ]
