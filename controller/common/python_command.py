"""How a child process of ours is started, whatever lies in the folder it is started from."""

from __future__ import annotations

import sys


def python_module_command(name: str, *words: str) -> list[str]:
    """Return the command that runs a module of ours in a child process.

    `-P` keeps the current folder out of the import path: among a microscopist's data a
    `processing.py` may lie, and it is not ours.
    """
    return [sys.executable, "-P", "-m", name, *words]
