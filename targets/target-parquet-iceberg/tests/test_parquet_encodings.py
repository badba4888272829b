"""Dictionaries where values repeat, and pages of a size that readers can skip."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dativo_core.encodings import SAMPLE_ROWS, repetitive, rows_of_batch
from target_parquet_iceberg.data_files import DataFileWriter

COUNT = SAMPLE_ROWS * 2
UNIQUE = pa.array(range(COUNT), pa.int64())
FEW = pa.array([number % 50 for number in range(COUNT)], pa.int64())


def written(lake, rows):
    """Write rows with the writer alone; return the file's footer."""
    catalog = lake.catalog
    catalog.create_namespace_if_not_exists("lake")
    options = {"format-version": "2"}
    table = catalog.create_table(("lake", "t"), rows.schema, properties=options)
    [file] = DataFileWriter(table.metadata, table.io).write(rows)
    return pq.read_metadata(Path(file.file_path.removeprefix("file://")))


def has_dictionary(footer):
    """Tell by column path whether the first row group has a dictionary."""
    group = footer.row_group(0)
    chunks = map(group.column, range(footer.num_columns))
    return {chunk.path_in_schema: chunk.has_dictionary_page for chunk in chunks}


def test_only_repeated_values_get_a_dictionary(lake) -> None:
    """Inside of structs and lists, too."""
    nested = pa.StructArray.from_arrays([UNIQUE, FEW], ["unique", "few"])
    lists = pa.ListArray.from_arrays(pa.array(range(COUNT + 1), pa.int32()), nested)
    rows = pa.table({"unique": UNIQUE, "few": FEW, "s": nested, "l": lists})
    assert has_dictionary(written(lake, rows)) == {
        "unique": False,
        "few": True,
        "s.unique": False,
        "s.few": True,
        "l.list.element.unique": False,
        "l.list.element.few": True,
    }


@pytest.mark.parametrize("count", [0, 1, SAMPLE_ROWS - 1])
def test_few_rows_tell_nothing(count) -> None:
    """A dictionary of them costs next to nothing."""
    assert repetitive(pa.table({"unique": UNIQUE.slice(0, count)})) is True


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.nulls(COUNT, pa.string()), []),
        (pa.array([None, *range(COUNT - 1)], pa.int64()), []),
        (pa.array([b"%d" % n for n in range(COUNT)]), []),
        (pa.array(["x" * 5000] * COUNT), ["c"]),
        (pa.array([float("nan")] * COUNT), ["c"]),
    ],
    ids=["nulls", "a null", "bytes", "long texts", "NaN"],
)
def test_sample_of_any_values(values, expected) -> None:
    """Nulls are no values; a sample of long ones is small."""
    assert repetitive(pa.table({"c": values})) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (pa.table({"n": UNIQUE, "text": ["x" * 4096] * COUNT}), 255),
        (pa.table({"n": UNIQUE}), 20_000),
        (pa.table({"n": UNIQUE.slice(0, 0)}), 1),
    ],
    ids=["long", "short", "none"],
)
def test_page_is_looked_at_before_it_is_too_large(rows, expected) -> None:
    """The widest column decides: here a page has 1 MB, and 20,000 rows."""
    assert rows_of_batch(rows, 2**20, 20_000) == expected
