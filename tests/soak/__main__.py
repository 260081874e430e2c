"""`make soak`: what takes too long for the tests; every part prints its figures.

``python -m tests.soak [NAME ...]``: kills, sessions, load, network. The exit status is 1 where a
promise was broken.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

PARTS = ("load", "network", "kills", "sessions")


def main(names: list[str]) -> int:
    """Run the parts called `names`, or all of them."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no part {', '.join(unknown)}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    kept = True
    for name in names or PARTS:
        begun_s = time.monotonic()
        broken = import_module(f"tests.soak.{name}").run()
        kept = kept and not broken
        for line in broken:
            print(f"{name}: BROKEN: {line}")
        print(f"{name}: {time.monotonic() - begun_s:.0f} s", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
