"""What the report says follows from the figures."""

from __future__ import annotations

import axes
import bars
import figures
import growth_page
import pytest
import report
import sections
from measure import Cost, Run
from race import Results


def run(seconds, *costs):
    """Return a run of programs with CPU seconds and megabytes."""
    return Run(
        seconds,
        tuple(
            Cost(f"p{n}", 0, cpu, int(mb * 1e6)) for n, (cpu, mb) in enumerate(costs)
        ),
    )


def results(pipe=10.0, dlt=20.0, meltanolabs=250.0):
    """Return runs of a million rows that take so many seconds."""
    runs = {
        "pipe": [run(pipe, (4, 100), (6, 300))] * 3,
        "dlt-iceberg": [run(dlt, (18, 700))] * 3,
        "meltanolabs": [run(meltanolabs, (50, 90), (meltanolabs, 3000))],
    }
    return Results({"orders": 1_000_000}, runs)


def page(found):
    """Return the report of results."""
    return report.page(found, {}, ["PostgreSQL 15"], 0.5)


def test_figures_are_medians_of_whole_pipes():
    """Programs of a pipe add up in time, but not in memory."""
    runs = [run(s, (1, 10), (s / 2, 40 + s)) for s in (4, 2, 9)]

    assert figures.seconds(runs) == 4
    assert figures.cpu_seconds(runs) == 3
    assert figures.peak_bytes(runs) == 44e6
    assert figures.part_of_core(runs) == 0.5


def test_ratios_compare_medians_of_the_same_rows():
    """A line has our figures, and how many times faster than each rival we are."""
    text = page(results())

    [ours] = [it for it in text.splitlines() if it.startswith("| tap-postgres")][:1]
    assert "| 100.0 | 10.00 (10.00 to 10.00, 3) | 4.00 + 6.00 | 100.0 |" in ours
    assert ours.endswith("| 25.00 | 2.00 |")


def test_a_bar_is_met_or_missed_by_its_figure():
    """What was not measured is not judged."""
    verdicts = {
        bar.what: bar.is_met(figure) for bar, figure in bars.measured(results(), {})
    }

    assert list(verdicts.values()) == [True, True]
    slow = dict(bars.measured(results(pipe=21.0), {}))
    assert [bar.is_met(figure) for bar, figure in slow.items()] == [False, False]


def test_a_bar_may_be_a_most():
    """Some figures must stay small."""
    bar = bars.Bar("share", -0.3, "{:.0%}", bars.of_core("foreign-tap"))

    assert bar.words() == "under 30%"
    assert bar.is_met(0.29)
    assert not bar.is_met(0.3)


def test_every_bar_is_met_by_some_figure_and_missed_by_another():
    """None is met, or missed, by whatever is measured."""
    for bar in bars.BARS:
        assert {bar.is_met(0.0), bar.is_met(1e9)} == {True, False}


def test_who_is_faster_or_needs_less_is_named():
    """The section follows the figures, and says so where there is nothing to say."""
    assert "No other is faster than we are" in page(results())

    text = page(results(pipe=40.0))

    [loss] = [it for it in text.splitlines() if "**0.50**" in it]
    assert loss.startswith("| rows of 18 columns")
    assert "dlt, connectorx to Iceberg | tap-postgres" in loss
    # Neither its processor seconds nor its memory is less than ours.
    assert loss.endswith("| **0.50** | 1.80 | 2.33 |")
    assert "- RECORD to Iceberg beside dlt, connectorx to Iceberg: 0.50 times" in text


def test_who_failed_is_named_with_the_reason():
    """A peer that fails, or brings other rows, has no figures."""
    found = results()
    found.failures["rivet"] = "rivet ended with 2:\nfirst\nno such `table`"

    text = page(found)

    assert "- rivet-cli to zstd Parquet files, rows of 18 columns" in text
    assert "`no such 'table'`" in text
    assert "Who did not" not in page(results())


def test_the_machine_is_named(tmp_path):
    """Its processor, as far as the system knows it, and the server."""
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: EPYC: 9 GHz\n")

    assert report.processor(file) == "EPYC: 9 GHz"
    assert report.processor(tmp_path / "none")
    assert "PostgreSQL 15" in page(results())


def test_sections_of_a_page_are_replaced_one_by_one(tmp_path):
    """One command does not undo what another has measured."""
    path = tmp_path / "docs" / "page.md"
    sections.write(path, "bench", "first")
    sections.write(path, "growth", "grown")
    sections.write(path, "bench", "second")

    text = path.read_text()

    assert text.startswith("# Performance\n")
    assert "first" not in text
    assert text.index("second") < text.index("grown")
    assert sections.replaced(text, "bench", "second") == text


def test_points_keep_the_work_but_for_what_grows():
    """Streams share their rows, and columns their values."""
    points = list(axes.points(1, peers=True))

    by = {kind: [it for it in points if it.data.title == kind] for kind in KINDS}
    assert [it.all_rows for it in by["rows"]] == [100_000, 1_000_000, 10_000_000]
    assert [len(it.data.tables) for it in by["streams"]] == [1, 10, 100]
    assert {it.all_rows for it in by["streams"]} == {200_000}
    assert by["columns of a file"][-1].columns == 5_000
    for kind in ("columns", "columns of a file"):
        assert {it.rows * it.columns for it in by[kind]} == {5_000_000}


KINDS = ("rows", "streams", "columns", "columns of a file")


def test_the_cost_of_a_value_is_followed_along_an_axis():
    """A way is compared with itself, from where it began to where it ended."""
    points = list(axes.points(1, peers=True))[3:6]
    runs = ({"pipe": run(1, (seconds, 1))} for seconds in (2, 3, 9))
    measured = dict(zip(points, runs, strict=True))

    [said] = growth_page.trends(measured)

    assert said.startswith("- RECORD: a value takes 4.50 times the CPU at 100 streams")
    assert said.endswith("at 1 stream.")


@pytest.mark.parametrize(
    ("peak", "verdict"),
    [(119, "+19% from a tenth of the rows. Within"), (121, "Beyond"), (79, "Within")],
)
def test_memory_is_flat_or_not(peak, verdict):
    """Ten times the rows may take a fifth more memory."""
    points = list(axes.points(1, peers=False))[:3]
    peaks = (80, 100, peak)
    measured = {
        point: {"pipe": run(1, (1, megabytes))}
        for point, megabytes in zip(points, peaks, strict=True)
    }

    [said] = growth_page.memory(measured)

    assert verdict in said
    assert said in growth_page.page(measured, 0.0)
