"""The simulator without the wire: a request in, a response out."""

from __future__ import annotations

import collections
import email.utils
import itertools
import typing as t

import msgspec

from dativo_sandbox.stripe.api import answer
from dativo_sandbox.stripe.control import ROOT, control
from dativo_sandbox.stripe.faults import ACTIONS, Ask
from dativo_sandbox.stripe.keys import Keys, caller
from dativo_sandbox.stripe.limits import Limits
from dativo_sandbox.stripe.messages import ApiError, Request, Response
from dativo_sandbox.stripe.mutations import Mutations
from dativo_sandbox.stripe.resources import by_type
from dativo_sandbox.stripe.routes import route
from dativo_sandbox.stripe.schedule import Schedule
from dativo_sandbox.stripe.world import World

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from dativo_sandbox.stripe.keys import Caller
    from dativo_sandbox.stripe.routes import Route
    from dativo_sandbox.stripe.settings import StripeSettings

_REMEMBERED = 100_000


class Simulator:
    """Stripe's API over one world.

    Args:
        settings: What it is told.
        monotonic: The clock of the rate limits, in seconds.
    """

    def __init__(
        self, settings: StripeSettings, monotonic: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.keys = Keys.of(settings.secret)
        self.world = World(settings)
        self._monotonic = monotonic
        self._numbers = itertools.count(1)
        self.forget()
        self.schedule = Schedule(settings.schedule)

    def forget(self) -> None:
        """Count everything from zero again, and begin the limits anew."""
        self.limits = Limits(self.settings, self._monotonic)
        self.requests: collections.Counter[str] = collections.Counter()
        self.statuses: collections.Counter[int] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()
        self.bytes_sent = 0
        self.log: collections.deque[str] = collections.deque(maxlen=_REMEMBERED)

    def respond(self, request: Request) -> tuple[Response, Callable[[], None]]:
        """Answer a request; the second result is to be called when that is out."""
        if request.path.startswith(ROOT):
            return control(self, request), _nothing
        target = route(request.path)
        endpoint = f"{request.method} {target.endpoint if target else 'unknown'}"
        self._note(request, endpoint)
        leave = _nothing
        try:
            who = caller(request, self.keys, self.world)
            self.limits.enter(endpoint, livemode=who.view.livemode)
            leave = self.limits.leave
            response = self._answer(request, target, who)
        except ApiError as error:
            response = error.response()
        return self._finished(request, response), leave

    def _note(self, request: Request, endpoint: str) -> None:
        self.requests[endpoint] += 1
        query = "&".join(f"{name}={value}" for name, value in request.query)
        self.log.append(f"{request.method} {request.path}?{query}".rstrip("?"))

    def _answer(self, request: Request, target: Route | None, who: Caller) -> Response:
        def honest(asked: Request) -> Response:
            where = route(asked.path)
            _permit(where, who, self.settings)
            try:
                found = answer(asked, where, who)
            except ApiError as error:
                found = error.response()
            return found.replace(body=laid_out(found.body))

        rule = self.schedule.next(request)
        if rule is None:
            _permit(target, who, self.settings)
            return answer(request, target, who)
        self.faults[rule.action] += 1
        ask = Ask(request, who, honest, self._toucher(who))
        return ACTIONS[rule.action](ask, rule.options)

    def _toucher(self, who: Caller) -> Callable[[str, str, str], None]:
        def touch(op: str, path: str, name: str) -> None:
            where = route(path)
            mutations = Mutations(who.account, self.world.clock)
            if where is not None and where.below is not None:
                mutations.apply("remove", where.below.type, name, {})
            elif where and where.row.type in who.account.population.stores:
                mutations.apply(op, where.row.type, name, {})

        return touch

    def _finished(self, request: Request, response: Response) -> Response:
        number = next(self._numbers)
        response = response.replace(body=laid_out(response.body))
        self.statuses[response.status] += 1
        self.bytes_sent += len(response.body)
        version = request.headers.get("stripe-version")
        headers = {
            "Date": email.utils.formatdate(self.world.clock(), usegmt=True),
            "Request-Id": f"req_{number:014d}",
            "Stripe-Version": version or self.world.platform.events.version,
            **response.headers,
        }
        return response.replace(headers=headers)


def laid_out(body: bytes) -> bytes:
    """Return JSON as Stripe sends it, for people to read; all else as it is."""
    try:
        return msgspec.json.format(body, indent=2)
    except msgspec.DecodeError:
        return body


def _permit(target: Route | None, who: Caller, settings: StripeSettings) -> None:
    """Refuse what a restricted key may not read.

    Raises:
        ApiError: It may not.
    """
    if target is None or not who.restricted:
        return
    row = by_type()[target.sublist[0]] if target.sublist else target.row
    if row.path in settings.denied:
        noun = row.type.replace(".", "_")
        message = (
            "The provided key 'rk_live_********' does not have the required "
            f"permissions for this endpoint on account '{who.account.id}'. Having the "
            f"'rak_{noun}_read' permission would allow this request to continue."
        )
        raise ApiError(403, message)


def _nothing() -> None:
    pass
