"""Malformed input, case by case: the bytes, and what the target makes of them.

`python tests/corpus/cases.py` writes the files; `docs/MALFORMED_INPUT.md` is made of
the same data. What is too large to commit is built by the test.
"""

from __future__ import annotations

import gzip
import json
import sys
import typing as t
import zlib
from dataclasses import dataclass, field
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).resolve().parent
# In every value that is refused: no log may quote it.
CANARY = "s3cr3t-canary"
Json: t.TypeAlias = dict[str, t.Any]


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Args:
        name: The file, without its suffix.
        title: What is malformed, for a reader.
        outcome: What happens to it, for a reader.
        data: The bytes.
        rows: Every table with all its rows.
        dead: (stream, stage, path) of every dead letter.
        code: The exit code.
        told: Words that the log must have.
        is_built: Whether the bytes are too many to be committed.
        files: Files beside the input, by path; text is what a link points to.
        absent: Paths that must not be there afterwards.

    `{folder}` in the bytes stands for the folder that has all this, and the warehouse
    `lake`.
    """

    name: str
    title: str
    outcome: str
    data: bytes
    rows: dict[str, list[Json]]
    dead: list[tuple[str, str, str]] = field(default_factory=list)
    code: int = 0
    told: tuple[str, ...] = ()
    settings: Json = field(default_factory=dict)
    is_built: bool = False
    files: t.Mapping[str, t.Callable[[], bytes] | str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """Where the bytes are committed."""
        return HERE / f"{self.name}.singer"


ID = {"type": "integer"}
TEXT = {"type": ["string", "null"]}
LONG = {"type": ["integer", "null"]}
REAL = {"type": ["number", "null"]}
NOW = {"type": ["string", "null"], "format": "date-time"}
DAY = {"type": ["string", "null"], "format": "date"}
CLOCK = {"type": ["string", "null"], "format": "time"}
UNPARSED = ("_unparsed", "parse", "")
REFUSED = "a SCHEMA that cannot be used"
LINE = "The line is a dead letter; the run goes on."
RECORD = "The record is a dead letter; the run goes on."
STREAM = (
    "The stream's records are dead letters and its bookmark stays; other streams are "
    "loaded, then the run ends with 78."
)
UTC = timezone.utc


def schema(properties: Json, stream: str = "s", **more: t.Any) -> Json:
    """Return a SCHEMA with key `id`; `more` goes into the schema itself."""
    inner = {"properties": {"id": ID, **properties}, **more}
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": inner,
        "key_properties": ["id"],
    }


def record(number: int, stream: str = "s", /, **values: t.Any) -> Json:
    """Return a RECORD."""
    return {"type": "RECORD", "stream": stream, "record": {"id": number, **values}}


def raw(text: str | bytes, stream: str = "s") -> bytes:
    """Return a RECORD whose record is this text, whatever it is."""
    inner = text.encode() if isinstance(text, str) else text
    return b'{"type":"RECORD","stream":"%b","record":%b}' % (stream.encode(), inner)


def state(**bookmarks: t.Any) -> Json:
    """Return a STATE."""
    return {"type": "STATE", "value": {"bookmarks": bookmarks}}


def join(*messages: Json | bytes, end: bytes = b"\n") -> bytes:
    """Return the messages as lines."""
    texts = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
    return end.join(texts) + end


def amid(
    name: str,
    title: str,
    outcome: str,
    *lines: Json | bytes,
    properties: Json | None = None,
    rows: t.Sequence[Json] = (),
    **more: t.Any,
) -> Case:
    """Return a case whose lines stand between two good records of stream `s`."""
    columns = properties if properties is not None else {"v": TEXT}
    messages = (schema(columns), record(1), *lines, record(2), state(s={"at": 2}))
    empty = dict.fromkeys(columns)
    good = [{"id": 1, **empty}, *rows, {"id": 2, **empty}]
    return Case(name, title, outcome, join(*messages), {"s": good}, **more)


def value(
    name: str,
    title: str,
    kind: Json,
    *bad: str,
    fits: t.Sequence[t.Any] = (),
    **more: t.Any,
) -> Case:
    """Return a case of JSON texts that a column refuses, and (text, value) it takes."""
    taken = [raw(f'{{"id":{10 + n},"v":{text}}}') for n, (text, _) in enumerate(fits)]
    lines = [raw(f'{{"id":{100 + n},"v":{text}}}') for n, text in enumerate(bad)]
    rows = [{"id": 10 + n, "v": found} for n, (_, found) in enumerate(fits)]
    dead = more.pop("dead", [("s", "cast", "v")] * len(bad))
    outcome = more.pop("outcome", RECORD)
    return amid(
        name,
        title,
        outcome,
        *taken,
        *lines,
        properties={"v": kind},
        rows=rows,
        dead=dead,
        **more,
    )


def refused(
    name: str,
    title: str,
    *messages: Json | bytes,
    dead: t.Sequence[t.Any],
    **more: t.Any,
) -> Case:
    """Return a case of a stream that cannot be loaded, beside `s`, which can."""
    lines = (schema({"v": TEXT}), record(1, v="good"), *messages)
    ended = state(s={"at": 1}, t={"at": 9})
    return Case(
        name,
        title,
        more.pop("outcome", STREAM),
        join(*lines, ended),
        {"s": [{"id": 1, "v": "good"}], **more.pop("rows", {})},
        list(dead),
        code=78,
        **more,
    )


def lines() -> t.Iterator[Case]:
    """Yield what is wrong with whole lines."""
    good = join(schema({"v": TEXT}), record(1, v="a"), state(s={"at": 1}))
    one = {"s": [{"id": 1, "v": "a"}]}
    cut = b'{"type":"RECORD","stream":"s","record":{"id":2,"v":"s3cr3t-canary'
    yield Case(
        "truncated-last-line",
        "Truncated last line",
        "A dead letter, and the input was cut: what STATE covers is stored.",
        good + cut,
        one,
        [UNPARSED],
        75,
        ("ended in the middle",),
    )
    yield Case(
        "no-last-newline",
        "No newline at the end",
        "The last line counts.",
        good.removesuffix(b"\n"),
        one,
    )
    yield Case(
        "blank-lines",
        "Blank lines",
        "They are skipped.",
        good.replace(b"\n", b"\n\n \t\n"),
        one,
    )
    yield Case(
        "byte-order-mark",
        "Byte order mark at the beginning",
        "It is skipped.",
        b"\xef\xbb\xbf" + good,
        one,
    )
    yield amid(
        "byte-order-mark-inside",
        "Byte order mark on a later line",
        LINE,
        b"\xef\xbb\xbf" + raw('{"id":3,"v":"s3cr3t-canary"}'),
        dead=[UNPARSED],
    )
    yield Case(
        "carriage-returns",
        "Lines end in CR LF",
        "They are read as if they ended in LF.",
        good.replace(b"\n", b"\r\n"),
        one,
    )
    noise = (
        b"INFO starting s3cr3t-canary",
        b"Traceback (most recent call last):",
        b"42",
    )
    yield amid(
        "log-noise", "Log lines between messages", LINE, *noise, dead=[UNPARSED] * 3
    )
    yield amid(
        "array-line",
        "JSON array for a line",
        LINE,
        b'["s3cr3t-canary"]',
        dead=[UNPARSED],
    )
    yield amid("null-line", "`null` for a line", LINE, b"null", dead=[UNPARSED])
    yield amid(
        "unknown-type",
        "Unknown type of message",
        LINE,
        b'{"type":"s3cr3t-canary","stream":"s"}',
        b'{"stream":"s","record":{}}',
        b'{"type":7}',
        dead=[UNPARSED] * 3,
    )
    yield amid(
        "record-no-object",
        "`record` is a string, array, number, null or absent",
        RECORD,
        raw('"s3cr3t-canary"'),
        raw("[1]"),
        raw("1"),
        raw("null"),
        b'{"type":"RECORD","stream":"s"}',
        dead=[("s", "parse", "")] * 4 + [UNPARSED],
    )
    yield amid(
        "version-of-wrong-type",
        "`version` is no integer",
        LINE,
        b'{"type":"RECORD","stream":"s","record":{"id":3},"version":"s3cr3t-canary"}',
        b'{"type":"ACTIVATE_VERSION","stream":"s","version":1.5}',
        dead=[UNPARSED] * 2,
    )
    yield amid(
        "time-extracted-of-wrong-type",
        "`time_extracted` is no string",
        LINE,
        b'{"type":"RECORD","stream":"s","record":{"id":3},"time_extracted":5}',
        dead=[UNPARSED],
    )
    yield amid(
        "record-before-schema",
        "RECORD before its SCHEMA",
        "The record is a dead letter; what comes after the SCHEMA is loaded.",
        record(7, "t", v=CANARY),
        schema({}, "t"),
        record(8, "t"),
        dead=[("t", "schema", "")],
    )
    long = raw(f'{{"id":3,"v":"{CANARY * 200}"}}')
    yield amid(
        "long-line",
        "Line beyond `max_line_bytes`",
        "Dead letter with the line's beginning, length and SHA-256; the rest is read "
        "over, never held.",
        long,
        dead=[UNPARSED],
        settings={"max_line_bytes": 1024},
    )


def texts() -> t.Iterator[Case]:
    """Yield what is wrong with bytes and JSON inside a record."""
    parse = [("s", "parse", "v")]
    yield value(
        "nul",
        "NUL in a string",
        TEXT,
        fits=[(r'"a\u0000b"', "a\0b")],
        outcome="It is stored as it is.",
    )
    yield value(
        "lone-surrogate",
        "Lone surrogate in a string",
        TEXT,
        r'"s3cr3t-canary \ud800"',
        outcome=LINE,
        dead=[UNPARSED],
    )
    yield amid(
        "invalid-utf8",
        "Invalid UTF-8 in a value",
        RECORD,
        raw(b'{"id":3,"v":"s3cr3t-canary \xff"}'),
        dead=parse,
    )
    yield amid(
        "invalid-utf8-name",
        "Invalid UTF-8 in the stream's name",
        LINE,
        raw("{}").replace(b'"s"', b'"\xff"'),
        dead=[UNPARSED],
    )
    yield amid(
        "duplicate-keys",
        "The same key twice in a record",
        "The last one counts.",
        raw('{"id":3,"v":"a","v":"b"}'),
        rows=[{"id": 3, "v": "b"}],
    )
    deep = "[" * 10_000 + "]" * 10_000
    yield amid(
        "deep-nesting",
        "10,000 brackets",
        "The line is a dead letter.",
        raw(f'{{"id":3,"v":{deep}}}'),
        dead=[UNPARSED],
        is_built=True,
    )
    huge = "x" * 10 * 2**20
    yield amid(
        "ten-megabytes",
        "Row of 10 MB",
        "It is stored as it is.",
        raw(f'{{"id":3,"v":"{huge}"}}'),
        rows=[{"id": 3, "v": huge}],
        is_built=True,
    )


def numbers() -> t.Iterator[Case]:
    """Yield numbers that are none, or too large."""
    nan, infinity = float("nan"), float("inf")
    yield value(
        "bare-nan",
        "Bare `NaN`, `Infinity`, `-Infinity`",
        REAL,
        "NaN",
        "Infinity",
        "-Infinity",
        dead=[UNPARSED] * 3,
        outcome="No JSON: the line is a dead letter.",
    )
    yield value(
        "quoted-nan",
        'Quoted `"NaN"`, `"Infinity"`, `"-Infinity"`',
        REAL,
        '"nan"',
        fits=[('"NaN"', nan), ('"Infinity"', infinity), ('"-Infinity"', -infinity)],
        outcome="Stored in a column of floats; other spellings are dead letters.",
    )
    yield value(
        "quoted-nan-integer", '`"NaN"` where the SCHEMA says integer', LONG, '"NaN"'
    )
    yield value("huge-number", "`1e400`, `1e999999999`", REAL, "1e400", "1e999999999")
    yield value(
        "huge-integer",
        "Integers of 20 and 5,000 digits",
        LONG,
        "9" * 20,
        "9" * 5000,
        dead=[("s", "cast", "v"), ("s", "parse", "v")],
    )
    wide = {"type": ["integer", "null"], "maximum": 2**64 - 1}
    yield value(
        "unsigned",
        "Integer beyond 64 bits where the SCHEMA allows it",
        wide,
        fits=[(str(2**64 - 1), Decimal(2**64 - 1))],
        outcome="Stored as decimal(38, 0).",
    )


def moments() -> t.Iterator[Case]:
    """Yield dates and times that are none."""
    yield value(
        "dates",
        "Dates: years 0 and 10000, 29 February, `infinity`, `0000-00-00`",
        DAY,
        '"0000-01-01"',
        '"10000-01-01"',
        '"2023-02-29"',
        '"infinity"',
        '"0000-00-00"',
        fits=[('"0001-01-01"', date(1, 1, 1)), ('"9999-12-31"', date(9999, 12, 31))],
        outcome="Years 1 to 9999 are stored; the others are dead letters.",
    )
    yield value(
        "moments",
        "Date-times: years 0 and 10000, `infinity`, 24:00, leap second, nanoseconds",
        NOW,
        '"0000-01-01T00:00:00Z"',
        '"10000-01-01T00:00:00Z"',
        '"infinity"',
        '"2024-02-29T24:00:00Z"',
        '"2016-12-31T23:59:60Z"',
        '"2024-02-29T12:00:00.123456789Z"',
        '"0001-01-01T00:00:00+01:00"',
        fits=[
            (
                '"9999-12-31T23:59:59.999999Z"',
                datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            )
        ],
        outcome="Dead letters; years 1 to 9999 in microseconds are stored.",
    )
    noon = datetime(2024, 2, 29, 12, tzinfo=UTC)
    yield value(
        "zones",
        "Date-times without zone, with a space, with offsets",
        NOW,
        fits=[
            (f'"{text}"', noon)
            for text in (
                "2024-02-29T12:00:00",
                "2024-02-29 12:00:00",
                "2024-02-29T13:00:00+01:00",
            )
        ],
        outcome="Without a zone it is UTC; an offset is counted in.",
    )
    yield value(
        "clocks",
        "Times: 24:00:00, leap second, negative",
        CLOCK,
        '"24:00:00"',
        '"23:59:60"',
        '"-01:00:00"',
        fits=[('"23:59:59.999999"', time(23, 59, 59, 999999))],
    )


def rules() -> t.Iterator[Case]:
    """Yield records that break what their SCHEMA says."""
    yield amid(
        "missing-key",
        "Key absent or null",
        RECORD,
        raw('{"v":"s3cr3t-canary"}'),
        raw('{"id":null,"v":"s3cr3t-canary"}'),
        dead=[("s", "key", "id")] * 2,
    )
    yield value(
        "type-mismatch",
        "Another type than the SCHEMA says",
        LONG,
        '"s3cr3t-canary"',
        '"1"',
        "1.5",
        "true",
        "[]",
        "{}",
        fits=[("1.0", 1)],
    )
    strict = {"v": {"type": "string"}}
    yield Case(
        "missing-required",
        "A `required` field is absent, or null where it may not be",
        RECORD,
        join(
            schema(strict, required=["id", "v"]),
            record(1, v="a"),
            record(2),
            record(3, v=None),
            state(s={}),
        ),
        {"s": [{"id": 1, "v": "a"}]},
        [("s", "schema", "v")] * 2,
    )
    yield value(
        "enum",
        "Value that is not in `enum`",
        {**TEXT, "enum": ["a", "b"]},
        '"s3cr3t-canary"',
        dead=[("s", "schema", "v")],
        fits=[('"b"', "b")],
    )
    yield value(
        "const",
        "Value that is not `const`",
        {**LONG, "const": 7},
        "8",
        dead=[("s", "schema", "v")],
        fits=[("7", 7)],
    )
    for kind, bad, good in (
        ("uuid", "s3cr3t-canary", "123e4567-e89b-12d3-a456-426614174000"),
        ("ipv4", "256.1.1.1", "127.0.0.1"),
        ("ipv6", "s3cr3t-canary", "::1"),
        ("email", "s3cr3t-canary", "a@example.com"),
    ):
        yield value(
            f"format-{kind}",
            f"String that breaks `format: {kind}`",
            {**TEXT, "format": kind},
            f'"{bad}"',
            dead=[("s", "schema", "v")],
            fits=[(f'"{good}"', good)],
        )
    inner = {
        "type": ["object", "null"],
        "required": ["a"],
        "properties": {"a": {"type": "integer", "enum": [1, 2]}},
    }
    yield value(
        "nested-rules",
        "The same inside objects",
        inner,
        '{"a":3}',
        "{}",
        '{"a":null}',
        dead=[("s", "schema", "v.a")] * 3,
        fits=[('{"a":2}', {"a": 2})],
    )
    yield value(
        "free-object",
        "Another type where the SCHEMA has a free-form object",
        {"type": ["object", "null"]},
        '"s3cr3t-canary"',
        "5",
        dead=[("s", "schema", "v")] * 2,
        fits=[('{"x": 1.10}', '{"x": 1.10}')],
    )
    yield amid(
        "undeclared-field",
        "Field that the SCHEMA does not declare",
        "Not stored; a warning names it once, the closing summary counts its values.",
        record(3, v="a", extra=CANARY),
        record(4, v="b", extra=CANARY),
        rows=[{"id": 3, "v": "a"}, {"id": 4, "v": "b"}],
        told=("does not declare 'extra'", "'extra' (2)"),
    )
    yield Case(
        "additional-properties",
        "The same with `additionalProperties: false`",
        RECORD,
        join(
            schema({"v": TEXT}, additionalProperties=False),
            record(1, v="a"),
            record(2, extra=CANARY),
            state(s={}),
        ),
        {"s": [{"id": 1, "v": "a"}]},
        [("s", "schema", "extra")],
    )
    yield Case(
        "not-validated",
        "All of these with `validate_records: false`",
        "Only what the column cannot hold is a dead letter.",
        join(
            schema({"v": {"type": "string", "enum": ["a"]}}, required=["v"]),
            record(1, v="b"),
            record(2),
            record(3, v=None),
            record(4, v=5),
            state(s={}),
        ),
        {"s": [{"id": 1, "v": "b"}, {"id": 2, "v": None}, {"id": 3, "v": None}]},
        [("s", "cast", "v")],
        settings={"validate_records": False},
    )


def schemas() -> t.Iterator[Case]:
    """Yield SCHEMAs that cannot be used, and streams with hostile names."""
    lost = [("t", "schema", "")]
    other = record(9, "t", v=CANARY)

    def broken(**parts: t.Any) -> Json:
        return {**schema({"v": TEXT}, "t"), **parts}

    yield refused(
        "schema-no-object",
        "SCHEMA that is no object",
        broken(schema=[1]),
        other,
        dead=[UNPARSED, *lost],
    )
    yield refused(
        "schema-absent",
        "SCHEMA without `schema`",
        broken(schema=None),
        other,
        dead=[UNPARSED, *lost],
    )
    yield refused(
        "schema-without-properties",
        "SCHEMA without properties",
        broken(schema={"type": "object"}),
        other,
        dead=lost,
    )
    yield refused(
        "schema-broken-type",
        "SCHEMA with a type that JSON Schema has not",
        schema({"v": {"type": "text"}}, "t"),
        other,
        dead=lost,
    )
    yield refused(
        "schema-broken-property",
        "SCHEMA with a property that is no schema",
        schema({"v": "string"}, "t"),
        other,
        dead=lost,
    )
    yield refused(
        "keys-no-list",
        "`key_properties` is no list",
        broken(key_properties="id"),
        other,
        dead=[UNPARSED, *lost],
    )
    yield refused(
        "keys-unknown",
        "`key_properties` names no field",
        broken(key_properties=["nope"]),
        other,
        dead=lost,
    )
    for name, title, stream in (
        ("empty", "Empty name of a stream", ""),
        ("long", "Name of 300 characters", "x" * 300),
        ("emoji", "Name of emoji only", "\U0001f600"),
        ("dots", "Name of dots and slashes only", "../.."),
    ):
        dead = [UNPARSED] * 2 if not stream else [(stream, "schema", "")]
        yield refused(
            f"stream-{name}", title, schema({}, stream), record(9, stream), dead=dead
        )
    for name, title, stream, table in (
        ("traversal", "Name `../../x`", "../../x", "x"),
        ("select", "Reserved word `select` as name", "select", "select"),
        ("drop", "Name `;drop table s`", ";drop table s", "drop_table_s"),
        ("device", "Name of a Windows device, `con`", "con", "con"),
        ("emoji-word", "Name with emoji and letters", "caf\u00e9 \U0001f600", "cafe"),
    ):
        ended = state(**{stream: {"at": 1}})
        yield Case(
            f"stream-{name}",
            title,
            f"Loaded into table `{table}`.",
            join(schema({}, stream), record(1, stream), ended),
            {table: [{"id": 1}]},
        )
    both = (schema({}, "Tbl"), record(1, "Tbl"), schema({}, "tbl"), record(2, "tbl"))
    yield Case(
        "streams-fold",
        "Two streams whose names fold to one table",
        "The first is loaded; the second is treated as one that cannot be used.",
        join(*both, state(Tbl={"at": 1}, tbl={"at": 1})),
        {"tbl": [{"id": 1}]},
        [("tbl", "schema", "")],
        code=78,
    )
    for name, title, column in (
        ("empty", "Column without a name", ""),
        ("reserved", "Column with a reserved name, `_file`", "_file"),
    ):
        yield refused(
            f"column-{name}", title, schema({column: TEXT}, "t"), other, dead=lost
        )
    yield refused(
        "columns-fold",
        "Columns that differ by case only",
        schema({"v": TEXT, "V": TEXT}, "t"),
        other,
        dead=lost,
    )
    odd = ["a.b", "a\0b", 'a"b', "a'b", "a\nb", "y" * 300, "\U0001f600", " ", "a\\b"]
    found = {name: number for number, name in enumerate(odd)}
    yield Case(
        "columns-odd",
        "Columns with dots, NUL, quotes, newlines, 300 characters, emoji",
        "They keep their names.",
        join(schema(dict.fromkeys(odd, LONG)), record(1, **found), state(s={})),
        {"s": [{"id": 1, **found}]},
    )
    many = {f"c{number}": number for number in range(2_000)}
    yield Case(
        "columns-many",
        "2,000 columns",
        "All are stored.",
        join(schema(dict.fromkeys(many, LONG)), record(1, **many), state(s={})),
        {"s": [{"id": 1, **many}]},
        is_built=True,
    )


def states() -> t.Iterator[Case]:
    """Yield STATEs that are odd."""
    taken = "Taken as the tap's word."
    one = {"s": [{"id": 1}]}
    start = (schema({}), record(1))
    yield Case(
        "state-first",
        "STATE before any SCHEMA",
        taken,
        join(state(s={"at": 0}), *start, state(s={"at": 1})),
        one,
    )
    yield Case(
        "state-backwards",
        "STATE that goes backwards",
        "Taken as the tap's word: rows that come again replace themselves.",
        join(*start, state(s={"at": 2}), record(1), state(s={"at": 1})),
        one,
    )
    yield Case(
        "state-empty",
        "Empty STATE",
        taken,
        join(*start, {"type": "STATE", "value": {}}),
        one,
    )
    yield Case(
        "state-null",
        "STATE that is null, a list or absent",
        LINE,
        join(
            *start,
            {"type": "STATE", "value": None},
            {"type": "STATE", "value": [CANARY]},
            {"type": "STATE"},
            state(s={"at": 1}),
        ),
        one,
        [UNPARSED] * 3,
    )
    yield Case(
        "state-odd-bookmarks",
        "STATE whose `bookmarks` is no object",
        taken,
        join(*start, {"type": "STATE", "value": {"bookmarks": "x"}}),
        one,
    )


MANIFEST = (
    "The stream ends: the BATCH is a dead letter, the bookmark stays; other streams "
    "are loaded, then the run ends with 78."
)
STAGED = "file://{folder}/lake/_staging"


def manifest(
    name: str,
    title: str,
    *urls: t.Any,
    place: str = "manifest.0",
    encoding: t.Any = None,
    manifest: t.Any = None,
    **more: t.Any,
) -> Case:
    """Return a case of a BATCH that is refused, amid two streams that go on."""
    message = {
        "type": "BATCH",
        "stream": "s",
        "encoding": encoding or {"format": "jsonl", "compression": "gzip"},
        "manifest": [*urls] if manifest is None else manifest,
    }
    data = join(
        schema({"v": TEXT}),
        schema({"v": TEXT}, "other"),
        record(1),
        message,
        record(2),
        record(1, "other"),
        state(s={"at": 2}, other={"at": 1}),
    )
    rows = {"s": [], "other": [{"id": 1, "v": None}]}
    dead = [("s", "batch", place), ("s", "schema", "")]
    told = ("a BATCH is refused",)
    return Case(name, title, MANIFEST, data, rows, dead, 78, told, **more)


def secret() -> bytes:
    """Return a file that no manifest may bring into a table."""
    return gzip.compress(f'{{"id": 3, "v": "{CANARY}"}}\n'.encode())


def bomb() -> bytes:
    """Return 256 MB of good records in a gzip of 256 kB."""
    line = b'{"id": 3, "v": "' + b"x" * 2**20 + b'"}\n'
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(line) for _ in range(256)) + packer.flush()


def half_parquet() -> bytes:
    """Return the first half of a Parquet file."""
    import pyarrow as pa  # noqa: PLC0415 only one case needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": range(1000)}), sink)
    whole = sink.getvalue().to_pybytes()
    return whole[: len(whole) // 2]


def batches() -> t.Iterator[Case]:
    """Manifests that name what they may not, or what is no batch."""
    outside = {"elsewhere/x.gz": secret}
    yield manifest(
        "batch-outside",
        "BATCH of a file outside `batch_roots`",
        "file://{folder}/elsewhere/x.gz",
        files=outside,
    )
    yield manifest(
        "batch-dots",
        "BATCH of a file outside, by way of `..`, also escaped",
        f"{STAGED}/%2e%2e/../elsewhere/x.gz",
        files={**outside, "lake/_staging/y.gz": secret},
    )
    yield manifest(
        "batch-link",
        "BATCH of a link to a file outside",
        f"{STAGED}/link.gz",
        files={**outside, "lake/_staging/link.gz": "../../elsewhere/x.gz"},
    )
    yield manifest(
        "batch-neighbour",
        "BATCH of a file in a folder whose name only begins like the root's",
        "file://{folder}/lake/_staging2/x.gz",
        files={"lake/_staging2/x.gz": secret},
    )
    yield manifest(
        "batch-http",
        "BATCH of an HTTP URL",
        "http://127.0.0.1:9/s3cr3t-canary.gz",
    )
    yield manifest(
        "batch-chained",
        "BATCH of a chained URL",
        "file::http://127.0.0.1:9/x.gz",
    )
    yield manifest("batch-bare", "BATCH of a path that is no URL", "/etc/passwd")
    yield manifest(
        "batch-host", "BATCH of a file of another host", "file://example/etc/passwd"
    )
    yield manifest(
        "batch-s3", "BATCH of an object outside `batch_roots`", "s3://bucket/x.gz"
    )
    yield manifest(
        "batch-missing",
        "BATCH of a file that is not there",
        f"{STAGED}/new/folder/x.gz",
        absent=("lake/_staging",),
    )
    yield manifest(
        "batch-folder",
        "BATCH of a folder",
        f"{STAGED}/x",
        files={"lake/_staging/x/y.gz": secret},
    )
    yield manifest(
        "batch-format",
        "BATCH in a format that is none",
        f"{STAGED}/x.gz",
        encoding={"format": "csv"},
        place="encoding",
        files={"lake/_staging/x.gz": secret},
    )
    yield manifest(
        "batch-compression",
        "BATCH in a compression that is none",
        f"{STAGED}/x.gz",
        encoding={"format": "jsonl", "compression": "rar"},
        place="encoding",
        files={"lake/_staging/x.gz": secret},
    )
    yield manifest(
        "batch-not-packed",
        "BATCH of a file that is no gzip",
        f"{STAGED}/x.gz",
        place="manifest",
        files={"lake/_staging/x.gz": lambda: b'{"id": 3}\n'},
    )
    yield manifest(
        "batch-cut",
        "BATCH of a gzip that is cut",
        f"{STAGED}/x.gz",
        place="manifest",
        files={"lake/_staging/x.gz": lambda: secret()[:-12]},
    )
    yield manifest(
        "batch-parquet-cut",
        "BATCH of half a Parquet file",
        f"{STAGED}/x.parquet",
        encoding={"format": "parquet"},
        place="manifest",
        files={"lake/_staging/x.parquet": half_parquet},
    )
    yield manifest(
        "batch-bomb",
        "BATCH of a gzip of 256 MB in 256 kB",
        f"{STAGED}/x.gz",
        place="manifest",
        files={"lake/_staging/x.gz": bomb},
    )
    yield manifest(
        "batch-many",
        "BATCH of 1,001 files",
        manifest=[f"{STAGED}/{n}.gz" for n in range(1001)],
        place="manifest",
    )
    yield manifest(
        "batch-twice",
        "BATCH that names a file twice",
        *[f"{STAGED}/x.gz"] * 2,
        place="manifest",
        files={"lake/_staging/x.gz": secret},
    )
    yield manifest(
        "batch-no-list",
        "BATCH whose manifest is no list of texts",
        manifest={"file": [CANARY]},
        place="manifest",
    )


CASES: tuple[Case, ...] = tuple(
    case
    for part in (lines, texts, numbers, moments, rules, schemas, states, batches)
    for case in part()
)


def table() -> str:
    """Return all cases as a table in Markdown."""
    head = "| Case | Outcome | Dead letters | Exit code |\n|:--|:--|--:|--:|\n"
    rows = (f"| {c.title} | {c.outcome} | {len(c.dead)} | {c.code} |\n" for c in CASES)
    return head + "".join(rows)


def write() -> None:
    """Write the files that are committed."""
    for case in CASES:
        if not case.is_built:
            case.file.write_bytes(case.data)


if __name__ == "__main__":
    sys.exit(write())
