"""Generated objects follow from seed, type and position alone."""

from __future__ import annotations

import pytest
from dativo_sandbox.stripe.ids import Ids, Timeline
from dativo_sandbox.stripe.population import Plan, Population
from dativo_sandbox.stripe.shapes import NEWEST, view
from hypothesis import given
from hypothesis import strategies as st

NEW = view(NEWEST, livemode=True)
SPAN = Timeline(1_700_000_000, 1_760_000_000)


def population(seed=0, customers=300):
    """Return all objects of an account."""
    return Population(Plan("acct_1", seed, customers, 2, SPAN))


@given(st.integers(0, 2**90), st.text("abc_", max_size=5))
def test_ids_can_be_read_back(position, prefix):
    """An id says which position it names, whatever its prefix."""
    ids = Ids(prefix, "salt")
    assert ids.position(ids.at(position)) == position


@pytest.mark.parametrize("name", ["", "cus_", "cus_12", "ch_" + "0" * 24])
def test_other_names_are_no_ids(name):
    """A name of another kind, or of nothing, has no position."""
    assert Ids("cus_").position(name) is None
    assert Ids("cus_").position("cus_" + "z" * 24) is None


def test_ids_do_not_sort_as_they_were_made():
    """Nobody can page by comparing ids."""
    names = [Ids("cus_").at(n) for n in range(50)]
    assert names != sorted(names)
    assert len({*names, *(Ids("cus_", 1).at(n) for n in range(50))}) == 100


@given(st.integers(1, 5_000))
def test_time_goes_forward_within_its_span(count):
    """Positions are in the order of creation, within the span."""
    times = [SPAN.created(n, count) for n in range(count)]
    assert times == sorted(times)
    assert SPAN.start <= times[0] <= times[-1] < SPAN.end


def test_some_seconds_hold_several_objects():
    """Bounds to the second meet ties."""
    times = [SPAN.created(n, 300) for n in range(300)]
    assert len(set(times)) < len(times)


def test_the_seed_decides():
    """The same seed gives the same bytes in any order, another one others."""
    one, again, other = population(), population(), population(seed=1)
    for type_, store in one.stores.items():
        forth = [store.render(n, NEW) for n in range(store.size)]
        back = [again.stores[type_].render(n, NEW) for n in reversed(range(store.size))]
        assert forth == back[::-1]
        assert store.id_at(0) != other.stores[type_].id_at(0)


def test_links_are_the_same_from_both_ends():
    """An object is among those that link to what it links to."""
    made = population()
    for of, to in (
        ("refund", "charge"),
        ("credit_note", "invoice"),
        ("dispute", "charge"),
    ):
        for n in range(made.stores[of].size):
            assert n in made.linking(of, to, made.linked(of, to, n))


def test_a_big_population_costs_nothing_until_it_is_read():
    """A million customers are there at once, the last as real as the first."""
    made = population(customers=1_000_000)
    customers = made.stores["customer"]
    assert customers.size == 1_000_000
    last = customers.render(999_999, NEW).decode()
    assert customers.id_at(999_999) in last
    assert customers.position(customers.id_at(999_999)) == 999_999
