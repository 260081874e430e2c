"""`make soak`: checks that take too long for the tests; every part prints its figures.

``python -m tests.soak [NAME ...]``: runs the parts named, or all, and prints a table of them. The
exit status is 1 if a part failed: a requirement was violated, or the part itself raised an error.
"""

from __future__ import annotations

import sys
import time
import traceback
from importlib import import_module

PARTS = (
    "load",
    "flood",
    "network",
    "kills",
    "flips",
    "failures",
    "registrations",
    "sequences",
    "sessions",
)


def main(names: list[str]) -> int:
    """Run the parts called `names`, or all of them; return the exit status."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(
            f"no part named {', '.join(unknown)}: choose from {', '.join(PARTS)}", file=sys.stderr
        )
        return 2
    rows = [_run(name) for name in names or PARTS]
    print("\n| part | s | result |\n|---|---|---|")
    for name, duration_s, violations in rows:
        print(f"| {name} | {duration_s:.0f} | {len(violations) or 'no'} requirement violated |")
    return 1 if any(violations for _, _, violations in rows) else 0


def _run(name: str) -> tuple[str, float, list[str]]:
    """Run one part; return its name, its duration (s) and what it violated."""
    print(f"{name}: begins", flush=True)
    begun_s = time.monotonic()
    try:
        violations: list[str] = import_module(f"tests.soak.{name}").run()
    except Exception as error:  # noqa: BLE001 -- the other parts must still run
        traceback.print_exc()
        violations = [f"did not end: {type(error).__name__}: {error}"]
    for line in violations:
        print(f"{name}: VIOLATED: {line}")
    duration_s = time.monotonic() - begun_s
    print(f"{name}: {duration_s:.0f} s", flush=True)
    return name, duration_s, violations


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
