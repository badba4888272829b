"""What people are told while a stream is read."""

from __future__ import annotations

import pytest
from dativo_core.sql.progress import INTERVAL_SECONDS, Meter, sentence


@pytest.mark.parametrize(
    ("rows", "total", "seconds", "expected"),
    [
        (
            3_100_000,
            12_400_000,
            14.76,
            "Syncing orders: 3.1 of 12.4 M rows, 210 k/s, about 44 s left",
        ),
        (10, 1_000, 10, "Syncing orders: 10 of 1 k rows, 1/s, about 16 min left"),
        (
            950_000,
            2 * 10**6,
            1,
            "Syncing orders: 950 k of 2 M rows, 950 k/s, about 1 s left",
        ),
        (300, 900, 10, "Syncing orders: 300 of 900 rows, 30/s, about 20 s left"),
        (5, 10**9, 10, "Syncing orders: 5 of 1 G rows, 0.5/s, about 555556 h left"),
        (0, 900, 10, "Syncing orders: 0 of 900 rows, 0/s"),
        (1_500, None, 10, "Syncing orders: 1.5 k rows, 150/s"),
        # The server believed less than there is.
        (2_000, 1_900, 10, "Syncing orders: 2 k rows, 200/s"),
    ],
)
def test_the_sentence(rows, total, seconds, expected):
    """Done, all, rate and time; no time where nobody knows how much there is."""
    assert sentence("orders", rows, total, seconds) == expected


def test_a_meter_speaks_now_and_then():
    """Not before its interval is over, and then again after another one."""
    said, now = [], [100.0]
    meter = Meter("t", said.append, lambda: now[0], total=1_000)
    meter.add(10)
    now[0] += INTERVAL_SECONDS / 2
    meter.add(10)
    assert said == []

    now[0] += INTERVAL_SECONDS / 2
    meter.add(80)
    meter.add(80)
    assert said == ["Syncing t: 100 of 1 k rows, 10/s, about 90 s left"]
    now[0] += INTERVAL_SECONDS
    meter.add(0)
    assert len(said) == 2
