"""Complaints about sources, as a person reads them."""

from __future__ import annotations

import pytest
from dativo_core.sql.preflight import Complaint, listed_names


def test_a_line_of_a_log_has_no_more_than_five_statements() -> None:
    """The others are counted."""
    few = Complaint("It hurts.", ("A;", "B;"))
    many = Complaint("It hurts.", tuple(f"S{number};" for number in range(8)))

    assert str(few) == "It hurts. A; B;"
    assert str(many) == "It hurts. S0; S1; S2; S3; S4; And 3 more such statements."


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a"], "Stream a"),
        (["a", "b"], "Streams a, b"),
        (list("abcdef"), "Streams a, b, c, d, e and 1 more"),
    ],
)
def test_a_list_says_how_many_it_leaves_out(names: list[str], told: str) -> None:
    """In the singular if there is one."""
    assert listed_names(names, "Stream") == told
