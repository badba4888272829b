"""One run: lists that are not read yet, then one sweep of events for all streams."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from dativo_core.errors import CredentialsError, DativoError, NotPermittedError

from tap_stripe import backfill, resources
from tap_stripe.backfill import Lane
from tap_stripe.crew import Crew
from tap_stripe.gather import Gatherer, Wanted
from tap_stripe.plan import OVERLAP_SECONDS, SETTLE_SECONDS, Why, plan
from tap_stripe.state import Bookmark
from tap_stripe.sweep import Feed, sweep

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tap_stripe.gather import Api, Rows
    from tap_stripe.plan import Limits
    from tap_stripe.records import Shape
    from tap_stripe.resources import Resource


class Output(t.Protocol):
    """Where messages go."""

    def begin(self, stream: str, version: int | None) -> None:
        """Announce a stream, and the version of its full load."""

    def write(self, stream: str, records: list[bytes]) -> None:
        """Write records."""

    def remember(self, account: str, bookmarks: Mapping[str, Bookmark]) -> None:
        """Note where streams stand, and write a STATE when it is time."""

    def finish(self, stream: str) -> None:
        """Say that all records of a full load were written."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user wants of one stream."""

    resource: Resource
    shape: Shape
    bookmark: Bookmark
    is_full: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a whole run.

    Args:
        limits: What bounds it.
        api_version: The version of the API that is asked for.
        event_types: All types of events that this version has.
        readers: Requests in flight for one list.
        at_once: Requests in flight for all.
        tells_account: Whether rows tell whose they are.
        clock: Seconds since 1970.
    """

    limits: Limits
    api_version: str
    event_types: tuple[str, ...]
    readers: int
    at_once: int
    tells_account: bool
    clock: Callable[[], float]

    def settled(self) -> int:
        """Return the second before which all that happened can be seen by now."""
        return int(self.clock()) - SETTLE_SECONDS


class AccountRun:
    """What one run does for one account."""

    def __init__(
        self,
        api: Api,
        account: str,
        terms: Terms,
        output: Output,
        logger: logging.Logger,
    ) -> None:
        self._account = account
        self._terms = terms
        self._output = output
        self._logger = logger
        tells = terms.tells_account
        self._gatherer = Gatherer(api, account, tells_account=tells)

    def run(self, choices: Iterable[Choice]) -> dict[str, DativoError]:
        """Read everything; return the streams that the key may not read, and why."""
        lanes = [self._lane(group) for group in groups(choices)]
        for lane in lanes:
            for stream in lane.wanted.shapes:
                self._output.begin(stream, lane.bookmark.version)
        try:
            self._read_lists(lanes)
        except DativoError:
            # The run ends here, and what was read need not be read again. After any
            # other error or a signal, part of a page may not be written.
            self._keep_all(lanes)
            raise
        self._keep_all(lanes)
        good = [lane for lane in lanes if lane.error is None]
        refused = _refused(lanes)
        until = self._terms.settled()
        try:
            until = self._follow(good, until)
        except NotPermittedError as error:
            refused["events"] = error
            until = 0
        for lane in good:
            self._end(lane, until)
        return refused | _refused(good)

    def _lane(self, group: list[Choice]) -> Lane:
        root = _root(group[0].resource)
        is_full = any(choice.is_full for choice in group)
        limits = self._terms.limits
        why, bookmark = plan(root, group[0].bookmark, limits, full=is_full)
        names = ", ".join(choice.resource.name for choice in group)
        level = "warning" if why in {Why.HEAL, Why.AHEAD} else "info"
        getattr(self._logger, level)("Reading %s %s.", names, why.value)
        wanted = Wanted(
            root,
            {choice.resource.name: choice.shape for choice in group},
            tuple(_nested(root, group)),
        )
        lane = Lane(wanted, bookmark, idle=list(bookmark.open or ()))
        lane.heard = (bookmark.since or 0) - OVERLAP_SECONDS
        if bookmark.open is not None:
            lane.heard = bookmark.begun or 0
        return lane

    def _read_lists(self, lanes: list[Lane]) -> None:
        listed = [lane for lane in lanes if lane.bookmark.open is not None]
        terms, gatherer = self._terms, self._gatherer
        crew: Crew[backfill.Task, backfill.Found] = Crew(
            lambda task: backfill.page(gatherer, *task), terms.at_once
        )
        for lane, rows in backfill.read(
            listed, crew, readers=terms.readers, at_once=terms.at_once
        ):
            self._write(rows)
            self._keep(lane)

    def _follow(self, lanes: list[Lane], until: int) -> int:
        """Read the events once, for all streams; return until when they were read."""
        hearing = [lane for lane in lanes if _hears(lane)]
        since = min((lane.heard for lane in hearing), default=until)
        # Of lists that were read just now, the next run's events tell as well.
        if until - since < SETTLE_SECONDS:
            return 0
        terms = self._terms
        what = Feed(since, until, terms.api_version, terms.event_types)
        changes = sweep(hearing, what, self._gatherer, readers=terms.readers)
        for _, rows in changes:
            self._write(rows)
        return until

    def _end(self, lane: Lane, until: int) -> None:
        """Say that all was read until then: from there the next run goes on."""
        listed = lane.bookmark.begun or 0
        followed = until if _hears(lane) else 0
        since = max(listed, followed, lane.bookmark.since or 0)
        done = dict.fromkeys(_readable(lane), Bookmark(since=since))
        for stream in done:
            self._output.finish(stream)
        self._output.remember(self._account, done)

    def _write(self, rows: Rows) -> None:
        for stream, records in rows.items():
            self._output.write(stream, records)

    def _keep_all(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            self._keep(lane)

    def _keep(self, lane: Lane) -> None:
        """Note what is left of a list."""
        if lane.bookmark.open is None or lane.error is not None:
            return
        lane.bookmark = dataclasses.replace(lane.bookmark, open=lane.left)
        bookmarks = dict.fromkeys(_readable(lane), lane.bookmark)
        self._output.remember(self._account, bookmarks)


def groups(choices: Iterable[Choice]) -> Iterator[list[Choice]]:
    """Put together what one list can feed: the same objects, from the same bookmark."""
    found: dict[t.Any, list[Choice]] = {}
    for choice in choices:
        root = _root(choice.resource).name
        found.setdefault((root, choice.bookmark, choice.is_full), []).append(choice)
    yield from found.values()


def _root(resource: Resource) -> Resource:
    return resources.BY_NAME[resource.parent] if resource.parent else resource


def _nested(root: Resource, group: list[Choice]) -> Iterator[Resource]:
    """Yield the lists below an object: those it carries, and those that are wanted."""
    names = {choice.resource.name for choice in group}
    for child in resources.children(root.name):
        if child.name in names or (child.field and root.name in names):
            yield child


def _hears(lane: Lane) -> bool:
    everyone = (lane.wanted.resource, *lane.wanted.nested)
    is_followed = lane.wanted.resource.is_feed and lane.bookmark.open is None
    return is_followed or any(one.events for one in everyone)


def _readable(lane: Lane) -> list[str]:
    return [name for name in lane.wanted.shapes if name not in lane.wanted.refused]


def _refused(lanes: list[Lane]) -> dict[str, DativoError]:
    found: dict[str, DativoError] = {}
    for lane in lanes:
        if lane.error is not None:
            found |= dict.fromkeys(lane.wanted.shapes, lane.error)
        found |= lane.wanted.refused
    return found


def complain(refused: Mapping[str, DativoError]) -> None:
    """Raise if the key could not read everything that is selected.

    Raises:
        CredentialsError: naming each stream.
    """
    if refused:
        names = ", ".join(sorted(refused))
        first = next(iter(refused.values()))
        msg = (
            f"These streams cannot be read: {names}. All else is complete. {first.what}"
        )
        hint = "Give the key read permission for them, or deselect them."
        if not any(isinstance(one, NotPermittedError) for one in refused.values()):
            hint = "Deselect what the account does not use; check 'api_version'."
        raise CredentialsError(msg, hint=hint)
