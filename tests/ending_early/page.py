"""The table of docs/ending-early.md."""

from __future__ import annotations

from collections.abc import Sequence

from tests.ending_early.measure import BOTH, Row

BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"


def with_table(page: str, rows: Sequence[Row]) -> str:
    """Return the page with the table of all rows between its marks."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}{table(rows)}\n{END}{after}"


def table(rows: Sequence[Row]) -> str:
    """Return the table of all rows measured, with one line that sums them up."""
    single = [row for row in rows if row.series != BOTH]
    ended = [row for row in single if row.saved > 0]
    both = [row for row in rows if row.series == BOTH and row.saved > 0]
    held, held_both = (sum(row.held for row in some) for some in (ended, both))
    lines = [
        f"{len(single)} series: {len(ended)} ended early; of {held} of these, all tilts would have "
        "changed the count by no more than its interval. Both series counted together: of "
        f"{held_both} of {len(both)} sessions.",
        "",
        "| case | seed | series | tilts used | dose saved | truth | count at the end "
        "| count of all tilts |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in sorted(rows, key=lambda row: (row.case, row.seed, row.series))),
    ]
    return "\n".join(lines)


def line(row: Row) -> str:
    """Return one line for the terminal."""
    mark = " " if row.held else "!"
    return f"{mark} {_line(row)} {row.missing}"


def _line(row: Row) -> str:
    cells = (
        row.case,
        str(row.seed),
        row.series,
        f"{row.ended_at} of {row.planned}",
        f"{row.saved:.0%}" if row.saved else "–",
        str(row.truth),
        _count(row.ended) + ("" if row.held else " **misses**"),
        _count(row.complete),
    )
    return f"| {' | '.join(cells)} |"


def _count(count: tuple[int, int, int, str]) -> str:
    n, low, high, state = count
    return "refused" if state == "refused" else f"{n} ({low} to {high}), {state}"
