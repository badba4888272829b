"""Everything that the simulator knows: accounts, what happened in them, and a clock."""

from __future__ import annotations

import typing as t

from dativo_sandbox.stripe.events import EventLog
from dativo_sandbox.stripe.ids import Ids, Timeline
from dativo_sandbox.stripe.population import Plan, Population
from dativo_sandbox.stripe.tables import EVENT

if t.TYPE_CHECKING:
    from dativo_sandbox.stripe.settings import StripeSettings
    from dativo_sandbox.stripe.store import Store

_DAY = 86_400
# The newest generated objects are this old, so that all their parts are past.
_QUIET_SECONDS = 3_600
_FEWER = 10


class Clock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the second that it is."""
        return self.now


class Account:
    """One account: its objects and its events."""

    def __init__(self, plan: Plan, clock: Clock, version: str) -> None:
        self.id = plan.account
        self.population = Population(plan)
        self.events = EventLog(self.population, clock, version)

    def listing(self, type_: str) -> Store | EventLog:
        """Return the objects of one type."""
        if type_ == EVENT.type:
            return self.events
        return self.population.stores[type_]


class World:
    """The platform's account and those that are connected to it."""

    def __init__(self, settings: StripeSettings) -> None:
        self.clock = Clock(settings.now)
        self._settings = settings
        names = Ids("acct_", settings.seed)
        self.platform = self._account(
            names.at(0), settings.customers, settings.accounts
        )
        accounts = self.platform.population.stores["account"]
        self._connected = {accounts.id_at(n) for n in range(settings.accounts)}
        self._accounts = {self.platform.id: self.platform}

    def account(self, name: str) -> Account | None:
        """Return an account, made when it is first asked for."""
        if name not in self._accounts and name in self._connected:
            customers = self._settings.customers // _FEWER
            self._accounts[name] = self._account(name, customers, 0)
        return self._accounts.get(name)

    def _account(self, name: str, customers: int, connected: int) -> Account:
        settings = self._settings
        start = settings.now - settings.history_days * _DAY
        timeline = Timeline(start, settings.now - _QUIET_SECONDS)
        plan = Plan(name, settings.seed, customers, connected, timeline)
        return Account(plan, self.clock, settings.api_version)
