"""What a simulator is told when it starts."""

from __future__ import annotations

import dataclasses
import typing as t

from dativo_sandbox.stripe.shapes import NEWEST

if t.TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class StripeSettings:
    """What a simulator is told when it starts.

    Attributes:
        customers: Customers of the account; all else is in proportion.
        accounts: Connected accounts, each with a tenth of the customers.
        seed: What makes one population differ from another.
        now: The second that the virtual clock shows, by default that of the start.
        history_days: Over how many days before that the objects were created.
        api_version: The version of the API that the account has.
        latency_ms: How long every response waits.
        rate_limits: Whether too many requests are refused; they are always counted.
        endpoint_rate: Requests a second to one endpoint.
        live_rate: Requests a second with a live key.
        test_rate: Requests a second with a test key.
        concurrency: Requests at the same time.
        denied: Paths of lists that the restricted key may not read, such as charges.
        schedule: The rules of the faults.
        secret: What the keys end with.
    """

    customers: int = 1_000
    accounts: int = 2
    seed: int = 0
    now: int = 0
    history_days: int = 730
    api_version: str = NEWEST
    latency_ms: float = 0.0
    rate_limits: bool = True
    endpoint_rate: int = 25
    live_rate: int = 100
    test_rate: int = 25
    concurrency: int = 100
    denied: tuple[str, ...] = ()
    schedule: tuple[Mapping[str, t.Any], ...] = ()
    secret: str = ""
