"""What a run has to do for one stream: read its list, part of it, or only events."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass, replace

from tap_stripe.windows import Segment

if t.TYPE_CHECKING:
    from tap_stripe.resources import Resource
    from tap_stripe.state import Bookmark

# The Events API goes back 30 days (https://docs.stripe.com/api/events); the sweep
# itself takes its time.
EVENT_DAYS = 29.5
DAY = 86_400
# Events and new objects may become visible late.
SETTLE_SECONDS = 60
OVERLAP_SECONDS = 300


class Why(enum.Enum):
    """Why a list is read, or that it is not."""

    FIRST = "for the first time"
    RESUME = "from where the last run was stopped"
    FULL = "whole, as in every run"
    AGAIN = "for what may have changed since, as it has no events"
    HEAL = "whole, since its bookmark is older than the events that Stripe keeps"
    AHEAD = "whole, since its bookmark is ahead of Stripe's clock: some clock was wrong"
    FOLLOW = "by events only"


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a run.

    Args:
        now: Second of the run.
        start: Objects that were created before do not count; None for all.
        lookback_days: How far back lists without events are read again.
        version: Of a full load, if one begins; None where rows may not be replaced.
    """

    now: int
    start: int | None = None
    lookback_days: float = 14
    version: int | None = None

    @property
    def settled(self) -> int:
        """Second before which all that happened can be seen."""
        return self.now - SETTLE_SECONDS


def plan(
    resource: Resource, bookmark: Bookmark, limits: Limits, *, full: bool
) -> tuple[Why, Bookmark]:
    """Decide how a stream goes on.

    Args:
        resource: Whose list is read.
        bookmark: Where the last run ended.
        limits: What bounds this run.
        full: Whether every run reads the whole list.
    """
    lost = _lost(resource, bookmark, limits)
    if bookmark.open is not None and lost is None:
        return Why.RESUME, bookmark
    fresh = replace(
        bookmark,
        open=(whole(resource, limits.start),),
        begun=limits.settled,
        version=None,
    )
    if full:
        return Why.FULL, replace(fresh, version=limits.version)
    if bookmark.since is None and bookmark.open is None:
        return Why.FIRST, fresh
    if lost is not None:
        # Events that Stripe has no more are gone, but not from the table.
        version = None if resource.is_feed else limits.version
        return lost, replace(fresh, since=None, version=version)
    if resource.events or resource.is_feed:
        return Why.FOLLOW, bookmark
    again = int((bookmark.since or 0) - limits.lookback_days * DAY)
    return Why.AGAIN, replace(fresh, open=(Segment(max(again, limits.start or 0)),))


def whole(resource: Resource, start: int | None) -> Segment:
    """Return a list as far as it is wanted: its objects may be older than `start`."""
    return Segment(start if resource.created else None)


def is_full(resource: Resource) -> bool:
    """Tell whether nothing but the whole list shows what has changed."""
    return not resource.created and not resource.events


def _lost(resource: Resource, bookmark: Bookmark, limits: Limits) -> Why | None:
    """Tell why events cannot show what has changed since a bookmark, if so."""
    moment = bookmark.begun if bookmark.open is not None else bookmark.since
    if not (resource.events or resource.is_feed) or moment is None:
        return None
    if moment > limits.now:
        return Why.AHEAD
    return Why.HEAL if moment < limits.now - EVENT_DAYS * DAY else None
