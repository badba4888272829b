"""How fast a list is read, and for how many requests: on a clock of its own."""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
import random

import pytest
from dativo_core.limiter import Bucket
from tap_stripe import backfill, client, windows
from tap_stripe.backfill import Found, Lane
from tap_stripe.gather import Wanted
from tap_stripe.resources import BY_NAME
from tap_stripe.state import Bookmark
from tap_stripe.windows import PAGE_SIZE, Segment

NOW = 1_790_000_000
YEARS = 2 * 365 * 86_400
ENDPOINT = "GET /v1/customers"
CEILING = client.ENDPOINT_RATE * PAGE_SIZE


class VirtualStripe:
    """A list that answers after some time, at the rate that the tap's limiter keeps."""

    def __init__(self, moments, latency):
        self.seconds, self.requests, self.empty = 0.0, 0, 0
        self._moments = sorted(moments)
        self._latency = latency
        self._rates = client.rates("sk_live_1", 0.95)
        self._bucket = Bucket(self._rates.ceiling(ENDPOINT))
        self._running = []
        self._numbers = itertools.count()
        self._die = random.Random(1)  # noqa: S311 no secret

    def ask(self, task):
        """Begin when the limiter lets it."""
        counted = self._rates.counted(ENDPOINT)
        starts = max(self.seconds, self._bucket.opens_at(counted))
        self._bucket = self._bucket.taken(starts, counted)
        ends = starts + self._latency * (1 + self._die.random() / 10)
        heapq.heappush(self._running, (ends, next(self._numbers), task))

    def answer(self):
        """Return what is ready first."""
        self.seconds, _, (lane, segment) = heapq.heappop(self._running)
        self.requests += 1
        return (lane, segment), self._page(segment)

    def dismiss(self):
        """All was asked."""

    def _page(self, segment):
        moments = self._moments
        low, high = 0, len(moments)
        if segment.since is not None:
            low = bisect.bisect_left(moments, segment.since)
        if segment.until is not None:
            high = bisect.bisect_left(moments, segment.until)
        if segment.after:
            high = int(segment.after)
        first = max(low, high - PAGE_SIZE)
        found = moments[first:high][::-1]
        more = first > low
        rest = windows.advance(segment, str(first), found, has_more=more)
        return Found({"customers": found}, rest)


def evenly(count):
    """Return as many moments of the last two years."""
    return [NOW - int((n + 0.5) * YEARS / count) for n in range(count)]


def growing(count):
    """Return moments that become more and more, up to fifty times as many."""
    die = random.Random(count)  # noqa: S311 no secret
    ages = (-math.log(1 - die.random() * 0.98) / 4 for _ in range(count))
    return [NOW - int(age * YEARS) for age in ages]


def in_bursts(count):
    """Return moments of imports and renewals, with nothing between them."""
    die = random.Random(count)  # noqa: S311 no secret
    found = []
    while len(found) < count:
        begin = NOW - die.randrange(YEARS)
        size = min(die.choice([1, 5, 50, 400, 1_500]), count - len(found))
        found += [begin + die.randrange(3_600) for _ in range(size)]
    return found


def read(moments, latency, readers=16):
    """Read a list whole; return who answered."""
    lane = Lane(Wanted(BY_NAME["customers"], {}, ()), Bookmark(), [Segment()])
    stripe = VirtualStripe(moments, latency)
    pages = backfill.read([lane], stripe, readers=readers, at_once=32)
    found = [moment for _, rows in pages for moment in rows["customers"]]
    assert sorted(found) == sorted(moments)
    return stripe


@pytest.mark.parametrize("latency", [0.1, 0.25])
@pytest.mark.parametrize("spread", [evenly, growing])
@pytest.mark.parametrize("count", [20_000, 20_333])
def test_a_long_list_is_read_at_the_rate_that_is_allowed(spread, count, latency):
    """However long a request takes, and with few requests more than there must be."""
    stripe = read(spread(count), latency)
    assert count / stripe.seconds > 0.78 * CEILING
    assert stripe.requests < 1.12 * count / PAGE_SIZE


def test_bursts_cost_some_requests():
    """Where nothing is a reader has nothing to read: still not a quarter more."""
    stripe = read(in_bursts(20_000), 0.1)
    assert stripe.requests < 1.25 * 200


@pytest.mark.parametrize("count", [1, 100, 101, 250, 1_000])
def test_a_short_list_takes_few_requests(count):
    """Readers come one by one, as the list proves long."""
    stripe = read(evenly(count), 0.1)
    assert stripe.requests <= -(-count // PAGE_SIZE) + 3


def test_more_readers_cost_few_requests_more():
    """The limiter lets only some of them go."""
    few, many = (read(evenly(20_000), 0.1, readers) for readers in (4, 16))
    assert many.requests < 1.05 * few.requests
