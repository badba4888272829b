"""The invariants of `tests/fuzz`, tried on a few generated inputs and on all seeds."""

from __future__ import annotations

import importlib.util
import json
import sys
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

HERE = Path(__file__).resolve().parent / "fuzz"
FEW = settings(max_examples=200, derandomize=True, deadline=None)


def _invariants() -> dict[str, t.Callable[[bytes], None]]:
    path = HERE / "invariants.py"
    spec = importlib.util.spec_from_file_location("fuzz_invariants", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_invariants"] = module
    spec.loader.exec_module(module)
    return module.INVARIANTS


INVARIANTS = _invariants()
SEEDS = [f"{path.parent.name}/{path.name}" for path in sorted(HERE.glob("seeds/*/*"))]
WORDS = [
    json.loads(line.replace("\\x", "\\u00")).encode()
    for line in (HERE / "words.dict").read_text().splitlines()
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "lsn"]), inner, max_size=3)
    ),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())
PIECES = st.sampled_from(WORDS) | JSON | st.binary(max_size=5) | st.just(b"\n")
BYTES = st.lists(PIECES, max_size=12).map(b"".join)
BOOKMARKS = st.dictionaries(
    st.sampled_from("abc"), JSON.map(json.loads), max_size=3
).map(lambda value: json.dumps({"bookmarks": value, "lsn": len(value)}).encode())
INPUTS = {
    "splitter": st.tuples(st.binary(min_size=6, max_size=6), BYTES).map(b"".join),
    "decoder": st.tuples(
        st.binary(min_size=2, max_size=2),
        st.lists(JSON | st.sampled_from(WORDS) | BYTES, max_size=6).map(b"\n".join),
    ).map(b"".join),
    "names": BYTES | st.text(max_size=140).map(lambda x: x.encode("utf8", "replace")),
    "states": st.lists(
        st.tuples(st.binary(min_size=1, max_size=1), BOOKMARKS | JSON).map(b"".join),
        max_size=5,
    ).map(b"\n".join),
}


@pytest.mark.parametrize("name", INPUTS)
def test_invariant_holds(name) -> None:
    """No input breaks it."""

    @FEW
    @given(INPUTS[name])
    def check(data: bytes) -> None:
        INVARIANTS[name](data)

    check()


@pytest.mark.parametrize("seed", SEEDS)
def test_seed_is_still_harmless(seed) -> None:
    """What broke an invariant once, or helps to find more, does not now."""
    INVARIANTS[seed.split("/")[0]]((HERE / "seeds" / seed).read_bytes())
