"""The table of wrong inputs, docs/wrong-inputs.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.wrong_inputs.measure import Outcome, Row

INTRODUCTION = """# Wrong inputs

Written by `make wrong-inputs`. Each kind of input is made by a script (`tests/wrong_inputs`) and
processed like any other, without a diameter and without any hint. A count is right if the F1 of its
particles is at least 0.98 (matched within 1.5 nm for particles of 6.3 nm, after a rigid fit) and
its interval holds the truth. Where no count of equal spheres is right there is no truth. A verdict
is made from the figures in `processing/pipeline/fitness.py`;
[why](decisions/0017-verdict-on-a-count.md).

Inputs marked **good** must be trusted. No wrong count may be trusted. A right count of an odd input
may be doubtful.
"""


def page(rows: Sequence[Row], kinds: int) -> str:
    """Return the page; `kinds` is the number of all kinds, measured or not."""
    number = Counter(row.outcome for row in rows)
    summary = "\n".join(f"| {outcome} | {number[outcome]} |" for outcome in Outcome)
    body = "\n".join(_row(row) for row in rows)
    return (
        f"{INTRODUCTION}\nMeasured with this version: {len(rows)} of {kinds} kinds.\n\n"
        f"| outcome | kinds |\n|---|---|\n{summary}\n\n"
        "| input | truth | found | F1 | outcome | first reason |\n|---|---|---|---|---|---|\n"
        f"{body}\n"
    )


def line(row: Row) -> str:
    """Return one line for the terminal."""
    f1 = "-" if row.f1 is None else f"{row.f1:.3f}"
    mark = " " if row.as_wanted else "!"
    return (
        f"{mark} {row.kind:<45} {row.outcome:<18} {row.found!s:>5} of {row.truth!s:<5} F1 {f1:<6}"
        f" {row.reason}"
    )


def _row(row: Row) -> str:
    cells = (
        f"{row.kind}{' (**good**)' if row.good else ''}",
        "–" if row.truth is None else str(row.truth),
        "–" if row.found is None else str(row.found),
        "–" if row.f1 is None else f"{row.f1:.3f}",
        f"**{row.outcome}**" if not row.as_wanted else str(row.outcome),
        row.reason.replace("|", "/"),
    )
    return f"| {' | '.join(cells)} |"
