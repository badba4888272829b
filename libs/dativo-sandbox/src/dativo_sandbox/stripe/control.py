"""What only the simulator has: counts, the clock, changes, and the whole truth."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from dativo_sandbox.stripe.messages import Response
from dativo_sandbox.stripe.mutations import RANDOM_TYPES, Mutations, script
from dativo_sandbox.stripe.resources import by_type
from dativo_sandbox.stripe.schedule import Schedule
from dativo_sandbox.stripe.shapes import view
from dativo_sandbox.stripe.templates import encode

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dativo_sandbox.stripe.messages import Request
    from dativo_sandbox.stripe.shapes import View
    from dativo_sandbox.stripe.simulator import Simulator
    from dativo_sandbox.stripe.world import Account

ROOT = "/__"


def control(simulator: Simulator, request: Request) -> Response:
    """Answer a request that no client of Stripe would send."""
    words = request.path.removeprefix(ROOT).split("/")
    act = _PATHS.get((request.method, words[0]))
    if act is None:
        return _refused(404, f"There is no {request.method} {request.path}.")
    try:
        return act(simulator, request)
    except (LookupError, ValueError) as error:
        return _refused(400, str(error))


def _stats(simulator: Simulator, _: Request) -> Response:
    limits = simulator.limits
    return _json(
        {
            "requests": sum(simulator.requests.values()),
            "endpoints": simulator.requests,
            "statuses": {str(s): n for s, n in simulator.statuses.items()},
            "max_concurrency": limits.most_running,
            "too_many_requests": simulator.statuses[429],
            "quota_violations": sum(limits.violations.values()),
            "violations": limits.violations,
            "faults": simulator.faults,
            "schedule": simulator.schedule.report(),
            "bytes_sent": simulator.bytes_sent,
            "cpu_seconds": time.process_time(),
        }
    )


def _forget(simulator: Simulator, _: Request) -> Response:
    simulator.forget()
    return _json({})


def _requests(simulator: Simulator, _: Request) -> Response:
    return _json(list(simulator.log))


def _keys(simulator: Simulator, _: Request) -> Response:
    world = simulator.world
    accounts = world.platform.population.stores["account"]
    return _json(
        {
            **dataclasses.asdict(simulator.keys),
            "account": world.platform.id,
            "accounts": [accounts.id_at(n) for n in range(accounts.size)],
        }
    )


def _clock(simulator: Simulator, request: Request) -> Response:
    asked = json.loads(request.body or b"{}")
    clock = simulator.world.clock
    clock.now = int(asked.get("now", clock.now)) + int(asked.get("advance", 0))
    return _json({"now": clock.now})


def _schedule(simulator: Simulator, request: Request) -> Response:
    simulator.schedule = Schedule(json.loads(request.body))
    return _json({})


def _mutate(simulator: Simulator, request: Request) -> Response:
    """Make the changes of a list, or draw some."""
    asked = json.loads(request.body)
    account = _account(simulator, asked.get("account"))
    clock = simulator.world.clock
    clock.now += int(asked.get("advance", 0))
    if "api_version" in asked:
        account.events.version = asked["api_version"]
    mutations = Mutations(account, clock, int(asked.get("event_delay", 0)))
    ops = [
        (op["op"], op["type"], op.get("id", ""), op.get("set", {}))
        for op in asked.get("ops", [])
    ]
    if "random" in asked:
        types = asked.get("types", RANDOM_TYPES)
        drawn = script(account, asked["random"], asked.get("seed", 0), types)
        ops += [(*op, {}) for op in drawn]
    made = [change for op in ops for change in mutations.apply(*op)]
    return _json({"now": clock.now, "changes": list(map(dataclasses.asdict, made))})


def _objects(simulator: Simulator, request: Request) -> Response:
    """Return all objects of a type as JSON lines, or only their ids.

    Parameters: `version`, `account`, `test` for the view of a test key, `ids`.
    """
    asked = dict(request.query)
    account = _account(simulator, asked.get("account"))
    version = asked.get("version", account.events.version)
    seen = view(version, livemode="test" not in asked)
    type_ = request.path.removeprefix(f"{ROOT}objects/")
    things = _all(account, type_, None if "ids" in asked else seen)
    body = b"".join(thing + b"\n" for thing in things)
    return Response(body=body, content_type="application/x-ndjson")


def _all(account: Account, type_: str, seen: View | None) -> Iterator[bytes]:
    if type_ in by_type() or type_ == "event":
        listing = account.listing(type_)
        for position in range(listing.size):
            if listing.exists(position):
                name = encode(listing.id_at(position))
                yield listing.render(position, seen) if seen else name
        return
    families = [f for f in account.population.families.values() if f.row.type == type_]
    if not families:
        message = f"There is no type {type_!r}."
        raise LookupError(message)
    for family in families:
        parents = account.population.stores[family.row.parent]
        for parent in filter(parents.exists, range(parents.size)):
            branch = family.below(parent)
            for child in filter(branch.exists, range(branch.size)):
                name = encode(branch.id_at(child))
                yield branch.render(child, seen) if seen else name


def _account(simulator: Simulator, name: str | None) -> Account:
    world = simulator.world
    account = world.account(name) if name else world.platform
    if account is None:
        message = f"There is no account {name!r}."
        raise LookupError(message)
    return account


def _json(thing: object) -> Response:
    return Response(body=encode(thing))


def _refused(status: int, message: str) -> Response:
    return Response(status, encode({"error": message}))


_PATHS: Mapping[tuple[str, str], Callable[[Simulator, Request], Response]] = {
    ("GET", "stats"): _stats,
    ("DELETE", "stats"): _forget,
    ("GET", "requests"): _requests,
    ("GET", "keys"): _keys,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _clock,
    ("POST", "schedule"): _schedule,
    ("POST", "mutate"): _mutate,
    ("GET", "objects"): _objects,
}
