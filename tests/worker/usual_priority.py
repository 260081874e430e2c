"""A processing child that keeps the priority of its parent.

A count has the lowest one: while other tests use all cores, a test would wait for it for minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from controller.worker import child
from controller.worker.supervisor import Command


def at_usual_priority(folder: Path) -> Command:
    """Return the commands of a session's children by their role."""

    def command(role: str) -> Sequence[str]:
        return [sys.executable, "-P", __file__, role, str(folder.absolute())]

    return command


if __name__ == "__main__":
    child.NICENESS.update(dict.fromkeys(child.NICENESS, 0))
    child.main(sys.argv[1], Path(sys.argv[2]))
