"""The breaker opens when most fails, probes gently, and remembers between runs."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
from dataclasses import replace

import pytest
from dativo_core.breaker import (
    Breaker,
    BreakerOpenError,
    BreakerPolicy,
    BreakerState,
    Outcome,
    Phase,
    breaker_key,
)
from dativo_core.breaker_store import JsonBreakerStore
from dativo_core.errors import ExitCode

POLICY = BreakerPolicy(
    window_calls=10,
    window_seconds=60,
    minimum_calls=4,
    failure_ratio=0.5,
    slow_seconds=5,
    slow_ratio=0.75,
    open_seconds=10,
    open_cap_seconds=35,
    probes=2,
)
KEY = "api.example.com#1f"


@pytest.fixture
def breaker(clock):
    """Build breakers on fake time; `told` lists the transitions."""

    def build(policy=POLICY, store=None, key=KEY):
        told = []
        one = Breaker(key, policy, store, now=clock.now, listeners=[told.append])
        one.told = told
        return one

    return build


def call(breaker, *outcomes, seconds=1.0) -> None:
    """Make calls one after the other: True for those that succeed."""
    for is_good in outcomes:
        breaker.admit().record(is_failed=not is_good, seconds=seconds)


def opened(breaker):
    """Return the breaker after it has opened."""
    call(breaker, False, False, False, False)
    assert breaker.phase is Phase.OPEN
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "phase"),
    [
        ([False] * 3, Phase.CLOSED),
        ([False] * 4, Phase.OPEN),
        ([True, True, False, False], Phase.OPEN),
        ([True, True, True, False, False], Phase.CLOSED),
        ([True] * 10 + [False] * 4, Phase.CLOSED),
        ([True] * 10 + [False] * 5, Phase.OPEN),
    ],
)
def test_it_opens_at_a_part_of_the_window(breaker, outcomes, phase) -> None:
    """Half of the last ten calls, and of at least four."""
    one = breaker()
    call(one, *outcomes)
    assert one.phase is phase


def test_old_calls_do_not_count(breaker, clock) -> None:
    """What is a minute old has left the window; what is a bit younger has not."""
    one = breaker()
    call(one, False, False, False)
    clock.sleep(60)
    call(one, False, True, True)
    assert one.phase is Phase.CLOSED
    other = breaker()
    call(other, False, False, False)
    clock.sleep(59.9)
    call(other, False)
    assert other.phase is Phase.OPEN


@pytest.mark.parametrize(
    ("seconds", "phase"), [(4.9, Phase.CLOSED), (5, Phase.OPEN), (9, Phase.OPEN)]
)
def test_it_opens_when_most_calls_are_slow(breaker, seconds, phase) -> None:
    """Three of four are slow, and none has failed."""
    one = breaker()
    call(one, True)
    call(one, True, True, True, seconds=seconds)
    assert one.phase is phase
    if phase is Phase.OPEN:
        assert one.told[0].reason == "3 of 4 calls were slow."


def test_it_stays_closed_when_some_calls_are_slow(breaker) -> None:
    """Two of four are not enough."""
    one = breaker()
    call(one, True, True)
    call(one, True, True, seconds=9)
    assert one.phase is Phase.CLOSED


def test_open_it_refuses_until_its_time(breaker, clock) -> None:
    """The error says how long, to whom, and exits with 75."""
    one = opened(breaker())
    clock.sleep(4)
    with pytest.raises(BreakerOpenError, match="has failed too often") as caught:
        one.admit()
    error = caught.value
    assert "api.example.com" in str(error)
    assert (error.retry_after, error.not_before) == (6, clock.now() + 6)
    assert "not before 2027-01-15T08:00:10Z" in error.hint
    assert error.exit_code == ExitCode.TRY_LATER
    assert "1f" not in str(error)
    clock.sleep(5.9)
    with pytest.raises(BreakerOpenError):
        one.admit()
    clock.sleep(0.1)
    one.admit()
    assert one.phase is Phase.HALF_OPEN


def test_half_open_it_admits_a_few(breaker, clock) -> None:
    """Two probes, and others may look again in a second."""
    one = opened(breaker())
    clock.sleep(10)
    probes = [one.admit(), one.admit()]
    with pytest.raises(BreakerOpenError) as caught:
        one.admit()
    assert caught.value.retry_after == 1
    probes[0].record(is_failed=False, seconds=1)
    with pytest.raises(BreakerOpenError):
        one.admit()
    assert one.phase is Phase.HALF_OPEN
    probes[1].record(is_failed=False, seconds=1)
    assert one.phase is Phase.CLOSED
    call(one, False, False, False)
    assert one.phase is Phase.CLOSED


def test_a_failed_probe_opens_again_for_longer(breaker, clock) -> None:
    """10, 20, 35 seconds; success starts from 10 again."""
    one = opened(breaker())
    for wait in (10, 20, 35, 35):
        with pytest.raises(BreakerOpenError) as caught:
            one.admit()
        assert caught.value.retry_after == wait
        clock.sleep(wait)
        call(one, True, False)
        assert one.phase is Phase.OPEN
    assert one.told[-1].reason == "A probe failed."
    clock.sleep(35)
    call(one, True, True)
    with pytest.raises(BreakerOpenError) as caught:
        opened(one).admit()
    assert caught.value.retry_after == 10


def test_a_slow_probe_opens_again(breaker, clock) -> None:
    """A service that is back but crawls is not back."""
    one = opened(breaker())
    clock.sleep(10)
    call(one, True, seconds=5)
    assert one.phase is Phase.OPEN
    assert one.told[-1].reason == "A probe was slow."


def test_calls_from_before_do_not_count_as_probes(breaker, clock) -> None:
    """An answer to a question that was asked long ago says nothing about now."""
    one = breaker()
    early = [one.admit() for _ in range(3)]
    opened(one)
    early[0].record(is_failed=True, seconds=1)
    clock.sleep(10)
    probe = one.admit()
    early[1].record(is_failed=True, seconds=1)
    early[2].release()
    assert one.phase is Phase.HALF_OPEN
    other = one.admit()
    with pytest.raises(BreakerOpenError):
        one.admit()
    probe.record(is_failed=False, seconds=1)
    other.record(is_failed=False, seconds=1)
    assert one.phase is Phase.CLOSED


def test_a_probe_without_outcome_makes_room(breaker, clock) -> None:
    """A cancelled request is given back, once."""
    one = opened(breaker())
    clock.sleep(10)
    first, second = one.admit(), one.admit()
    first.release()
    first.release()
    one.admit()
    with pytest.raises(BreakerOpenError):
        one.admit()
    second.record(is_failed=False, seconds=1)
    second.release()
    second.record(is_failed=True, seconds=1)
    with pytest.raises(BreakerOpenError):
        one.admit()
    assert one.phase is Phase.HALF_OPEN


def test_probes_from_before_do_not_count(breaker, clock) -> None:
    """A probe that outlasts its phase says nothing about the next one."""
    one = opened(breaker())
    clock.sleep(10)
    late, bad = one.admit(), one.admit()
    bad.record(is_failed=True, seconds=1)
    clock.sleep(20)
    probe = one.admit()
    late.record(is_failed=False, seconds=1)
    assert one.phase is Phase.HALF_OPEN
    probe.record(is_failed=False, seconds=1)
    assert one.phase is Phase.HALF_OPEN
    call(one, True)
    assert one.phase is Phase.CLOSED


def test_each_released_probe_makes_room_for_one(breaker, clock) -> None:
    """Of four probes one is given back: one more goes through, and no other."""
    one = opened(breaker(replace(POLICY, probes=4)))
    clock.sleep(10)
    probes = [one.admit() for _ in range(4)]
    probes[0].release()
    one.admit()
    with pytest.raises(BreakerOpenError):
        one.admit()


def test_release_means_nothing_while_closed(breaker, clock) -> None:
    """It neither counts nor leaves a debt for later probes."""
    one = breaker()
    for _ in range(5):
        one.admit().release()
    call(one, False, False, False)
    assert one.phase is Phase.CLOSED
    call(one, False)
    clock.sleep(10)
    one.admit()
    one.admit()
    with pytest.raises(BreakerOpenError):
        one.admit()


def test_listeners_are_told_of_each_transition(breaker, clock) -> None:
    """Key, both phases and the reason."""
    one = opened(breaker())
    clock.sleep(10)
    call(one, True, True)
    told = [(t.key, t.before.value, t.after.value, t.reason) for t in one.told]
    assert told == [
        (KEY, "closed", "open", "4 of 4 calls failed."),
        (KEY, "open", "half-open", "It is time to probe."),
        (KEY, "half-open", "closed", "2 probes succeeded."),
    ]


def test_the_default_policy() -> None:
    """The documentation names these."""
    policy = BreakerPolicy()
    assert (policy.window_calls, policy.window_seconds) == (40, 60)
    assert (policy.minimum_calls, policy.failure_ratio) == (10, 0.5)
    assert (policy.slow_seconds, policy.slow_ratio) == (60, 1)
    assert (policy.open_seconds, policy.open_cap_seconds) == (10, 600)
    assert policy.probes == 3


def test_a_breaker_without_settings_works() -> None:
    """Ten failures open it, by the real clock."""
    one = Breaker(KEY)
    call(one, *[False] * 9)
    assert one.phase is Phase.CLOSED
    call(one, False)
    assert one.phase is Phase.OPEN
    with pytest.raises(BreakerOpenError) as caught:
        one.admit()
    assert 0 < caught.value.retry_after <= 10


def test_an_open_breaker_outlives_the_process(breaker, clock, tmp_path) -> None:
    """The next run waits for the rest, and counts on where the last one stopped."""
    opened(breaker(store=JsonBreakerStore(tmp_path)))
    clock.sleep(7)
    again = breaker(store=JsonBreakerStore(tmp_path))
    with pytest.raises(BreakerOpenError) as caught:
        again.admit()
    assert caught.value.retry_after == 3
    clock.sleep(3)
    again.admit()
    # A run that ends while it probes leaves an open breaker, not one half-way.
    third = breaker(store=JsonBreakerStore(tmp_path))
    assert third.phase is Phase.OPEN
    third.admit().record(is_failed=True, seconds=1)
    with pytest.raises(BreakerOpenError) as caught:
        breaker(store=JsonBreakerStore(tmp_path)).admit()
    assert caught.value.retry_after == 20


def test_the_window_outlives_the_process(breaker, clock, tmp_path) -> None:
    """Runs of two requests each find out together."""
    for _ in range(2):
        one = breaker(store=JsonBreakerStore(tmp_path))
        assert one.phase is Phase.CLOSED
        call(one, False, False)
        one.save()
    assert one.phase is Phase.OPEN
    clock.sleep(10)
    call(one, True, True)
    assert breaker(store=JsonBreakerStore(tmp_path)).phase is Phase.CLOSED


def test_save_without_a_store(breaker) -> None:
    """It does nothing."""
    breaker().save()


def test_a_clock_that_was_set_back(breaker, clock, tmp_path) -> None:
    """The breaker stays open for its time, not for the difference."""
    store = JsonBreakerStore(tmp_path)
    opened(breaker(store=store))
    clock.seconds -= 100_000
    with pytest.raises(BreakerOpenError) as caught:
        breaker(store=store).admit()
    assert caught.value.retry_after == 10


def test_states_are_kept_as_they_are(tmp_path) -> None:
    """What was saved is loaded, by key, from a file for its owner only."""
    store = JsonBreakerStore(tmp_path / "new")
    window = (Outcome(1.5, True, False), Outcome(2.5, False, True))
    state = BreakerState(Phase.OPEN, 12.5, 3, window)
    store.save("a", state)
    store.save("b", BreakerState())
    assert (store.load("a"), store.load("b")) == (state, BreakerState())
    assert store.load("c") is None
    files = list((tmp_path / "new").iterdir())
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert len(files) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"phase": "odd"}',
        b'{"window": 3}',
        b'{"window": [["x", 1, 1]], "phase": "open", "opened_at": 0, "openings": 9}',
        b'{"window": [], "phase": "open", "opened_at": 0, "openings": 1e999}',
    ],
)
def test_a_damaged_file_counts_as_none(breaker, tmp_path, content) -> None:
    """A breaker must not stop a healthy run."""
    store = JsonBreakerStore(tmp_path)
    opened(breaker(store=store))
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert store.load(KEY) is None
    assert breaker(store=store).phase is Phase.CLOSED


def test_a_folder_that_cannot_be_written(breaker, tmp_path) -> None:
    """The breaker works, and forgets."""
    (tmp_path / "file").write_text("")
    one = opened(breaker(store=JsonBreakerStore(tmp_path / "file")))
    assert one.phase is Phase.OPEN


def test_a_write_that_fails_leaves_the_old_file(breaker, tmp_path, monkeypatch) -> None:
    """Neither half a file nor a temporary one stays."""
    store = JsonBreakerStore(tmp_path)
    opened(breaker(store=store))
    before = store.load(KEY)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
        store.save(KEY, BreakerState())
    assert store.load(KEY) == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_key_hides_the_credential() -> None:
    """Host and credential tell breakers apart, and only the host is readable."""
    keys = {
        breaker_key(host, secret)
        for host in ("a.com", "b.com")
        for secret in ("sk_1", "sk_2")
    }
    assert len(keys) == 4
    assert breaker_key("a.com", "sk_1") == breaker_key("a.com", "sk_1")
    assert not any("sk_" in key for key in keys)
    assert {key.partition("#")[0] for key in keys} == {"a.com", "b.com"}
    assert {len(key.partition("#")[2]) for key in keys} == {16}


def test_the_file_holds_no_credential(tmp_path, breaker) -> None:
    """Nor a readable host with it."""
    store = JsonBreakerStore(tmp_path)
    opened(breaker(store=store, key=breaker_key("a.com", "sk_live_1")))
    (file,) = tmp_path.iterdir()
    content = json.loads(file.read_text())
    assert set(content) == {"phase", "opened_at", "openings", "window"}


def test_threads_share_it(breaker, clock) -> None:
    """However many ask at once, no more than the probes go through."""
    one = opened(breaker())
    clock.sleep(10)
    barrier, admitted = threading.Barrier(8), []

    def probe() -> None:
        barrier.wait()
        with contextlib.suppress(BreakerOpenError):
            admitted.append(one.admit())

    threads = [threading.Thread(target=probe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 2
