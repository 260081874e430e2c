"""`python -m tests.benchmarks [NAME ...]`: run every bench_*.py, print one table.

A run of all of them also writes the table to docs/benchmarks.md. A module has
`run() -> list[Row]`. Names choose modules: ``frames`` for ``bench_frames``. The exit status is 1
where a target is missed.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.row import Row

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD = f"{'problem':<44} {'ours':>10} {'peer':>10} {'ratio':>7} {'target':>7}  peer is"


def line(row: Row) -> str:
    """Format one row; times in ms."""
    target = "-" if row.target_ratio is None else f"{row.target_ratio:.2f}"
    return (
        f"{row.problem:<44} {row.ours_s * 1e3:>8.2f}ms {row.peer_s * 1e3:>8.2f}ms "
        f"{row.ratio:>7.2f} {target:>7}  {row.peer}{'' if row.met else '  MISSED'}"
    )


def page(rows: list[Row]) -> str:
    """The table as a page of the documentation."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    head = "| problem | ours, ms | peer, ms | ours / peer | at most | peer |"
    lines = [
        f"| {row.problem} | {row.ours_s * 1e3:.2f} | {row.peer_s * 1e3:.2f} | {row.ratio:.3f} "
        f"| {'-' if row.target_ratio is None else row.target_ratio} | {row.peer} |"
        for row in rows
    ]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `make bench` ({machine}).",
            "",
            head,
            "|---|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def main(names: list[str]) -> int:
    """Run the benchmarks called `names`, or all of them."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = [name for name in names if f"bench_{name}" not in found]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}: choose from {', '.join(found)}", file=sys.stderr)
        return 2
    print(HEAD)
    rows: list[Row] = []
    for module_name in found:
        if names and module_name.removeprefix("bench_") not in names:
            continue
        for row in import_module(f"tests.benchmarks.{module_name}").run():
            print(line(row), flush=True)
            rows.append(row)
    if not names:
        PAGE.write_text(page(rows), encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
