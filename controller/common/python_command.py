"""Command line of a child process that runs one of our modules."""

from __future__ import annotations

import sys


def python_module_command(name: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules in a child process.

    `-P` keeps the current folder out of the import path: a data folder may contain an unrelated
    `processing.py`.
    """
    return [sys.executable, "-P", "-m", name, *arguments]
