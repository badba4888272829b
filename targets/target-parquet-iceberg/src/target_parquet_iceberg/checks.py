"""Check values against the rules of their SCHEMA: whole columns, or one by one.

`check` is the one judge. `screen` only finds, column by column, the few values that
are worth asking it about.
"""

from __future__ import annotations

import typing as t
from decimal import Decimal
from functools import cache

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from target_parquet_iceberg import exact_json
from target_parquet_iceberg.values import Unfit

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jsonschema import FormatChecker

    from target_parquet_iceberg.rules import Rule
    from target_parquet_iceberg.schema import Column

NULL = b"null"
Screen: t.TypeAlias = "Callable[[Sequence[t.Any], pa.Array], Iterable[int]]"


def check(value: t.Any, rule: Rule) -> None:
    """Judge one value, as `exact_json` decodes it.

    Raises:
        Unfit: if the rule does not allow it.
    """
    if value is None:
        if not rule.is_nullable:
            raise Unfit("no null", found="null")
        return
    if rule.options and not any(_passes(value, option) for option in rule.options):
        raise Unfit(f"what one of {len(rule.options)} alternatives takes")
    if rule.kinds and not rule.kinds & _kinds(value):
        raise Unfit(" or ".join(sorted(rule.kinds)))
    if rule.enum is not None and not any(_is_same(value, m) for m in rule.enum):
        raise Unfit(_listing(rule.enum), found="another value")
    if rule.text_format and isinstance(value, str):
        _check_format(value, rule.text_format)
    for step, part, inner in _parts(value, rule):
        try:
            check(part, inner)
        except Unfit as unfit:
            path = (step, *unfit.path)
            raise Unfit(unfit.expected, path, found=unfit.found) from None


def judge(value: t.Any, column: Column) -> None:
    """Judge a value as it was parsed for a column.

    Raises:
        Unfit: if the column's rule does not allow it.
    """
    if not (column.rule.is_nullable and column.rule.is_free):
        check(plain(value), column.rule)


def plain(value: t.Any) -> t.Any:
    """Decode a piece of JSON that was left as it is; return any other value.

    Raises:
        Unfit: if it cannot be decoded.
    """
    if not isinstance(value, msgspec.Raw):
        return value
    try:
        return exact_json.decode(value)
    except exact_json.UNDECODABLE as error:
        raise Unfit("valid JSON in UTF-8", found=str(error)) from None


def undeclared(value: t.Any, rule: Rule) -> Iterator[str]:
    """Yield the path of every part that the column has no place for."""
    if isinstance(value, list) and rule.items is not None:
        for item in value:
            yield from (f"[]{path}" for path in undeclared(item, rule.items))
    if not isinstance(value, dict) or not rule.has_gaps:
        return
    known = dict(rule.properties)
    for name in value.keys() - known.keys():
        yield f".{name}"
    for name, inner in known.items():
        if inner.has_gaps:
            yield from (f".{name}{p}" for p in undeclared(value.get(name), inner))


def screen(column: Column) -> Screen | None:
    """Return what finds the suspects of a column; None where all are welcome."""
    rule = column.rule
    if column.kind == "json":
        return None if rule.is_nullable and rule.is_free else _json_screen(rule)
    if column.kind in {"array", "object"}:
        return None if rule.is_free else _everyone
    if pa.types.is_decimal(column.type) and not rule.is_nullable:
        return lambda values, _: range(len(values))
    if rule.is_free:
        return None
    return _scalar_screen(column, rule)


def _everyone(values: Sequence[t.Any], _: pa.Array) -> Iterable[int]:
    return (place for place, value in enumerate(values) if value is not None)


def _scalar_screen(column: Column, rule: Rule) -> Screen:
    kind = column.type
    is_whole = pa.types.is_integer(kind) and not rule.text_format
    if rule.options or not (pa.types.is_string(kind) or is_whole):
        return _everyone
    screens: list[Screen] = []
    if rule.enum is not None:
        members = pa.array([m for m in rule.enum if _holds(m, kind)], kind)
        screens.append(lambda _, a: _missing(pc.is_in(a, members), a))
    if rule.text_format:
        test = _TESTS.get(rule.text_format, _conforming)
        screens.append(lambda _, a: _missing(test(a, rule.text_format), a))
    return lambda values, array: {p for s in screens for p in s(values, array)}


def _holds(member: t.Any, kind: pa.DataType) -> bool:
    if pa.types.is_string(kind):
        return isinstance(member, str)
    limit = 2 ** (kind.bit_width - 1)
    return type(member) is int and -limit <= member < limit


def _json_screen(rule: Rule) -> Screen:
    is_deep = bool(
        rule.options
        or rule.enum is not None
        or rule.text_format
        or rule.properties
        or rule.required
        or rule.items
        or rule.is_closed
    )
    starts = pa.array([s for kind in rule.kinds for s in _STARTS.get(kind, "")])

    def find(values: Sequence[msgspec.Raw | None], text: pa.Array) -> Iterable[int]:
        if is_deep:
            yield from _everyone(values, text)
        elif rule.kinds:
            first = pc.utf8_slice_codeunits(text, 0, 1)
            yield from _missing(pc.is_in(first, starts), text)
        if not rule.is_nullable and not is_deep:
            given = enumerate(values)
            yield from (p for p, v in given if v is not None and bytes(v) == NULL)

    return find


# "integer" is not here: only the judge tells 1.0 from 1.5.
_STARTS = {
    "object": "{",
    "array": "[",
    "string": '"',
    "number": "-0123456789",
    "boolean": "tf",
}


def _missing(is_good: pa.Array, array: pa.Array) -> list[int]:
    is_bad = pc.and_(pc.invert(is_good), pc.is_valid(array))
    places = pc.indices_nonzero(pc.fill_null(is_bad, False))
    return t.cast("list[int]", places.to_pylist())


def _matching(pattern: str) -> Callable[[pa.Array, str], pa.Array]:
    return lambda array, _: pc.match_substring_regex(array, pattern)


def _conforming(array: pa.Array, text_format: str) -> pa.Array:
    known = [text for text in pc.unique(array).to_pylist() if text is not None]
    good = [text for text in known if _conforms(text, text_format)]
    return pc.is_in(array, pa.array(good, pa.string()))


_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_HEX = "[0-9a-fA-F]"
# Each knows a good value when it sees one; the judge decides about the others.
_TESTS: dict[str, Callable[[pa.Array, str], pa.Array]] = {
    "uuid": _matching(f"^{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}$"),
    "ipv4": _matching(rf"^(?:{_BYTE}\.){{3}}{_BYTE}$"),
    "email": _matching("@"),
    "idn-email": _matching("@"),
}


def _check_format(value: str, text_format: str) -> None:
    if not _conforms(value, text_format):
        raise Unfit(f"string in format {text_format}", found="another str")


def _conforms(value: str, text_format: str) -> bool:
    return _formats().conforms(value, text_format)


@cache
def _formats() -> FormatChecker:
    from jsonschema import FormatChecker  # noqa: PLC0415

    return FormatChecker()


def _passes(value: t.Any, rule: Rule) -> bool:
    try:
        check(value, rule)
    except Unfit:
        return False
    return True


def _parts(value: t.Any, rule: Rule) -> Iterator[tuple[str, t.Any, Rule]]:
    if isinstance(value, list) and rule.items is not None:
        yield from ((str(i), item, rule.items) for i, item in enumerate(value))
    if not isinstance(value, dict):
        return
    for name in sorted(rule.required - value.keys()):
        raise Unfit("a value, it is required", (name,), found="nothing")
    known = dict(rule.properties)
    for name in sorted(value.keys() - known.keys() if rule.is_closed else ()):
        raise Unfit("a field of the SCHEMA", (name,), found="an undeclared field")
    yield from ((n, value[n], inner) for n, inner in known.items() if n in value)


def _kinds(value: t.Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, (int, float, Decimal)):
        is_whole = isinstance(value, int) or exact_json.is_whole(value)
        return {"integer", "number"} if is_whole else {"number"}
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return {names[type(value)]}


def _is_same(value: t.Any, member: t.Any) -> bool:
    """Compare as JSON Schema does: 1 is 1.0, but neither of them is true."""
    if isinstance(value, bool) or isinstance(member, bool):
        return value is member
    if isinstance(value, dict) and isinstance(member, dict):
        return value.keys() == member.keys() and all(
            _is_same(part, member[name]) for name, part in value.items()
        )
    if isinstance(value, list) and isinstance(member, list):
        pairs = zip(value, member, strict=False)
        return len(value) == len(member) and all(_is_same(a, b) for a, b in pairs)
    if isinstance(value, Decimal) and isinstance(member, float):
        return float(value) == member
    return bool(value == member)


def _listing(members: Sequence[t.Any]) -> str:
    shown = [exact_json.encode(member).decode()[:40] for member in members[:5]]
    more = f" and {len(members) - 5} more" if len(members) > 5 else ""  # noqa: PLR2004
    return f"one of {', '.join(shown)}{more}"
