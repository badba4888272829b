"""The tap: its settings, discovery, and one run for each account."""

from __future__ import annotations

import functools
import time
import typing as t
from datetime import datetime, timezone

from dativo_core import settings, signals
from dativo_core.errors import (
    ConfigurationError,
    DativoError,
    NotPermittedError,
    RefusedError,
)
from dativo_core.exact_schema import read_catalog
from dativo_core.output import LineWriter
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import Catalog

from tap_stripe import client, versions
from tap_stripe.gather import Gatherer, question
from tap_stripe.output import SingerOutput, find
from tap_stripe.plan import Limits, whole
from tap_stripe.records import read_head
from tap_stripe.resources import BY_NAME, RESOURCES
from tap_stripe.run import AccountRun, Choice, Terms, complain
from tap_stripe.state import Bookmark
from tap_stripe.streams import StripeStream
from tap_stripe.sweep import pages
from tap_stripe.windows import Segment

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from tap_stripe.client import StripeClient

MOST_AT_ONCE = 32

SETTINGS = th.PropertiesList(
    th.Property(
        "api_key",
        th.StringType,
        secret=True,
        description="Secret or restricted key: `sk_live_…`, `rk_live_…`, `sk_test_…`.",
    ),
    th.Property(
        "client_secret",
        th.StringType,
        secret=True,
        description="Accepted in place of `api_key`, for the other variant's sake.",
    ),
    th.Property(
        "account_id",
        th.StringType,
        description="Connected account to read, `acct_…`; default is the key's own.",
    ),
    th.Property(
        "connected_accounts",
        th.BooleanType,
        default=False,
        description="Read all connected accounts instead of the key's own: each row "
        "tells its account, which is part of the key.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        description="Objects that were created before it are left out of lists; "
        "default is everything.",
    ),
    th.Property(
        "api_version",
        th.StringType,
        default=versions.NEWEST,
        description="Version of the API that every request names; it decides about "
        "columns. Take your account's own: then events need no second request.",
    ),
    th.Property(
        "typed_nested",
        th.BooleanType,
        default=False,
        description="Declare what is inside of objects and lists, as the version of "
        "the API documents it, so that a target can make typed columns of them. What "
        "is not as documented goes to `_extra`, whole.",
    ),
    th.Property(
        "lookback_days",
        th.NumberType(minimum=0),
        default=14,
        description="How far back a run lists again what has no events, such as "
        "balance transactions, to find what has changed.",
    ),
    th.Property(
        "rate_limit_share",
        th.NumberType(exclusive_minimum=0, maximum=1),
        default=0.95,
        description="Part of Stripe's limits that a run may use; other programs with "
        "the same account need the rest.",
    ),
    th.Property(
        "workers",
        th.IntegerType(minimum=1, maximum=MOST_AT_ONCE),
        default=16,
        description="Requests in flight for one list.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(minimum=1),
        default=30,
        description="Seconds without a byte after which a request is repeated.",
    ),
    th.Property(
        "error_handling",
        th.StringType,
        description="YAML file that changes how errors are taken.",
    ),
    th.Property(
        "state_folder",
        th.StringType,
        description="Folder in which runs share their limits and what they know of "
        "Stripe's health; without it each run is on its own.",
    ),
    th.Property(
        "api_url",
        th.StringType,
        default=client.API_URL,
        description="Where the API is; a simulator's address, for tests.",
    ),
)


class TapStripe(Tap):
    """Singer tap for Stripe: parallel back-fills, one sweep of events, exact resume."""

    name = client.PLUGIN
    package_name = "dativo-tap-stripe"
    message_writer_class = LineWriter
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = SETTINGS.to_dict()
    capabilities: t.ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.TEST,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *, catalog: t.Any = None, **arguments: t.Any) -> None:
        if isinstance(catalog, dict) and not isinstance(catalog, Catalog):
            catalog = read_catalog(catalog)
        super().__init__(catalog=catalog, **arguments)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        signals.terminate(signum, frame)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        found = settings.accept(
            self._config, schema, plugin=self.name, strict=raise_errors
        )
        for name, definition in schema["properties"].items():
            if self._config.get(name) is None and "default" in definition:
                self._config[name] = definition["default"]
        key = self._config.get("api_key") or self._config.get("client_secret")
        self._config["api_key"] = key
        if not versions.PATTERN.match(self._config["api_version"]):
            msg = f"Setting 'api_version' is '{self._config['api_version']}'."
            hint = f"Write it as Stripe does: {versions.NEWEST}."
            raise ConfigurationError(msg, hint=hint)
        if raise_errors and self._config.get("start_date"):
            _second(self._config["start_date"])
        return found

    @functools.cached_property
    def client(self) -> StripeClient:
        """How Stripe is asked in this run."""
        if not self.config.get("api_key"):
            msg = "Setting 'api_key' is missing."
            hint = "Create a restricted key in Stripe's dashboard, for reading only."
            raise ConfigurationError(msg, hint=hint)
        return client.connect(self.config, self.config["api_version"], MOST_AT_ONCE)

    @functools.cached_property
    def accounts(self) -> list[str]:
        """The accounts to read; an empty name is the key's own."""
        if not self.config["connected_accounts"]:
            return [self.config.get("account_id") or ""]
        gatherer = Gatherer(self.client, "", tells_account=False)
        listed = pages(gatherer, BY_NAME["accounts"], Segment(), {})
        return list(dict.fromkeys(read_head(item).id for item in listed))

    def discover_streams(self) -> Sequence[StripeStream]:
        """Return a stream for each list that this version of the API has."""
        line = versions.load(self.config["api_version"])
        tells = bool(self.config["connected_accounts"])
        return [
            StripeStream(self, resource, tells_account=tells)
            for resource in RESOURCES
            if resource.object in line.objects
        ]

    # The SDK reads stream after stream and calls that final; its version is pinned.
    def sync_all(self) -> None:  # type: ignore[misc]
        """Read all streams together: they share limits, readers and events.

        Raises:
            CredentialsError: after everything else is read, if the key may not read
                all that is selected.
        """
        self._reset_state_progress_markers()
        chosen = {
            name: stream
            for name, stream in self.streams.items()
            if isinstance(stream, StripeStream) and stream.selected
        }
        output = SingerOutput(
            chosen,
            t.cast("t.Any", self.state),
            self.state_writer.write_state,
            time.monotonic,
        )
        try:
            refused = self._sync(chosen, output)
        except DativoError:
            # What was read need not be read again.
            output.stop(next(iter(chosen), ""))
            raise
        finally:
            self.client.close()
        output.end(next(iter(refused), ""))
        complain(refused)

    def _sync(
        self, chosen: dict[str, StripeStream], output: SingerOutput
    ) -> dict[str, DativoError]:
        refused: dict[str, DativoError] = {}
        tells = bool(self.config["connected_accounts"])
        choices = {
            account: [
                Choice(
                    stream.resource,
                    stream.shape,
                    Bookmark.read(find(self.state, name, account if tells else "")),
                    stream.is_full,
                )
                for name, stream in chosen.items()
            ]
            for account in self.accounts
        }
        for account in self.accounts[:1]:
            self._look_at_the_clock(account, choices[account])
        terms = self._terms()
        for account in self.accounts:
            run = AccountRun(self.client, account, terms, output, self.logger)
            refused |= run.run(choices[account])
        return refused

    def _terms(self) -> Terms:
        now = self.client.now()
        tells = bool(self.config["connected_accounts"])
        readers = int(self.config["workers"])
        return Terms(
            Limits(
                int(now),
                self._start,
                float(self.config["lookback_days"]),
                # The version of a stream would have to be that of all its accounts.
                None if tells else int(now * 1000),
            ),
            self.config["api_version"],
            versions.load(self.config["api_version"]).events,
            readers,
            min(4 * readers, MOST_AT_ONCE),
            tells,
            self.client.now,
        )

    @property
    def _start(self) -> int | None:
        start = self.config.get("start_date")
        return _second(start) if start else None

    def _look_at_the_clock(self, account: str, choices: list[Choice]) -> None:
        """Ask something: its answer tells Stripe's time, and that the key works.

        A key that may not read it is no reason to end here: there are other streams.
        """
        event = ("/v1/events", {"limit": "1"})
        for ask in (
            lambda: self._foresee(account, choices),
            lambda: self.client.get(*event),
        ):
            try:
                if ask():
                    return
            except (NotPermittedError, RefusedError) as error:
                self.logger.warning("%s", error)

    def _foresee(self, account: str, choices: list[Choice]) -> bool:
        """Ask for the first page of a list that was never read, if there is one."""
        for choice in choices:
            resource = choice.resource
            if choice.bookmark == Bookmark() and not resource.parent:
                first = whole(resource, self._start)
                path, asked = question(resource, first.params())
                self.client.foresee(path, asked, endpoint=path, account=account)
                return True
        return False


def _second(date: str) -> int:
    try:
        moment = datetime.fromisoformat(date.upper().replace("Z", "+00:00"))
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return int(zoned.timestamp())
    except (ValueError, OverflowError) as error:
        msg = f"Setting 'start_date' is '{date}', which is no date: {error}."
        hint = "Write it like 2024-01-31 or 2024-01-31T12:00:00Z."
        raise ConfigurationError(msg, hint=hint) from error
