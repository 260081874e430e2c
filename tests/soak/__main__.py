"""`make soak`: checks that take too long for the tests; every part prints its figures.

``python -m tests.soak [NAME ...]``: runs the parts named, or all. The exit status is 1 if a
requirement was violated.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

PARTS = ("load", "flood", "network", "kills", "flips", "failures", "sequences", "sessions")


def main(names: list[str]) -> int:
    """Run the parts called `names`, or all of them."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(
            f"no part named {', '.join(unknown)}: choose from {', '.join(PARTS)}", file=sys.stderr
        )
        return 2
    passed = True
    for name in names or PARTS:
        start_s = time.monotonic()
        violations = import_module(f"tests.soak.{name}").run()
        passed = passed and not violations
        for line in violations:
            print(f"{name}: VIOLATED: {line}")
        print(f"{name}: {time.monotonic() - start_s:.0f} s", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
