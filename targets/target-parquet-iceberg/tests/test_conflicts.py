"""Columns whose type changes, and shapes that few tables have."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from dativo_core.errors import ConfigurationError
from target_parquet_iceberg.conflicts import Policy, fused, settle
from target_parquet_iceberg.plan import Plan
from target_parquet_iceberg.schema import Column

NUMBER, TEXT = {"type": ["integer", "null"]}, {"type": ["string", "null"]}
ALL_DEAD = {"dead_letter": {"max_ratio": 1}}


def money(precision, scale):
    """Return the JSON Schema of a decimal."""
    return {
        "type": ["string", "null"],
        "format": "x-singer.decimal",
        "precision": precision,
        "scale": scale,
    }


def load(lake, say, number, kind, *values, **settings):
    """Run the target once: column `x` of one type, with an id beside it."""
    head = say.schema("s", ("id",), id="integer", x=kind)
    rows = [say.record("s", id=10 * number + i, x=v) for i, v in enumerate(values)]
    before = [say.state(s={"n": number - 1})] if number else []
    return lake.load(*before, head, *rows, say.state(s={"n": number}), **settings)


def table_of(lake, columns="*"):
    """Return the rows by id, as both engines agree."""
    theirs = lake.query(f"SELECT {columns} FROM lake.s ORDER BY id")
    ours = lake.table("s").scan().to_arrow().sort_by("id").to_pylist()
    assert len(ours) == len(theirs)
    return theirs


def test_widen_stops_at_what_cannot_be_widened(lake, say) -> None:
    """By default int becomes long, and a string for a number ends in 78."""
    small = {"type": "integer", "minimum": 0, "maximum": 9}
    assert load(lake, say, 0, small, 1).code == 0
    assert load(lake, say, 1, NUMBER, 2**40).code == 0
    outcome = load(lake, say, 2, TEXT, "x")
    assert outcome.code == 78
    assert "column 'x' is int64 in the table and string" in outcome.errors[-1]
    assert table_of(lake) == [(0, 1), (10, 2**40)]


def test_fail_does_not_even_widen(lake, say) -> None:
    """With fail a wider type stops the run too; a new column or a narrower one not."""
    small = {"type": "integer", "minimum": 0, "maximum": 9}
    assert load(lake, say, 0, NUMBER, 1).code == 0
    assert load(lake, say, 1, small, 2, on_type_conflict="fail").code == 0
    head = say.schema("s", ("id",), id="integer", x=NUMBER, y="string")
    record = say.record("s", id=20, x=3, y="new")
    assert (
        lake.load(
            say.state(s={"n": 1}),
            head,
            record,
            say.state(s={"n": 2}),
            on_type_conflict="fail",
        ).code
        == 0
    )
    outcome = load(lake, say, 3, {"type": "number"}, 1.5, on_type_conflict="fail")
    assert outcome.code == 78
    assert table_of(lake) == [(0, 1, None), (10, 2, None), (20, 3, "new")]


def test_fail_refuses_a_wider_type(lake, say) -> None:
    """An int column stays an int column."""
    small = {"type": "integer", "minimum": 0, "maximum": 9}
    assert load(lake, say, 0, small, 1).code == 0
    outcome = load(lake, say, 1, NUMBER, 2**40, on_type_conflict="fail")
    assert outcome.code == 78


@pytest.mark.parametrize(
    ("kind", "value", "column", "stored"),
    [
        (TEXT, "a", "x__string", "a"),
        ({"type": "boolean"}, True, "x__boolean", True),
        ({"type": "number"}, 1.5, "x__double", 1.5),
        (
            {"type": "object", "properties": {"a": NUMBER}},
            {"a": 1},
            "x__struct",
            {"a": 1},
        ),
        ({"type": "array", "items": TEXT}, ["p"], "x__list", ["p"]),
        ({}, {"free": 1}, "x__json", '{"free": 1}'),
    ],
)
def test_new_column(lake, say, kind, value, column, stored) -> None:
    """The new values lie beside the old ones, run after run, and both can be read."""
    policy = {"on_type_conflict": "new_column"}
    assert load(lake, say, 0, NUMBER, 1, **policy).code == 0
    for number in (1, 2):
        assert load(lake, say, number, kind, value, **policy).code == 0
    found = table_of(lake, f'id, x, "{column}"')
    assert found == [(0, 1, None), (10, None, stored), (20, None, stored)]
    assert load(lake, say, 3, NUMBER, 7, **policy).code == 0
    assert table_of(lake, "id, x")[-1] == (30, 7)


def test_new_column_within_one_run(lake, say) -> None:
    """A SCHEMA in the middle of a run: rows before it and after it keep their order."""
    messages = [
        say.schema("s", ("id",), id="integer", x=NUMBER),
        say.record("s", id=1, x=5),
        say.schema("s", ("id",), id="integer", x=TEXT),
        say.record("s", id=1, x="five"),
        say.record("s", id=2, x="two"),
        say.schema("s", ("id",), id="integer", x={"type": "boolean"}),
        say.record("s", id=2, x=True),
        say.record("s", id=3, x=False),
        say.state(s={"n": 1}),
    ]
    assert lake.load(*messages, on_type_conflict="new_column").code == 0
    found = table_of(lake, "id, x, x__string, x__boolean")
    assert found == [
        (1, None, "five", None),
        (2, None, None, True),
        (3, None, None, False),
    ]


def test_new_columns_in_the_stage_conflict_too(lake, say) -> None:
    """A column that only waits to be stored is respected like one in the table."""
    messages = [
        say.schema("s", ("id",), id="integer"),
        say.record("s", id=1),
        say.schema("s", ("id",), id="integer", y=NUMBER),
        say.record("s", id=2, y=2),
        say.schema("s", ("id",), id="integer", y=TEXT),
        say.record("s", id=3, y="three"),
        say.state(s={"n": 1}),
    ]
    assert lake.load(*messages, on_type_conflict="new_column").code == 0
    assert table_of(lake, "id, y, y__string") == [
        (1, None, None),
        (2, 2, None),
        (3, None, "three"),
    ]


def test_json(lake, say) -> None:
    """Whatever comes for a typed column is kept digit for digit in `<name>__json`."""
    policy = {"on_type_conflict": "json"}
    assert load(lake, say, 0, NUMBER, 1, **policy).code == 0
    assert load(lake, say, 1, TEXT, "a", None, **policy).code == 0
    shape = {"type": "object", "properties": {"a": {"type": "number"}}}
    assert load(lake, say, 2, shape, {"a": 1.10}, **policy).code == 0
    found = table_of(lake, "id, x, x__json")
    assert [row[:2] for row in found] == [(0, 1), (10, None), (11, None), (20, None)]
    assert [row[2] and json.loads(row[2]) for row in found] == [
        None,
        "a",
        None,
        {"a": 1.1},
    ]


@pytest.mark.parametrize("name", ["X", "o.a"])
def test_new_field_with_the_path_of_another(lake, say, name) -> None:
    """Most engines could not read the table any more: it stays as it was."""
    shape = {"type": "object", "properties": {"a": NUMBER}}
    head = say.schema("s", ("id",), id="integer", x=NUMBER, o=shape)
    row = say.record("s", id=1, x=1, o={"a": 2})
    assert lake.load(head, row, say.state(s={"n": 1})).code == 0
    head = say.schema("s", ("id",), id="integer", **{name: NUMBER})
    row = say.record("s", id=2, **{name: 3})
    outcome = lake.load(say.state(s={"n": 1}), head, row, say.state(s={"n": 2}))
    assert (outcome.code, outcome.states) == (78, [])
    assert table_of(lake, "id, x, o.a") == [(1, 1, 2)]


@pytest.mark.parametrize(
    ("inside", "levels", "code"),
    [
        (lambda kind: {"type": "array", "items": kind}, 31, 0),
        (lambda kind: {"type": "array", "items": kind}, 32, 78),
        (lambda kind: {"type": "object", "properties": {"a": kind}}, 31, 0),
        (lambda kind: {"type": "object", "properties": {"a": kind}}, 32, 78),
        (lambda kind: {"type": "object", "properties": {"a": kind}}, 400, 78),
    ],
)
def test_shape_that_is_too_deep_ends_its_stream(
    lake, say, inside, levels, code
) -> None:
    """Its table could not be read; as JSON text it is stored, up to a limit."""
    kind, value = NUMBER, 1
    for _ in range(levels):
        kind = inside(kind)
        value = [value] if kind["type"] == "array" else {"a": value}
    other = [say.schema("t", id="integer"), say.record("t", id=1)]
    head = say.schema("s", ("id",), id="integer", x=kind)
    rows = [*other, say.record("s", id=1, x=value), say.state(s={}, t={"n": 1})]
    assert lake.load(head, *rows).code == code
    assert lake.query("SELECT id FROM lake.t") == [(1,)]
    if code == 0:
        assert lake.rows("s") == [{"id": 1, "x": value}]
    elif levels < 100:
        assert lake.load(head, *rows, nested="json").code == 0
        assert json.loads(lake.rows("s")[0]["x"]) == value


def test_parts_that_differ_by_case_end_their_stream(lake, say) -> None:
    """As columns do, but as JSON text they can be stored."""
    shape = {"type": "object", "properties": {"a": NUMBER, "A": NUMBER}}
    assert load(lake, say, 0, shape, {"a": 1, "A": 2}).code == 78
    assert load(lake, say, 0, shape, {"a": 1, "A": 2}, nested="json").code == 0
    assert table_of(lake, "x") == [('{"a": 1, "A": 2}',)]


def test_dead_letter(lake, say) -> None:
    """Rows that fit the table's type are stored, others are dead letters."""
    policy = {"on_type_conflict": "dead_letter", **ALL_DEAD}
    assert load(lake, say, 0, NUMBER, 1).code == 0
    outcome = load(
        lake,
        say,
        1,
        {"type": ["number", "string", "null"]},
        "a",
        2,
        None,
        2.5,
        **policy,
    )
    assert outcome.code == 0
    assert table_of(lake) == [(0, 1), (11, 2), (12, None)]
    assert [(d["stage"], d["path"], d["expected"]) for d in lake.dead()] == [
        ("cast", "x", "integer of 64 bits")
    ] * 2
    assert [json.loads(d["record"])["id"] for d in lake.dead()] == [10, 13]


def test_dead_letter_inside_a_struct(lake, say) -> None:
    """A conflict deep inside names its path; new parts beside it are stored."""
    old = {
        "type": "object",
        "properties": {
            "a": NUMBER,
            "b": {"type": "object", "properties": {"c": NUMBER}},
        },
    }
    new = {
        "type": "object",
        "properties": {
            "a": NUMBER,
            "b": {"type": "object", "properties": {"c": TEXT, "d": TEXT}},
        },
    }
    policy = {"on_type_conflict": "dead_letter", **ALL_DEAD}
    assert load(lake, say, 0, old, {"a": 1, "b": {"c": 1}}).code == 0
    values = (
        {"a": 2, "b": {"c": "no", "d": "x"}},
        {"a": 3, "b": {"c": None, "d": "yes"}},
    )
    assert load(lake, say, 1, new, *values, **policy).code == 0
    assert [d["path"] for d in lake.dead()] == ["x.b.c"]
    assert table_of(lake, "id, x.b.c, x.b.d") == [(0, 1, None), (11, None, "yes")]


def test_dead_letter_keeps_json_text_inside_a_struct(lake, say) -> None:
    """A free-form part beside a conflict is stored as before, at any depth."""

    def shape(kind):
        inner = {"type": "array", "items": {"type": "object", "properties": FREE}}
        return {"type": "object", "properties": {**FREE, "y": kind, "l": inner}}

    value = {"x": "a", "l": [{"x": {"k": 1}}]}
    policy = {"on_type_conflict": "dead_letter", **ALL_DEAD}
    assert load(lake, say, 0, shape(TEXT), value).code == 0
    assert load(lake, say, 1, shape(NUMBER), value, {"x": 5}, **policy).code == 0
    assert lake.dead() == []
    assert table_of(lake, "id, x.x, x.l[1].x") == [
        (0, '"a"', '{"k":1}'),
        (10, '"a"', '{"k":1}'),
        (11, "5", None),
    ]


FREE = {"x": {}}


def test_policy_by_stream(lake, say) -> None:
    """A stream's own policy wins over the global one."""
    assert load(lake, say, 0, NUMBER, 1).code == 0
    streams = {"s*": {"on_type_conflict": "json"}}
    assert (
        load(lake, say, 1, TEXT, "a", on_type_conflict="fail", streams=streams).code
        == 0
    )
    assert table_of(lake, "id, x__json") == [(0, None), (10, '"a"')]


@pytest.mark.parametrize("policy", ["new_column", "json"])
def test_keys_never_move(lake, say, policy) -> None:
    """A key of another type stops the run: elsewhere it would identify nothing."""
    assert load(lake, say, 0, NUMBER, 1).code == 0
    head = say.schema("s", ("id",), id="string", x=NUMBER)
    outcome = lake.load(
        head, say.record("s", id="a"), say.state(s={"n": 1}), on_type_conflict=policy
    )
    assert outcome.code == 78
    assert "'id'" in outcome.errors[-1]


def test_new_name_that_is_taken(lake, say) -> None:
    """A field of the tap that has the new column's name already ends in 78."""
    assert load(lake, say, 0, NUMBER, 1).code == 0
    head = say.schema("s", ("id",), id="integer", x=TEXT, x__string=TEXT)
    outcome = lake.load(
        head,
        say.record("s", id=1, x="a"),
        say.state(s={"n": 1}),
        on_type_conflict="new_column",
    )
    assert outcome.code == 78


@pytest.mark.parametrize(
    ("policy", "stored", "dead"),
    [
        ("dead_letter", [(0, "1.25"), (10, "1.50")], 1),
        ("new_column", [(0, "1.25"), (10, None), (11, None)], 0),
    ],
)
def test_decimal_scale(lake, say, policy, stored, dead) -> None:
    """The format forbids another scale: what does not need it is stored still."""
    assert load(lake, say, 0, money(10, 2), "1.25").code == 0
    assert load(lake, say, 1, money(10, 4), "1.5").code == 78
    outcome = load(
        lake,
        say,
        1,
        money(10, 4),
        "1.5000",
        "1.2345",
        on_type_conflict=policy,
        **ALL_DEAD,
    )
    assert outcome.code == 0
    found = [(row[0], row[1] and str(row[1])) for row in table_of(lake, "id, x")]
    assert (found, len(lake.dead())) == (stored, dead)
    if policy == "new_column":
        assert str(table_of(lake, "x__decimal_38_4")[2][0]) == "1.2345"


def test_decimal_precision_is_widened(lake, say) -> None:
    """More digits before the point are no conflict."""
    assert load(lake, say, 0, money(4, 2), "1.25").code == 0
    assert load(lake, say, 1, money(20, 2), "123456789.25").code == 0
    assert [str(row[1]) for row in table_of(lake)] == ["1.25", "123456789.25"]


def test_all_null_columns(lake, say) -> None:
    """A column without a type holds JSON text, so nothing it may bring is lost."""
    nothing = {"type": "null"}
    assert load(lake, say, 0, nothing, None).code == 0
    assert load(lake, say, 1, nothing, {"a": 1}).code == 0
    assert load(lake, say, 2, NUMBER, 5, on_type_conflict="new_column").code == 0
    assert table_of(lake, "id, x, x__long") == [
        (0, None, None),
        (10, '{"a": 1}', None),
        (20, None, 5),
    ]


def test_empty_structs(lake, say) -> None:
    """An object without declared parts, at the top or inside, is JSON text."""
    empty = {"type": "object", "properties": {}}
    empties = {"type": ["array", "null"], "items": empty}
    shape = {"type": "object", "properties": {"e": empty, "l": empties}}
    assert load(lake, say, 0, empty, {}, {"a": 1}).code == 0
    head = say.schema("u", e=shape)
    assert (
        lake.load(
            head, say.record("u", e={"e": {}, "l": None}), say.state(u={"n": 1})
        ).code
        == 0
    )
    assert table_of(lake) == [(0, "{}"), (1, '{"a": 1}')]
    assert lake.query("SELECT e.e FROM lake.u") == [("{}",)]


@pytest.mark.parametrize("is_for_all", [True, False])
def test_nested_as_text(lake, say, is_for_all) -> None:
    """With `nested: json` a known shape is checked, and stored as the text it was."""
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}}
    listed = {"type": ["array", "null"], "items": {"type": "integer"}}
    own = {"nested": "json"}
    settings = own if is_for_all else {"streams": {"s": own}}
    outcome = lake.load(
        say.schema("s", ("id",), id="integer", x=shape, y=listed),
        say.record("s", id=1, x={"n": 2**70, "more": [1.50]}, y=[1, None]),
        say.record("s", id=2, x={"n": 7, "more": None}, y=[]),
        say.record("s", id=3, x={"n": "seven"}, y=None),
        say.state(s={"n": 1}),
        **settings,
        **ALL_DEAD,
    )
    assert outcome.code == 0
    assert table_of(lake, "id, x, y") == [
        (2, '{"n": 7, "more": null}', "[]"),
    ]
    assert [d["path"] for d in lake.dead()] == ["y.1", "x.n"]


def test_nanoseconds(lake, say) -> None:
    """Digits beyond microseconds are a dead letter, unless they are zeros."""
    moment = {"type": ["string", "null"], "format": "date-time"}
    values = "2024-01-02T03:04:05.123456000Z", "2024-01-02T03:04:05.123456789Z"
    assert load(lake, say, 0, moment, *values, **ALL_DEAD).code == 0
    assert table_of(lake, "id, microsecond(x)") == [(0, 5_123_456)]
    assert [d["path"] for d in lake.dead()] == ["x"]


def test_five_thousand_columns(lake, say) -> None:
    """A very wide table is stored, extended and read."""
    names = [f"c{number}" for number in range(5_000)]
    for number, count in enumerate((4_999, 5_000)):
        head = say.schema(
            "s", ("id",), id="integer", **dict.fromkeys(names[:count], "integer")
        )
        values = {name: place for place, name in enumerate(names[:count])}
        before = [say.state(s={"n": 0})] if number else []
        outcome = lake.load(
            *before,
            head,
            say.record("s", id=number, **values),
            say.state(s={"n": number}),
        )
        assert outcome.code == 0, outcome.errors
    assert lake.query("SELECT c0, c4998, c4999 FROM lake.s ORDER BY id") == [
        (0, 4998, None),
        (0, 4998, 4999),
    ]


def test_deep_nesting(lake, say) -> None:
    """Twenty levels of objects and lists, and then a new part at the bottom."""
    for number, leaf in enumerate(({"v": NUMBER}, {"v": NUMBER, "w": TEXT})):
        kind = {"type": "object", "properties": leaf}
        value = {"v": number, "w": "new"} if number else {"v": 0}
        for level in range(20):
            if level % 2:
                kind, value = {"type": "array", "items": kind}, [value]
            else:
                kind, value = (
                    {"type": "object", "properties": {"n": kind}},
                    {"n": value},
                )
        assert load(lake, say, number, kind, value).code == 0
    ours = lake.table("s").scan().to_arrow().sort_by("id").to_pylist()
    bottoms = []
    for row in ours:
        part = row["x"]
        for _ in range(20):
            part = part[0] if isinstance(part, list) else part["n"]
        bottoms.append(part)
    assert bottoms == [{"v": 0, "w": None}, {"v": 1, "w": "new"}]
    assert len(lake.query("SELECT x FROM lake.s")) == 2


def test_lists_of_structs_evolve(lake, say) -> None:
    """Items get new parts and wider ones; old items have null there."""
    small = {"type": "integer", "minimum": 0, "maximum": 9}
    item = {"type": ["object", "null"], "properties": {"a": small}}
    old = {"type": ["array", "null"], "items": item}
    new = {**old, "items": {**item, "properties": {"b": TEXT, "a": NUMBER}}}
    assert load(lake, say, 0, old, [{"a": 1}, None], [], None).code == 0
    assert load(lake, say, 1, new, [{"b": "x", "a": 2**40}]).code == 0
    found = [row[1] for row in table_of(lake)]
    assert found == [[{"a": 1, "b": None}, None], [], None, [{"a": 2**40, "b": "x"}]]


def test_long_and_odd_names(lake, say) -> None:
    """Names of 300 characters, SQL words, dots, quotes and spaces are kept."""
    names = [
        "n" * 300,
        "select",
        "a.b",
        "a b",
        "žluť",
        '"',
        "1st",
        "_x",
        "value",
        "pos",
    ]
    head = say.schema("s", ("id",), id="integer", **dict.fromkeys(names, "integer"))
    values = {name: place for place, name in enumerate(names)}
    chosen = {
        "streams": {"s": {"sort_by": ["a.b"], "partition_by": ["truncate(5, a b)"]}}
    }
    for number in (0, 1):
        outcome = lake.load(
            say.state(s={"n": number}),
            head,
            say.record("s", id=number, **values),
            say.state(s={"n": number + 1}),
            **chosen,
        )
        assert outcome.code == 0, outcome.errors
    ours = lake.table("s").scan().to_arrow().sort_by("id")
    assert ours.column_names == ["id", *names]
    theirs = lake.query("SELECT * FROM lake.s ORDER BY id")
    assert theirs == [tuple(row.values()) for row in ours.to_pylist()]


@pytest.mark.parametrize(
    "name",
    [
        "_file",
        "_pos",
        "_deleted",
        "_spec_id",
        "_partition",
        "_row_id",
        "__dativo_position",
    ],
)
def test_reserved_names(lake, say, name) -> None:
    """Names that Iceberg or the target need for themselves end in 78."""
    outcome = lake.load(say.schema("s", id="integer", **{name: "integer"}))
    assert outcome.code == 78
    assert name in outcome.errors[-1]


def test_fused_types() -> None:
    """The table's type is kept where the types conflict, extended where they do not."""
    old = pa.struct(
        [("a", pa.int32()), ("l", pa.list_(pa.field("element", pa.int64())))]
    )
    new = pa.struct(
        [
            ("a", pa.int64()),
            ("l", pa.list_(pa.field("element", pa.string()))),
            ("n", pa.bool_()),
        ]
    )
    assert fused(old, new) == pa.struct(
        [
            ("a", pa.int64()),
            ("l", pa.list_(pa.field("element", pa.int64()))),
            ("n", pa.bool_()),
        ]
    )


def test_settle_is_stable() -> None:
    """Settling against a table that has the new column already changes nothing."""
    column = Column("x", pa.int32(), "integer")
    plan = Plan("s", "s", (column,), (), None, on_type_conflict=Policy.NEW_COLUMN)
    (beside,) = settle(plan, pa.schema([("x", pa.string())]))
    assert (beside.name, beside.type, beside.field) == ("x__long", pa.int64(), "x")
    assert settle(plan, pa.schema([("x", pa.string()), ("x__long", pa.int64())])) == (
        beside,
    )
    with pytest.raises(ConfigurationError):
        settle(plan, pa.schema([("x", pa.string()), ("x__long", pa.bool_())]))
