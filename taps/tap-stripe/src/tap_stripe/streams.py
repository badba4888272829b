"""One list of Stripe as a Singer stream."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing as t

from dativo_core import verbatim
from dativo_core.exact_schema import ExactSchema
from dativo_core.output import LineWriter
from dativo_core.record_lines import Envelope
from singer_sdk import Stream
from singer_sdk.helpers._util import utc_now
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_stripe import left_out, nested, resources, versions
from tap_stripe.gather import Gatherer, Wanted, no_rows
from tap_stripe.plan import is_full
from tap_stripe.records import Shape
from tap_stripe.sweep import pages
from tap_stripe.windows import Segment

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import CatalogEntry

    from tap_stripe.resources import Resource
    from tap_stripe.tap import TapStripe


class StripeStream(Stream):
    """The objects of one resource."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(
        self, tap: TapStripe, resource: Resource, *, tells_account: bool
    ) -> None:
        line = versions.load(tap.config["api_version"])
        key = versions.keys(resource, accounts=tells_account)
        self._stripe = tap
        self._columns = versions.columns(resource, line, accounts=tells_account)
        is_typed = tap.config["typed_nested"]
        self._trees = nested.load(resource, line.version) if is_typed else {}
        self._meters = contextlib.ExitStack()
        self._written = 0
        self.resource = resource
        self.selected_by_default = not (resource.is_costly or resource.is_special)
        schema = versions.schema(self._columns, key)
        for name, tree in self._trees.items():
            schema["properties"][name] = nested.schema(tree)
        super().__init__(tap, schema, resource.name)
        self.primary_keys = key
        root = resources.BY_NAME.get(resource.parent, resource)
        self.forced_replication_method = (
            "FULL_TABLE" if is_full(root) else "INCREMENTAL"
        )

    # What the catalog says

    @property
    def _singer_catalog_entry(self) -> CatalogEntry:
        return dataclasses.replace(
            super()._singer_catalog_entry, schema=ExactSchema.from_dict(self.schema)
        )

    @property
    def is_full(self) -> bool:
        """Whether every run reads the whole list."""
        return self.replication_method == "FULL_TABLE"

    @functools.cached_property
    def shape(self) -> Shape:
        """How rows look, with what is selected of them."""
        fits = {name: nested.Fit(tree) for name, tree in self._trees.items()}
        return Shape(self._columns, left_out.plan(self.mask), fits)

    # How messages leave

    def begin(self, version: int | None) -> None:
        """Announce the stream, and the version of its full load."""
        self._write_schema_message()
        self._stream_version = version
        if version is not None:
            self._write_activate_version_message(version)
        self._counter = self._meters.enter_context(self.get_record_counter())
        self._meters.enter_context(self.get_sync_timer())

    def write(self, records: list[bytes]) -> None:
        """Write records, as lines or one by one through the stream maps."""
        if self._writes_lines:
            extracted = utc_now().isoformat()
            envelope = Envelope(self.name, extracted, self._stream_version)
            writer = t.cast("LineWriter", self._tap.message_writer)
            writer.write_blocks([memoryview(envelope.lines(records))])
        else:
            for record in map(verbatim.read, records):
                self._write_record_message(record)
        self._counter.increment(len(records))
        self._written += len(records)

    def _generate_record_messages(
        self, record: Record
    ) -> t.Generator[verbatim.Line, None, None]:
        """Say what stream maps leave alone with the bytes that Stripe sent."""
        read = t.cast("verbatim.Record", record)
        yield from verbatim.lines(super()._generate_record_messages(dict(read)), read)

    def finish(self) -> None:
        """Say once more which version it is: it proves that the load is whole."""
        if self._stream_version is not None:
            self._write_activate_version_message(self._stream_version)
        self.close()

    def close(self) -> None:
        """Report what was counted."""
        self._meters.close()
        self.logger.info("Sent %d rows of %s.", self._written, self.name)

    @functools.cached_property
    def _writes_lines(self) -> bool:
        [first, *others] = self.stream_maps
        return (
            type(self._tap.message_writer) is LineWriter
            and not others
            and type(first) is SameRecordTransform
            and not first.flattening_enabled
        )

    # What the SDK's own connection test wants

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield all objects, page by page, with no state and no events."""
        root = resources.BY_NAME.get(self.resource.parent, self.resource)
        below = (self.resource,) if self.resource.parent else ()
        for account in self._stripe.accounts:
            gatherer = Gatherer(
                self._stripe.client,
                account,
                tells_account=versions.ACCOUNT in self._columns,
            )
            wanted = Wanted(root, {self.name: self.shape}, below)
            for item in pages(gatherer, root, Segment(), {}):
                rows = no_rows()
                gatherer.rows(wanted, item, rows)
                yield from map(verbatim.read, rows[self.name])
            if wanted.refused:
                raise wanted.refused[self.name]

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Do nothing: the state is kept by `output`, not record by record."""
