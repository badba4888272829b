"""The value table against a real server: every type, and its worst values."""

from __future__ import annotations

import base64
import json
import math
import struct

from dativo_core import singer_types as st
from hypothesis import given
from hypothesis import strategies as hy
from tap_postgres.pg_types import Options, PgType, numeric_digits
from tap_postgres.rules import RULES, Rule, rule_of
from tap_postgres.values import describe

LONG = "x" * 100
BYTES = base64.b64encode(LONG.encode()).decode()

# (declared type, SQL value, JSON value)
MATRIX = [
    ("bool", "true", True),
    ("int2", "-32768", -32768),
    ("int4", "2147483647", 2147483647),
    ("int8", "-9223372036854775808", -(2**63)),
    ("int8", "9007199254740993", 9007199254740993),
    ("oid", "4294967295", 4294967295),
    ("float4", "0.1", 0.1),
    ("float4", "16777216", 16777216),
    ("float8", "0.1", 0.1),
    ("float8", "5e-324", 5e-324),
    ("float8", "1.7976931348623157e308", 1.7976931348623157e308),
    ("float8", "'NaN'", "NaN"),
    ("float8", "'Infinity'", "Infinity"),
    ("float4", "'-Infinity'", "-Infinity"),
    ("numeric(38, 18)", "'12345678901234567890.123456789012345678'", None),
    ("numeric(12, 2)", "1.10", "1.10"),
    ("numeric(3, -2)", "99900", "99900"),
    ("numeric(3, 5)", "0.00999", "0.00999"),
    ("numeric(12, 2)", "'NaN'", "NaN"),
    ("numeric", "1e-50::numeric + 1e50::numeric", None),
    ("numeric", "'Infinity'", "Infinity"),
    ("numeric(100, 2)", "1e80::numeric", None),
    ("money", "'-12.34'", "-12.34"),
    ("money", "'92233720368547758.07'", "92233720368547758.07"),
    ("text", "''", ""),
    ("text", "E'a\\n\\t\\\\\"\\u0001\\U0001F600'", 'a\n\t\\"\x01😀'),
    ("varchar(5)", "'ab '", "ab "),
    ("char(5)", "'ab'", "ab   "),
    ("name", "'n'", "n"),
    ('"char"', "'c'", "c"),
    ("citext", "'CaSe'", "CaSe"),
    ("bit(8)", "B'10000001'", "10000001"),
    ("varbit", "B'101'", "101"),
    ("bytea", "'\\x00ff10'", "AP8Q"),
    ("bytea", f"'{LONG}'", BYTES),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", None),
    ("date", "'2024-02-29'", "2024-02-29"),
    ("date", "'infinity'", "infinity"),
    ("date", "'0044-03-15 BC'", "0044-03-15 BC"),
    ("timestamp", "'2024-02-29 23:59:59.999999'", "2024-02-29T23:59:59.999999"),
    ("timestamp", "'-infinity'", "-infinity"),
    ("timestamp", "'10000-01-01'", "10000-01-01T00:00:00"),
    ("timestamptz", "'2024-03-10 01:30:00+02'", "2024-03-09T23:30:00+00:00"),
    ("timestamptz", "'0001-01-01 00:00:00+00'", "0001-01-01T00:00:00+00:00"),
    ("timestamptz", "'0044-03-15 BC'", "0044-03-15T00:00:00+00:00 BC"),
    ("timestamptz", "'infinity'", "infinity"),
    ("time", "'23:59:59.999999'", "23:59:59.999999"),
    ("time", "'24:00'", "24:00:00"),
    ("timetz", "'12:00:00+05:30'", "12:00:00+05:30"),
    ("interval", "'1 mon 2 days -00:00:03.5'", "P1M2DT-3.5S"),
    ("json", '\'{"a" : 1.10,\n "a": 12345678901234567890}\'', None),
    ("jsonb", '\'{"b": 1.10, "a": null}\'', '{"a": null, "b": 1.10}'),
    ("hstore", "'a=>1, b=>NULL'", '{"a": "1", "b": null}'),
    ("pair", "ROW(1, 'x\"y')::pair", '{"n":1,"t":"x\\"y"}'),
    ("mood", "'so ''so'''", "so 'so'"),
    ("cents", "'1.25'", "1.25"),
    ("few", "'{1,2}'", [1, 2]),
    ("int4range", "'[1,5]'", "[1,6)"),
    ("int4multirange", "'{[1,2],[5,6]}'", "{[1,3),[5,7)}"),
    ("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
    ("cidr", "'10.0.0.0/8'", "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    ("point", "'(1,2)'", "(1,2)"),
    ("xml", "'<a b=\"c\"/>'", '<a b="c"/>'),
    ("tsvector", "'a b'", "'a' 'b'"),
    ("jsonpath", "'$.a[*]'", '$."a"[*]'),
    ("pg_lsn", "'16/B374D848'", "16/B374D848"),
    ("regclass", "'pg_class'", "pg_class"),
    ("int2vector", "'1 2'", "1 2"),
    ("int4[]", "'{1,NULL,-2}'", [1, None, -2]),
    ("int4[]", "'{}'", []),
    ("int4[][]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]),
    ("int4[]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]),
    ("int8[]", "'{9223372036854775807}'", [2**63 - 1]),
    ("oid[]", "'{4294967295}'", [4294967295]),
    ("float8[]", "'{0.1,NaN,NULL}'", [0.1, "NaN", None]),
    ("bool[]", "'{t,f}'", [True, False]),
    ("numeric(12, 2)[]", "'{1.10,NaN}'", ["1.10", "NaN"]),
    ("money[]", "'{1.25,2}'", ["1.25", "2.00"]),
    ("text[]", "ARRAY['a,\"b', '', NULL, E'\\n']", ['a,"b', "", None, "\n"]),
    ("char(3)[]", "'{a}'", ["a  "]),
    ("bytea[]", f"ARRAY['\\x00ff10', NULL, '{LONG}']::bytea[]", ["AP8Q", None, BYTES]),
    ("bytea[]", "'{}'", []),
    ("bytea[][]", "ARRAY[ARRAY['\\x00'::bytea]]", '[["\\\\x00"]]'),
    ("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", None),
    ("date[]", "'{2024-02-29,infinity}'", ["2024-02-29", "infinity"]),
    ("timestamptz[]", "'{2024-01-01 00:00:00+00}'", ["2024-01-01T00:00:00+00:00"]),
    ("interval[]", "'{1 day}'", ["P1D"]),
    ("jsonb[]", "ARRAY['{\"a\": 1.10}'::jsonb, NULL]", ['{"a": 1.10}', None]),
    ("json[]", "ARRAY['[1, 2]'::json]", ["[1, 2]"]),
    ("pair[]", "ARRAY[ROW(1, 'x')::pair, NULL]", ['{"n":1,"t":"x"}', None]),
    ("mood[]", "'{ok}'", ["ok"]),
    ("cents[]", "'{1.25}'", ["1.25"]),
    ("few[]", "ARRAY['{1,2}']::few[]", [[1, 2]]),
    ("point[]", "ARRAY['(1,2)'::point]", ["(1,2)"]),
    ("int4range[]", "ARRAY['[1,5]'::int4range]", ["[1,6)"]),
]
TYPES = """
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE TYPE pair AS (n int, t text);
CREATE TYPE mood AS ENUM ('ok', 'so ''so''');
CREATE DOMAIN amount AS numeric(12, 2);
CREATE DOMAIN cents AS amount CHECK (VALUE < 100);
CREATE DOMAIN few AS int4[];
"""


def test_every_value_arrives_as_the_table_says(source):
    """One query reads all types at once; what Postgres prints decides."""
    columns = ", ".join(f"c{i} {declared}" for i, (declared, _, _) in enumerate(MATRIX))
    literals = ", ".join(value for _, value, _ in MATRIX)
    printed = ", ".join(f"c{i}::text" for i in range(len(MATRIX)))
    source.sql(
        TYPES, f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES ({literals})"
    )
    source.sql("INSERT INTO t VALUES (NULL)")
    [server, _] = source.database.query(f"SELECT {printed} FROM t")

    full, empty = source.run().records

    for i, (declared, value, as_json) in enumerate(MATRIX):
        as_text = [server[i][1:-1]] if declared.endswith("[]") else server[i]
        expected = as_text if as_json is None else as_json
        found = full[f"c{i}"]
        assert found == expected, (declared, value)
        assert type(found) is type(expected) or isinstance(expected, float)
    assert set(empty.values()) == {None}


def test_the_schema_says_what_the_values_are(source):
    """Widths, scales, zones and encodings are in the catalog and in the SCHEMA."""
    expected = {
        "a int2": st.signed(16),
        "b numeric(5, 2)": st.decimal(5, 2),
        "c numeric(3, -2)": st.decimal(5, 0),
        "d numeric(3, 5)": st.decimal(5, 5),
        "e numeric(39, 0)": st.text(),
        "f numeric": st.text(),
        "g timestamp": st.timestamp(zoned=False),
        "h timestamptz(3)": st.timestamp(zoned=True),
        "i bytea": st.binary(),
        "j jsonb": st.json_text(),
        "k money": st.decimal(19, 2),
        "l cents": st.decimal(12, 2),
        "m few[][]": st.array(st.array(st.array(st.signed(32)))),
        "n pair[]": st.array(st.json_text()),
        "o bytea[][]": st.json_text(),
        "p real": st.real(32),
    }
    source.sql(TYPES, f"CREATE TABLE t ({', '.join(expected)})")
    by_name = {column.split()[0]: schema for column, schema in expected.items()}

    catalog = source.catalog("public-t")
    [schema] = source.run(catalog).of("SCHEMA")

    assert catalog["streams"][0]["schema"]["properties"] == by_name
    assert schema["schema"]["properties"] == by_name


def test_special_dates_and_floats_may_become_null(source):
    """By setting; what is ordinary stays."""
    source.sql(
        "CREATE TABLE t (a date, b timestamp, c timestamptz, d float4, e float8)",
        "INSERT INTO t VALUES ('infinity', '10000-01-01', '-infinity', 'NaN', '-inf')",
        "INSERT INTO t VALUES ('0044-01-01 BC', 'infinity', '0001-01-01 BC', 1, 2)",
        "INSERT INTO t VALUES ('0001-01-01', '9999-12-31', '2024-01-01Z', '-0', 0)",
    )

    run = source.run(special_dates="null", non_finite_floats="null")

    assert [tuple(record.values()) for record in run.records] == [
        (None, None, None, None, None),
        (None, None, None, 1, 2),
        ("0001-01-01", "9999-12-31T00:00:00", "2024-01-01T00:00:00+00:00", 0, 0),
    ]
    assert math.copysign(1, run.records[2]["d"]) == -1


def test_every_built_in_type_can_be_read(source):
    """Nothing in pg_type that a column may have stops the query."""
    names = source.database.query(
        "SELECT format_type(oid, NULL) FROM pg_type WHERE typtype IN ('b', 'r', 'm') "
        "AND typnamespace = 'pg_catalog'::regnamespace AND typcategory <> 'Z' "
        "AND typname NOT LIKE 'pg\\_%' AND NOT EXISTS (SELECT FROM pg_type item "
        "WHERE item.oid = pg_type.typelem AND item.typtype IN ('c', 'p')) ORDER BY oid"
    )
    columns = ", ".join(f"c{i} {name}" for i, [name] in enumerate(names))
    source.sql(f"CREATE TABLE t ({columns})", "INSERT INTO t VALUES (NULL)")

    [record] = source.run().records

    assert len(record) == len(names) > 100


def test_values_do_not_depend_on_the_habits_of_the_database(source):
    """Time zone, styles and precision are set by the tap."""
    name = source.database.name
    source.sql(
        "CREATE TABLE t (a timestamptz, b interval, c date, d float8)",
        "INSERT INTO t VALUES ('2024-01-01Z', '1 day', '2024-02-01', 0.1::float8 * 3)",
        f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Kolkata'",
        f"ALTER DATABASE \"{name}\" SET intervalstyle = 'postgres_verbose'",
        f"ALTER DATABASE \"{name}\" SET datestyle = 'SQL, DMY'",
        f'ALTER DATABASE "{name}" SET extra_float_digits = 0',
        f'ALTER DATABASE "{name}" SET standard_conforming_strings = off',
    )

    [record] = source.run().records

    assert record == {
        "a": "2024-01-01T00:00:00+00:00",
        "b": "P1D",
        "c": "2024-02-01",
        "d": 0.1 * 3,
    }


def test_floats_survive_bit_for_bit(source):
    """Random bits, printed and read again, are the same bits."""
    bits = [
        b"\x00\x00\x00\x01",
        b"\x7f\x7f\xff\xff",
        b"\x3e\xaa\xaa\xab",
        b"\xc0\x49\x0f\xdb",
    ]
    numbers = [struct.unpack(">f", four)[0] for four in bits]
    rows = ", ".join(f"({i}, '{n!r}'::float4)" for i, n in enumerate(numbers))
    source.sql(
        "CREATE TABLE t (i int PRIMARY KEY, f float4)", f"INSERT INTO t VALUES {rows}"
    )

    run = source.run()

    assert [struct.pack(">f", value) for value in run.values("f")] == bits


@given(hy.integers(1, 1000), hy.integers(-1000, 1000))
def test_the_modifier_of_a_numeric_is_read_as_postgres_packs_it(precision, scale):
    """Precision and scale hold every value, or the column is text."""
    digits = numeric_digits((precision << 16 | scale & 0x7FF) + 4)

    whole = max(precision - scale, 0)
    if digits is None:
        assert max(precision, scale, precision - scale) > 38
    else:
        assert digits[0] - digits[1] >= whole
        assert digits[1] >= scale


def test_each_type_has_one_row_and_each_row_a_policy():
    """The table can be read by people, and no row hides another."""
    names = [name for rule in RULES for name in rule.types]

    assert len(names) == len(set(names))
    assert all(isinstance(rule, Rule) and rule.policy.endswith(".") for rule in RULES)
    assert rule_of(PgType("never heard of")).types == ("other",)


def test_an_unknown_array_is_a_list_of_texts():
    """Elements of unknown types go as Postgres prints them."""
    value = describe(PgType("_x", element=PgType("x"), dimensions=2), "c", Options())

    assert value.schema == st.array(st.array(st.text()))
    assert json.dumps(value.schema)
