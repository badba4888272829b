"""The value table against a real server: every type, and its worst values."""

from __future__ import annotations

import base64
import json
import random
import struct

import pytest
from dativo_core import singer_types as st
from tap_mysql import columns
from tap_mysql.my_types import MyType
from tap_mysql.rules import RULES, rule_of

LONG = "x" * 300
BYTES = base64.b64encode(b"\x00\xff'\\\n").decode()
EWKB = base64.b64encode(
    b"\x01\x01\x00\x00\x20" + struct.pack("<idd", 4326, 1, 2)
).decode()
WKB = base64.b64encode(b"\x01\x01\x00\x00\x00" + struct.pack("<dd", 1, 2)).decode()
ALL_BITS = 2**64 - 1

# (declared type, SQL value, JSON value)
MATRIX = [
    ("tinyint", "-128", -128),
    ("tinyint unsigned", "255", 255),
    ("tinyint(1)", "2", 2),
    ("boolean", "true", 1),
    ("smallint", "-32768", -32768),
    ("smallint unsigned", "65535", 65535),
    ("mediumint", "-8388608", -8388608),
    ("mediumint unsigned", "16777215", 16777215),
    ("int", "-2147483648", -(2**31)),
    ("int unsigned", "4294967295", 2**32 - 1),
    ("int(9) zerofill", "42", 42),
    ("bigint", "-9223372036854775808", -(2**63)),
    ("bigint", "9007199254740993", 9007199254740993),
    ("bigint unsigned", "18446744073709551615", ALL_BITS),
    ("bigint zerofill", "18446744073709551615", ALL_BITS),
    ("bit", "b'1'", 1),
    ("bit(8)", "b'10000001'", 129),
    ("bit(64)", f"{ALL_BITS}", ALL_BITS),
    ("decimal(65, 30)", f"{'9' * 35}.{'9' * 30}", f"{'9' * 35}.{'9' * 30}"),
    ("decimal(38, 18)", "-12345678901234567890.123456789012345678", None),
    ("decimal(12, 2)", "1.10", "1.10"),
    ("decimal(12, 2) zerofill", "1.10", "1.10"),
    ("decimal(5, 0)", "-0", "0"),
    ("float", "0.1", 0.1),
    ("float", "16777217", 16777216),
    ("float", "3.4028234663852886e38", 3.4028235e38),
    ("float(7, 3)", "1234.5678", 1234.568),
    ("float zerofill", "0.5", 0.5),
    ("double", "0.1", 0.1),
    ("double", "5e-324", 5e-324),
    ("double", "-1.7976931348623157e308", -1.7976931348623157e308),
    ("double(20, 3)", "0.12345", 0.123),
    ("double", "1e15", 1e15),
    ("year", "1901", 1901),
    ("year", "'2155'", 2155),
    ("year", "0000", 0),
    ("date", "'2024-02-29'", "2024-02-29"),
    ("date", "'0000-00-00'", "0000-00-00"),
    ("date", "'2024-00-31'", "2024-00-31"),
    ("date", "'9999-12-31'", "9999-12-31"),
    ("datetime", "'2024-02-29 23:59:59'", "2024-02-29T23:59:59"),
    ("datetime(3)", "'2024-02-29 23:59:59.123'", "2024-02-29T23:59:59.123"),
    ("datetime(6)", "'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
    ("datetime(6)", "0", "0000-00-00T00:00:00.000000"),
    ("timestamp NULL", "'1970-01-01 00:00:01'", "1970-01-01T00:00:01+00:00"),
    ("timestamp(6) NULL", "'2038-01-19 03:14:07.999999'",
     "2038-01-19T03:14:07.999999+00:00"),
    ("timestamp NULL", "0", "0000-00-00T00:00:00+00:00"),
    ("time", "'-120:30:00'", "-120:30:00"),
    ("time(6)", "'838:59:59.999999'", "838:59:59.999999"),
    ("time(6)", "'-838:59:59.999999'", "-838:59:59.999999"),
    ("time", "'00:00:00'", "00:00:00"),
    ("char(5)", "'ab '", "ab"),
    ("varchar(5)", "'ab '", "ab "),
    ("varchar(300)", f"'{LONG}'", LONG),
    ("varchar(300) CHARACTER SET latin1", "'ÿ€'", "ÿ€"),
    ("varchar(30) CHARACTER SET utf16", "'ø😀'", "ø😀"),
    ("varchar(30) CHARACTER SET cp1251", "'Щ'", "Щ"),
    ("varchar(30) CHARACTER SET ucs2", "'語'", "語"),
    ("varchar(30) CHARACTER SET utf8mb3", "'語'", "語"),
    ("text", "'a\\n\\t\\\\\\\"\\'😀\x01'", "a\n\t\\\"'😀\x01"),
    ("mediumtext", "''", ""),
    ("longtext", "REPEAT('é', 70000)", "é" * 70000),
    ("enum('zerofill', 'y')", "'zerofill'", "zerofill"),
    ("enum('', 'so ''so''', 'ok')", "'so ''so'''", "so 'so'"),
    ("set('a', 'b', 'c')", "'c,a'", "a,c"),
    ("set('a', 'b', 'c')", "''", ""),
    ("json", '\'{"a" : 1.10,\\n "a": 12345678901234567890}\'',
     '{"a" : 1.10,\n "a": 12345678901234567890}'),
    ("binary(8)", "x'00ff275c0a'",
     base64.b64encode(b"\x00\xff'\\\n\x00\x00\x00").decode()),
    ("varbinary(8)", "x'00ff275c0a'", BYTES),
    ("tinyblob", "x'00ff275c0a'", BYTES),
    ("longblob", "''", ""),
    ("blob", "REPEAT(x'00', 300)", base64.b64encode(bytes(300)).decode()),
    ("point", "POINT(1, 2)", WKB),
    ("geometry", "ST_GeomFromText('POINT(1 2)', 4326)", EWKB),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("inet6", "'::1'", "::1"),
    ("varchar(9) AS ('twice') VIRTUAL", "DEFAULT", "twice"),
    ("varchar(9) INVISIBLE", "'unseen'", "unseen"),
]  # fmt: skip


@pytest.fixture(params=["arrow", "pymysql"])
def reader(request):
    """Both ways to take rows apart."""
    return request.param


def test_every_value_arrives_as_the_table_says(source, reader):
    """One query reads all types at once, by each way."""
    listed = ", ".join(f"c{i} {declared}" for i, (declared, _, _) in enumerate(MATRIX))
    names = ", ".join(f"c{i}" for i in range(len(MATRIX)))
    literals = ", ".join(value for _, value, _ in MATRIX)
    source.sql(
        f"CREATE TABLE t ({listed})", f"INSERT INTO t ({names}) VALUES ({literals})"
    )
    source.sql("INSERT INTO t () VALUES ()")

    full, empty = source.run(row_reader=reader).records

    for i, (declared, value, as_json) in enumerate(MATRIX):
        expected = value if as_json is None else as_json
        found = full[f"c{i}"]
        assert found == expected, (declared, value)
        assert type(found) is type(expected) or isinstance(expected, float)
    assert {value for value in empty.values() if value is not None} == {"twice"}


def test_the_schema_says_what_the_values_are(source):
    """Widths, scales, zones and encodings are in the catalog and in the SCHEMA."""
    expected = {
        "a tinyint": st.signed(8),
        "b tinyint(1)": st.signed(8),
        "c mediumint unsigned": st.integer(0, 2**24 - 1),
        "d bigint unsigned": st.integer(0, ALL_BITS),
        "e decimal(38, 30)": st.decimal(38, 30),
        "f decimal(39, 30)": st.text(),
        "g datetime(3)": st.timestamp(zoned=False),
        "h timestamp(3) null": st.timestamp(zoned=True),
        "i blob": st.binary(),
        "j json": st.json_text(),
        "k bit(12)": st.integer(0, 4095),
        "l time": st.text(),
        "m point": st.binary(),
        "n year": st.integer(0, 2155),
        "o float": st.real(32),
        "p uuid": st.uuid(),
        "q longtext": st.text(),
    }
    source.sql(f"CREATE TABLE t ({', '.join(expected)})")
    by_name = {column.split()[0]: schema for column, schema in expected.items()}

    catalog = source.catalog("t")
    [schema] = source.run(catalog).of("SCHEMA")

    assert catalog["streams"][0]["schema"]["properties"] == by_name
    assert schema["schema"]["properties"] == by_name


DATES = (
    "CREATE TABLE t (a date, b datetime(1), c timestamp NULL)",
    "INSERT INTO t VALUES (0, 0, 0), ('2024-00-01', '2024-01-00', NULL)",
    "INSERT INTO t VALUES ('0000-05-05', '0000-05-05', NULL)",
    "SET sql_mode = 'ALLOW_INVALID_DATES'; "
    "INSERT INTO t VALUES ('2023-02-29', '2024-04-31', NULL)",
    "INSERT INTO t VALUES ('0001-01-01', '9999-12-31', '2024-01-01 12:00:00')",
)


def test_zero_dates_may_become_null(source):
    """Whole or in part, and days that do not exist; what is ordinary stays."""
    source.sql(*DATES)

    run = source.run(zero_dates="null")

    assert [tuple(record.values()) for record in run.records] == [
        *([(None, None, None)] * 4),
        ("0001-01-01", "9999-12-31T00:00:00.0", "2024-01-01T12:00:00+00:00"),
    ]


def test_zero_dates_may_stay_text(source):
    """All columns of dates are text then, as the server prints it."""
    source.sql(*DATES)

    run = source.run(zero_dates="text")

    [schema] = run.of("SCHEMA")
    assert set(map(json.dumps, schema["schema"]["properties"].values())) == {
        json.dumps(st.text())
    }
    assert [tuple(record.values()) for record in run.records] == [
        ("0000-00-00", "0000-00-00 00:00:00.0", "0000-00-00 00:00:00"),
        ("2024-00-01", "2024-01-00 00:00:00.0", None),
        ("0000-05-05", "0000-05-05 00:00:00.0", None),
        ("2023-02-29", "2024-04-31 00:00:00.0", None),
        ("0001-01-01", "9999-12-31 00:00:00.0", "2024-01-01 12:00:00"),
    ]


def test_bool_may_become_boolean(source):
    """Zero and one do; another value stays what it is, for the target to refuse."""
    source.sql("CREATE TABLE t (a bool, b tinyint(2))")
    source.sql("INSERT INTO t VALUES (0, 0), (1, 1), (NULL, NULL), (2, 2)")

    run = source.run(tinyint1="boolean")

    assert run.values("a") == [False, True, None, 2]
    assert [type(value) for value in run.values("a")[:2]] == [bool, bool]
    assert run.values("b") == [0, 1, None, 2]


def test_values_do_not_depend_on_the_habits_of_the_server(source, mariadb_server):
    """Time zone, modes and session statements of others change nothing."""
    source.sql(
        "CREATE TABLE t (a timestamp NULL, b char(4), c datetime, d double)",
        "INSERT INTO t VALUES ('2024-07-01 12:00:00', 'ab', '2024-07-01', 0.1)",
    )
    habits = {
        "time_zone": "Europe/Moscow",
        "sql_mode": "ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES",
    }
    before = {n: mariadb_server.database().query(f"SELECT @@{n}")[0][0] for n in habits}
    session = ["SET time_zone = '-08:00'", "SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'"]
    try:
        for name, value in habits.items():
            source.database.execute(f"SET GLOBAL {name} = '{value}'")
        [record] = source.run(session_sqls=session).records
    finally:
        for name, value in before.items():
            source.database.execute(f"SET GLOBAL {name} = '{value}'")

    assert record == {
        "a": "2024-07-01T12:00:00+00:00",
        "b": "ab",
        "c": "2024-07-01T00:00:00",
        "d": 0.1,
    }


def test_floats_survive_bit_for_bit(source, reader):
    """Random bits, printed and read again, are the same bits."""
    bits = random.Random(7)  # noqa: S311 no secret
    singles = [struct.pack(">I", bits.getrandbits(32)) for _ in range(500)]
    doubles = [struct.pack(">Q", bits.getrandbits(64)) for _ in range(500)]
    singles += [b"\x00\x00\x00\x01", b"\x7f\x7f\xff\xff"]
    doubles += [b"\x00" * 7 + b"\x01", b"\x7f\xef" + b"\xff" * 6]
    pairs = [
        (single, double)
        for single, double in zip(singles, doubles, strict=True)
        if abs(struct.unpack(">f", single)[0]) < float("inf")
        and abs(struct.unpack(">d", double)[0]) < float("inf")
    ]
    rows = ", ".join(
        f"({i}, {struct.unpack('>f', single)[0]!r}, {struct.unpack('>d', double)[0]!r})"
        for i, (single, double) in enumerate(pairs)
    )
    source.sql(
        "CREATE TABLE t (i int PRIMARY KEY, f float, d double)",
        f"INSERT INTO t VALUES {rows}",
    )

    run = source.run(row_reader=reader)

    assert len(pairs) > 480
    for record, (single, double) in zip(run.records, pairs, strict=True):
        assert struct.pack(">f", record["f"]) == single
        assert struct.pack(">d", record["d"]) == double


def test_each_type_has_one_row_and_each_row_a_policy():
    """The table can be read by people, and no row hides another."""
    names = [name for rule in RULES for name in rule.types]

    assert len(names) == len(set(names))
    assert all(rule.policy.endswith(".") for rule in RULES)
    assert rule_of(MyType("never heard of")).types[-1] == "other"


def test_a_geometry_of_the_other_byte_order_stays_wkb():
    """Its type cannot say that a reference system follows."""
    big_endian = b"\x00" + bytes(4)

    assert columns.wkb(b"\xe6\x10\x00\x00" + big_endian) == big_endian
