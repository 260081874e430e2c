"""Table of a batch on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from processing.batch.process_session import SessionOutcome
from processing.results import Count, Counts, Trust

HEADINGS = ("folder", "A", "B", "fused (95 % interval)", "verdict", "seconds")


def print_table(outcomes: Sequence[SessionOutcome]) -> None:
    """Print one row for each session, and the reason below one that needs attention."""
    if not outcomes:
        return
    rows = [_row(outcome) for outcome in outcomes]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    print(_line(HEADINGS, widths))
    for outcome, row in zip(outcomes, rows, strict=True):
        print(_line(row, widths))
        if outcome.reason:
            print(f"  {outcome.reason}")


def described(outcome: SessionOutcome) -> str:
    """Return one line on a session that has ended."""
    folder, _, _, count, verdict, seconds = _row(outcome)
    parts = [outcome.state, count, *([verdict] if outcome.counts else []), f"{seconds} s"]
    parts += [outcome.reason] if outcome.counts is None else []
    return f"{folder}: {', '.join(part for part in parts if part)}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells[:1], widths[:1], strict=True)]
    padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join(padded).rstrip()


def _row(outcome: SessionOutcome) -> tuple[str, ...]:
    """Return the cells of a session; without results, the verdict is its state."""
    counts = outcome.counts or None
    return (
        str(outcome.session),
        *(_number(getattr(counts, name, None)) for name in ("A", "B")),
        _final(counts) if counts else "",
        str(outcome.verdict or outcome.state),
        f"{outcome.seconds:.1f}",
    )


def _number(count: Count | None) -> str:
    return "" if count is None else str(count.n)


def _final(counts: Counts) -> str:
    """Return the fused count, with its interval if that is one of 95 %."""
    count = counts.fused
    if count is None:
        return ""
    if count.verdict is None or count.verdict.state is Trust.TRUSTED:
        return f"{count.n} ({count.n_low} to {count.n_high})"
    return f"{count.n} (no interval)"
