"""`python -m tests.benchmarks [NAME ...]`: run every bench_*.py, print one table.

Each module has `run() -> list[Row]`. Names choose modules: ``frames`` for ``bench_frames``. Without
names, the table is also written to docs/benchmarks.md. The exit status is 1 if a target is missed.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.row import Row

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
WIDTHS = (58, 12, 12, 7, 14)
HEAD = ("problem", "ours", "peer", "ratio", "at most", "peer is")


def cells(row: Row) -> tuple[str, ...]:
    """Return the cells of one row."""
    return (
        row.problem,
        row.shown(row.ours),
        row.shown(row.theirs),
        f"{row.ratio:.3f}",
        row.wanted,
        row.peer,
    )


def line(texts: tuple[str, ...]) -> str:
    """Format one line for a terminal."""
    first, *middle, last = texts
    numbers = (text.rjust(width) for text, width in zip(middle, WIDTHS[1:], strict=True))
    return f"{first.ljust(WIDTHS[0])} {' '.join(numbers)}  {last}"


def page(rows: list[Row]) -> str:
    """Return the table as a page of the documentation."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `make bench` ({machine}). Times are wall-clock; ratio is ours over the "
            "peer's, both measured in the same run.",
            "",
            f"| {' | '.join(HEAD)} |",
            "|" + "---|" * len(HEAD),
            *(f"| {' | '.join(cells(row))} |" for row in rows),
            "",
        ]
    )


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return the exit status."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = [name for name in names if f"bench_{name}" not in found]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}: choose from {', '.join(found)}", file=sys.stderr)
        return 2
    print(line(HEAD))
    rows: list[Row] = []
    for module_name in found:
        if names and module_name.removeprefix("bench_") not in names:
            continue
        for row in import_module(f"tests.benchmarks.{module_name}").run():
            print(line(cells(row)) + ("" if row.met else "  MISSED"), flush=True)
            rows.append(row)
    if not names:
        PAGE.write_text(page(rows), encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
