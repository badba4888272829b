"""Give a table the partitions, sort order and properties that the settings ask for.

What a setting does not mention stays as it is: another tool may have set it. Uses two
internals of PyIceberg: its conversion of schemas, and `Transaction._apply`.
"""

from __future__ import annotations

import typing as t

from dativo_core.errors import ConfigurationError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.partitioning import (
    PARTITION_FIELD_ID_START,
    PartitionField,
    PartitionSpec,
)
from pyiceberg.schema import assign_fresh_schema_ids
from pyiceberg.table.sorting import (
    UNSORTED_SORT_ORDER,
    UNSORTED_SORT_ORDER_ID,
    NullOrder,
    SortDirection,
    SortField,
    SortOrder,
)
from pyiceberg.table.update import (
    AddSortOrderUpdate,
    AssertDefaultSortOrderId,
    SetDefaultSortOrderUpdate,
)
from pyiceberg.transforms import IdentityTransform, parse_transform

from target_parquet_iceberg.layout import Partition, SortKey

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Transaction
    from pyiceberg.table.metadata import TableMetadata

    from target_parquet_iceberg.layout import Layout


def creation(
    fields: pa.Schema, layout: Layout
) -> tuple[Schema, PartitionSpec, SortOrder]:
    """Return what `Catalog.create_table` takes for columns in a layout.

    Parts of the layout that name columns to come are left to the first commit.
    """
    schema = assign_fresh_schema_ids(Catalog._convert_schema_if_needed(fields))  # noqa: SLF001
    known = set(fields.names)
    partitions = layout.partitions or ()
    sort = layout.sort or ()
    if not {part.column for part in partitions} <= known:
        partitions = ()
    if not {key.column for key in sort} <= known:
        sort = ()
    spec = PartitionSpec(
        *(
            PartitionField(
                source_id=schema.find_field(part.column).field_id,
                field_id=number,
                transform=parse_transform(part.transform),
                name=partition_name(part, known),
            )
            for number, part in enumerate(partitions, PARTITION_FIELD_ID_START)
        )
    )
    order = SortOrder(*_sort_fields(schema, sort)) if sort else UNSORTED_SORT_ORDER
    return schema, spec, order


def reconcile(stream: str, transaction: Transaction, layout: Layout) -> None:
    """Change what differs, in the transaction.

    Files that exist keep their partitions and their order; new files get the new ones.

    Raises:
        ConfigurationError: if the table's columns do not allow it.
    """
    try:
        if layout.partitions is not None:
            _evolve_spec(transaction, layout.partitions)
        if layout.sort is not None:
            _evolve_order(transaction, layout.sort)
    except (ValueError, ValidationError) as error:
        msg = f"Stream '{stream}': the table cannot be laid out so: {error}"
        hint = "Check partition_by and sort_by against the table's columns."
        raise ConfigurationError(msg.rstrip("."), hint=hint) from error
    present = transaction.table_metadata.properties
    wanted = dict(layout.properties)
    changed = {k: v for k, v in wanted.items() if present.get(k) != v}
    if changed:
        transaction.set_properties(changed)


def partition_name(part: Partition, columns: Iterable[str]) -> str:
    """Name a partition field as other engines do, but never like another column."""
    name, _, number = part.transform.rstrip("]").partition("[")
    if name == "identity":
        return part.column
    kind = "trunc" if name == "truncate" else name
    chosen = "_".join(filter(None, (part.column, kind, number)))
    taken = {column.casefold() for column in columns}
    while chosen.casefold() in taken:
        chosen += "_part"
    return chosen


def partitions_of(metadata: TableMetadata) -> dict[Partition, str]:
    """Return the table's partition fields by what they are, with their names."""
    schema = metadata.schema()
    return {
        Partition(
            str(schema.find_column_name(field.source_id)), str(field.transform)
        ): field.name
        for field in metadata.spec().fields
    }


def _evolve_spec(transaction: Transaction, wanted: Sequence[Partition]) -> None:
    metadata = transaction.table_metadata
    present = partitions_of(metadata)
    if set(present) == set(wanted):
        return
    columns = [field.name for field in metadata.schema().fields]
    with transaction.update_spec() as update:
        for part, name in present.items():
            if part not in wanted:
                update.remove_field(name)
        for part in wanted:
            if part not in present:
                name = partition_name(part, columns)
                update.add_field(part.column, parse_transform(part.transform), name)


def _evolve_order(transaction: Transaction, wanted: Sequence[SortKey]) -> None:
    metadata = transaction.table_metadata
    order = metadata.sort_order_by_id(metadata.default_sort_order_id)
    fields = _sort_fields(metadata.schema(), wanted)
    if (order.fields if order else []) == fields:
        return
    if not fields and metadata.sort_order_by_id(UNSORTED_SORT_ORDER_ID) is None:
        _add_unsorted(transaction)
        return
    with transaction.update_sort_order() as update:
        for key, field in zip(wanted, fields, strict=True):
            add = update.desc if key.is_descending else update.asc
            add(key.column, field.transform, field.null_order)


def _add_unsorted(transaction: Transaction) -> None:
    """Do what `UpdateSortOrder` cannot: it takes the highest id for the newest."""
    present = transaction.table_metadata.default_sort_order_id
    new_id: dict[str, t.Any] = {"sort-order-id": UNSORTED_SORT_ORDER_ID}
    old_id: dict[str, t.Any] = {"default-sort-order-id": present}
    unsorted: dict[str, t.Any] = {"sort-order": UNSORTED_SORT_ORDER}
    transaction._apply(  # noqa: SLF001
        (AddSortOrderUpdate(**unsorted), SetDefaultSortOrderUpdate(**new_id)),
        (AssertDefaultSortOrderId(**old_id),),
    )


def _sort_fields(schema: Schema, keys: Iterable[SortKey]) -> list[SortField]:
    return [
        SortField(
            source_id=schema.find_field(key.column).field_id,
            transform=IdentityTransform(),
            direction=SortDirection.DESC if key.is_descending else SortDirection.ASC,
            null_order=(
                NullOrder.NULLS_FIRST if key.has_nulls_first else NullOrder.NULLS_LAST
            ),
        )
        for key in keys
    ]
