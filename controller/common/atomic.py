"""Replace or remove a file in one step, for the packages that may not import `processing`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

ANY_READER, OWNER_ONLY = 0o666, 0o600
"""File permissions; the process's umask narrows them."""


def remove_file(path: Path) -> None:
    """Remove a file if it exists."""
    path.unlink(missing_ok=True)


def replace_text(path: Path, text: str, mode: int = ANY_READER) -> None:
    """Write a text file in one step: a reader finds the old file or the whole new one.

    The file is not flushed to the disk; after a power failure it may be missing or empty.
    `processing.files.atomic` has a durable version.

    Parameters
    ----------
    mode
        Permissions of the new file, e.g. `OWNER_ONLY` for a secret.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
