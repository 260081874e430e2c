"""Table of a batch: one row for each session, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from processing.batch.process_session import SessionOutcome
from processing.files.atomic import replace_text

COLUMNS = (
    *("folder", "state", "A", "B", "fused", "count", "low", "high", "verdict", "seconds", "reason"),
)


def write_table(path: Path, outcomes: Iterable[SessionOutcome]) -> None:
    """Write the table; low and high bound the last count, that of fused or of A alone.

    They are a 95 % interval only if the verdict is `trusted`.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(_row(outcome) for outcome in outcomes)
    replace_text(path, text.getvalue())


def _row(outcome: SessionOutcome) -> list[object]:
    counts = outcome.counts
    numbers: list[object] = ["", "", "", "", "", ""]
    if counts is not None:
        final = counts.fused or counts.A
        each = [count.n if count else "" for count in (counts.A, counts.B, counts.fused)]
        numbers = [*each, final.n, final.n_low, final.n_high]
    return [
        outcome.session,
        outcome.state,
        *numbers,
        outcome.verdict or "",
        f"{outcome.seconds:.1f}",
        outcome.reason,
    ]
