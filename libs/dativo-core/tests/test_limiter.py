"""Requests are spaced as the provider allows, for all threads and processes."""

from __future__ import annotations

import json
import stat
import threading

import pytest
from dativo_core.errors import ConfigurationError
from dativo_core.fetch import ordered
from dativo_core.limiter import GLOBAL, FileBuckets, Limiter, Rates

EVEN = Rates(100, 10, {"slow": 1}, share=1)


@pytest.fixture(params=["memory", "file"])
def limiter(request, clock, tmp_path):
    """Build limiters on fake time, in this process or over a file."""

    def build(rates=EVEN):
        path = tmp_path / "new" / "limits.json"
        store = FileBuckets(path) if request.param == "file" else None
        return Limiter(rates, store, clock=clock.now, sleep=clock.sleep)

    return build


def moments(limiter, clock, *endpoints) -> list[float]:
    """Return when requests to the endpoints went, in seconds from now."""
    began = clock.now()
    went = []
    for endpoint in endpoints:
        limiter.acquire(endpoint)
        went.append(round(clock.now() - began, 3))
    return went


def test_requests_are_evenly_spaced(limiter, clock) -> None:
    """Ten a second: the first at once, then one each tenth of a second."""
    assert moments(limiter(), clock, *"aaaa") == [0, 0.1, 0.2, 0.3]


def test_what_was_waited_is_told(limiter) -> None:
    """The caller learns how long it took."""
    one = limiter()
    assert [round(one.acquire("a").waited, 3) for _ in range(2)] == [0, 0.1]


def test_endpoints_have_their_own_rates(limiter, clock) -> None:
    """One endpoint does not wait for another, but for the rate of all."""
    assert moments(limiter(), clock, *"abcd") == [0, 0.01, 0.02, 0.03]
    assert moments(limiter(), clock, "slow", "e", "slow")[2] == pytest.approx(
        1, abs=0.1
    )


def test_without_a_window_a_pause_is_not_made_up_for(limiter, clock) -> None:
    """After a silence they are spaced as before."""
    one = limiter()
    moments(one, clock, *"aaa")
    clock.sleep(60)
    assert moments(one, clock, *"aaa") == [0, 0.1, 0.2]


def test_within_the_window_a_pause_is_made_up_for(limiter, clock) -> None:
    """At twice the rate, until as many went as are counted together."""
    one = limiter(Rates(100, 10, share=1, window=0.5))
    assert moments(one, clock, *"aaaaaaa") == [0, 0.05, 0.1, 0.15, 0.2, 0.5, 0.55]


def test_each_bucket_has_a_window_of_its_own(limiter, clock) -> None:
    """As many as are allowed there; those of all endpoints are counted together."""
    one = limiter(Rates(8, 5, {"slow": 2}, share=1, window=1))
    assert moments(one, clock, "slow", "slow", "slow") == [0, 0.25, 1]
    clock.sleep(60)
    went = moments(one, clock, *"abababababab")
    assert went[7] == pytest.approx(7 / 16, abs=0.01)
    assert went[8:] == pytest.approx([1 + n / 16 for n in range(4)], abs=0.01)


def test_who_comes_late_loses_nothing(limiter, clock) -> None:
    """A busy machine wakes up late each time, and the rate is what it is."""
    one = limiter(Rates(100, 10, share=1, window=1))
    began = clock.now()
    for _ in range(101):
        one.acquire("a")
        clock.sleep(0.005)
    assert clock.now() - began == pytest.approx(10, abs=0.02)


@pytest.mark.parametrize(
    ("took", "next_two"), [(0.7, [1.25, 1.5625]), (0.9, [1.4, 1.7125]), (3, [3, 3.5])]
)
def test_a_request_counts_from_when_it_arrives(limiter, clock, took, next_two) -> None:
    """What was held up by more than the share leaves room for makes others later."""
    one = limiter(Rates(100, 2, share=0.8, window=1))
    usual = one.acquire("a")
    clock.sleep(0.5)
    one.answered("a", usual)
    clock.sleep(60)
    [late, _] = [one.acquire("a") for _ in range(2)]
    clock.sleep(late.at + took - clock.now())
    one.answered("a", late)
    went = [one.acquire("a").at - late.at for _ in range(2)]
    assert went == pytest.approx(next_two, abs=0.001)


def test_an_answer_to_what_is_long_forgotten_changes_nothing(limiter, clock) -> None:
    """Neither the bucket of its endpoint nor that of all."""
    one = limiter()
    old = one.acquire("a")
    clock.sleep(5)
    one.acquire("a")
    one.answered("a", old)
    assert moments(one, clock, *"aa") == [0.1, 0.2]


def test_a_lower_rate_has_a_longer_window(limiter, clock) -> None:
    """After a refusal, as many requests go in twice the time."""
    one = limiter(Rates(100, 10, share=1, window=0.5))
    one.throttled("a")
    assert moments(one, clock, *"aaaaaa")[-1] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("window", [0, 0.1, 1])
@pytest.mark.parametrize("pauses", [(), (0.3,), (0.9, 0.01, 0.2)])
def test_no_window_of_a_second_overflows(limiter, clock, window, pauses) -> None:
    """With nine tenths of 25 a second, 26 never fit into any second."""
    one = limiter(Rates(100, 25, share=0.9, window=window))
    went = []
    for number in range(200):
        one.acquire("a")
        went.append(clock.now())
        if pauses and number % 7 == 0:
            clock.sleep(pauses[number % len(pauses)])
    most = max(sum(at <= later < at + 1 for later in went) for at in went)
    assert most <= 25
    if not pauses:
        counted = max(1, int(25 * window))
        last = 199 // counted * counted / 22.5 + 199 % counted / 45
        assert went[-1] - went[0] == pytest.approx(last, abs=0.01)


def test_a_refusal_halves_the_rate(limiter) -> None:
    """Of the endpoint and of all, when nobody knows which was meant."""
    one = limiter()
    one.throttled("a")
    assert (one.rate("a"), one.rate(), one.rate("b")) == (5, 50, 10)


@pytest.mark.parametrize("scope", ["a", GLOBAL])
def test_a_refusal_may_tell_its_scope(limiter, scope) -> None:
    """Then the other bucket keeps its rate."""
    one = limiter()
    one.throttled("a", scope=scope)
    assert (one.rate("a"), one.rate()) == ((5, 100) if scope == "a" else (10, 50))


def test_refusals_at_once_are_one_reason(limiter, clock) -> None:
    """Eight requests under way are refused, and the rate is halved once."""
    one = limiter()
    for _ in range(8):
        one.throttled("a")
    assert one.rate("a") == 5
    clock.sleep(1.1)
    one.throttled("a")
    assert one.rate("a") == pytest.approx(2.5, abs=0.05)


def test_the_rate_has_a_floor_and_recovers(limiter, clock) -> None:
    """It never falls to nothing, and grows by two percent of the whole a second."""
    one = limiter()
    for _ in range(20):
        one.throttled("a")
        clock.sleep(1.001)
    assert one.rate("a") == pytest.approx(10 * 0.02, rel=0.02)
    clock.sleep(10)
    assert one.rate("a") == pytest.approx(10 * 0.22, rel=0.02)
    clock.sleep(100)
    assert (one.rate("a"), one.rate()) == (10, 100)


def test_the_floor_is_each_bucket_s_own(limiter, clock) -> None:
    """A slow endpoint may become slower than others."""
    one = limiter()
    for _ in range(20):
        one.throttled("slow")
        clock.sleep(1.001)
    assert one.rate("slow") == pytest.approx(0.02, rel=0.02)
    assert one.rate() == pytest.approx(2, rel=0.02)


def test_requests_do_not_hasten_recovery(limiter, clock) -> None:
    """The rate grows with time, however often it is looked at."""
    one = limiter()
    for _ in range(3):
        one.throttled("a")
        clock.sleep(1.001)
    began = clock.now()
    for _ in range(8):
        one.acquire("a")
    grown = 0.2 * (clock.now() - began)
    assert one.rate("a") == pytest.approx(1.25 + grown, abs=0.05)


def test_a_share_is_for_all_buckets() -> None:
    """Half of what is allowed, everywhere and at each endpoint."""
    rates = Rates(100, 10, {"slow": 1}, share=0.5)
    assert [rates.ceiling(name) for name in (GLOBAL, "a", "slow")] == [50, 5, 0.5]


def test_a_refusal_without_retry_after_blocks_nothing(limiter, clock) -> None:
    """The rate alone is lowered."""
    one = limiter()
    one.throttled("a")
    assert moments(one, clock, "a", "a") == [0, pytest.approx(0.2, abs=0.01)]


def test_nothing_goes_before_retry_after(limiter, clock) -> None:
    """Other requests wait as well; a shorter wish does not cut a longer one short."""
    one = limiter()
    one.throttled("a", 30, "a")
    one.throttled("a", 2, "a")
    assert moments(one, clock, "b", "a") == [0, 30]
    one.throttled("a", 30, GLOBAL)
    assert moments(one, clock, "b") == [30]


def test_a_clock_that_was_set_back(limiter, clock) -> None:
    """The buckets start anew instead of waiting for the difference."""
    one = limiter()
    moments(one, clock, *"aa")
    one.throttled("a", 30)
    clock.seconds -= 100_000
    assert moments(one, clock, *"aa") == [0, 0.1]


def test_threads_share_the_rate(limiter, clock) -> None:
    """Forty requests of eight threads take as long as those of one."""
    one = limiter()
    began = clock.now()
    for _ in ordered(range(40), lambda _: one.acquire("a"), workers=8, ahead=40):
        pass
    assert clock.now() - began == pytest.approx(3.9, abs=0.01)


def test_processes_share_a_file(clock, tmp_path) -> None:
    """Limiters that name the same file take turns; it is for its owner only."""
    path = tmp_path / "new" / "folder" / "limits.json"

    def build():
        return Limiter(EVEN, FileBuckets(path), clock=clock.now, sleep=clock.sleep)

    went = [moments(build(), clock, "a")[0] for _ in range(3)]
    assert went == [0, 0.1, 0.1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(json.loads(path.read_text())) == {"a", GLOBAL}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        '{"a": [1, 2, 3, 4]}',
        '{"a": [1, 2, 3, 4, 5, []]}',
        "[]",
        '{"a": [0, 0, 0, [1]]}',
        f'{{"a": [1, {"9" * 400}, 0, []]}}',
    ],
)
def test_a_damaged_file_is_an_empty_one(clock, tmp_path, content) -> None:
    """It is written anew."""
    path = tmp_path / "limits.json"
    path.write_text(content + " " * 500)
    one = Limiter(EVEN, FileBuckets(path), clock=clock.now, sleep=clock.sleep)
    assert moments(one, clock, *"aa") == [0, 0.1]
    assert set(json.loads(path.read_text())) == {"a", GLOBAL}


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    """It is a setting, and not a bug."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "limits", tmp_path):
        with pytest.raises(ConfigurationError, match=str(path)):
            FileBuckets(path)


def test_the_file_is_locked(tmp_path) -> None:
    """Two threads with a store each lose no change."""
    path = tmp_path / "limits.json"
    one = Limiter(EVEN, FileBuckets(path), clock=lambda: 1000.0)
    two = Limiter(EVEN, FileBuckets(path), clock=lambda: 1000.0)

    def take(limiter) -> None:
        for _ in range(50):
            limiter._take("a")
            with limiter._store.locked() as buckets:
                bucket = buckets["a"]
                buckets["n"] = type(bucket)(buckets.get("n", bucket).rate + 1)

    threads = [threading.Thread(target=take, args=(each,)) for each in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with one._store.locked() as buckets:
        assert buckets["n"].rate == 10 + 100
