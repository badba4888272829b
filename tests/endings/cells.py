"""How a run ends that a signal or a closed pipe cuts: every signal at every moment.

`docs/SIGNALS.md` shows this table, and the tests beside it prove it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

MOMENTS = ("idle", "reading", "writing files", "committing", "after commit")
HELD = ("writing files", "committing", "after commit")


@dataclass(frozen=True)
class Cell:
    """One signal at one moment.

    Args:
        receiver: Who gets it: `target`, `tap`, or `meltano`.
        how: Which one.
        moment: What the target does then; `reading` is what a tap does too.
        codes: Exit codes: the target's; the tap's and the target's; Meltano's.
        rows: Which rows the table has afterwards: `none`; `covered`, those of the last
            STATE; `all` that came.
    """

    receiver: str
    how: str
    moment: str
    codes: tuple[int, ...]
    rows: str

    @property
    def name(self) -> str:
        """A name for the test."""
        return f"{self.receiver}-{self.how}-{self.moment}".replace(" ", "-")


# Receiver and signal: for each moment the codes, and what is in the table.
OUTCOMES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("target", "TERM"): (
        ("143", "none"),
        ("143", "none"),
        ("143", "covered"),
        ("143", "covered"),
        ("143", "covered"),
    ),
    ("target", "INT"): (
        ("130", "none"),
        ("130", "none"),
        ("130", "covered"),
        ("130", "covered"),
        ("130", "covered"),
    ),
    ("target", "INT twice"): (
        ("130", "none"),
        ("130", "none"),
        ("130", "none"),
        ("130", "none"),
        ("130", "covered"),
    ),
    ("target", "KILL"): (
        ("137", "none"),
        ("137", "none"),
        ("137", "none"),
        ("137", "none"),
        ("137", "covered"),
    ),
    ("target", "PIPE"): (
        ("75", "covered"),
        ("75", "covered"),
        ("75", "covered"),
        ("75", "covered"),
        ("75", "covered"),
    ),
    ("target", "EOF"): (
        ("75", "none"),
        ("75", "none"),
        ("75", "covered"),
        ("75", "covered"),
        ("75", "covered"),
    ),
    ("tap", "TERM"): (
        ("143 75", "none"),
        ("143 75", "none"),
        ("143 75", "covered"),
        ("143 75", "covered"),
        ("143 75", "covered"),
    ),
    ("tap", "INT"): (
        ("130 75", "none"),
        ("130 75", "none"),
        ("130 75", "covered"),
        ("130 75", "covered"),
        ("130 75", "covered"),
    ),
    ("tap", "INT twice"): (
        ("130 75", "none"),
        ("130 75", "none"),
        ("130 75", "covered"),
        ("130 75", "covered"),
        ("130 75", "covered"),
    ),
    ("tap", "KILL"): (
        ("137 75", "none"),
        ("137 75", "none"),
        ("137 75", "covered"),
        ("137 75", "covered"),
        ("137 75", "covered"),
    ),
    ("tap", "PIPE"): (
        ("75 137", "none"),
        ("75 137", "none"),
        ("75 137", "none"),
        ("75 137", "none"),
        ("75 137", "covered"),
    ),
    ("meltano", "TERM"): (
        ("143", "none"),
        ("143", "none"),
        ("143", "covered"),
        ("143", "covered"),
        ("143", "covered"),
    ),
    ("meltano", "INT"): (
        ("1", "none"),
        ("1", "none"),
        ("1", "covered"),
        ("1", "covered"),
        ("1", "covered"),
    ),
    ("meltano", "INT twice"): (
        ("1", "none"),
        ("1", "none"),
        ("1", "none"),
        ("1", "none"),
        ("1", "covered"),
    ),
    ("meltano", "KILL"): (
        ("137", "none"),
        ("137", "none"),
        ("137", "covered"),
        ("137", "covered"),
        ("137", "covered"),
    ),
}
CELLS = [
    Cell(receiver, how, moment, tuple(map(int, codes.split())), rows)
    for (receiver, how), outcomes in OUTCOMES.items()
    for moment, (codes, rows) in zip(MOMENTS, outcomes, strict=True)
]
# What every run of CI tries; `nox -s signals` tries all.
ALWAYS = frozenset(
    {
        *(("target", "TERM", moment) for moment in MOMENTS),
        *(("target", how, "committing") for how in ("INT twice", "PIPE", "KILL")),
        ("target", "EOF", "idle"),
        ("target", "EOF", "reading"),
        ("tap", "TERM", "idle"),
        ("tap", "TERM", "committing"),
        ("tap", "KILL", "after commit"),
        ("tap", "PIPE", "committing"),
        ("meltano", "TERM", "committing"),
    }
)


def is_always(cell: Cell) -> bool:
    """Tell whether every run of CI tries the cell."""
    return (cell.receiver, cell.how, cell.moment) in ALWAYS


SENDERS = {
    "target": "the target",
    "tap": "the tap: its code, then the target's",
    "meltano": "`meltano run`",
}
WORDS = {
    "TERM": "SIGTERM",
    "INT": "SIGINT",
    "INT twice": "SIGINT, twice",
    "KILL": "SIGKILL",
    "PIPE": "its reader is gone",
    "EOF": "its input ends",
}


def table() -> str:
    """Return the matrix for readers."""
    parts: list[str] = []
    for receiver, title in SENDERS.items():
        parts += [f"| {title} | {' | '.join(MOMENTS)} |", "|:--" * 6 + "|"]
        parts += [_row(*key) for key in OUTCOMES if key[0] == receiver]
        parts.append("")
    return "\n".join(parts)


def _row(receiver: str, how: str) -> str:
    outcomes: t.Any = OUTCOMES[receiver, how]
    cells = (f"{codes.replace(' ', ', ')}: {rows}" for codes, rows in outcomes)
    return f"| {WORDS[how]} | {' | '.join(cells)} |"
