"""Read a file of a session: in bounded memory, and never through a link."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path

from controller.common.bounded_read import SMALL_FILE_BYTES, read_whole
from processing.files.atomic import open_plain


def read_plain(path: Path, limit_bytes: int = SMALL_FILE_BYTES) -> bytes:
    """Read a whole file of at most `limit_bytes`.

    Raises
    ------
    OSError
        The file cannot be read, is a link (ELOOP), or is larger (EFBIG).
    """
    with open_plain(path, "rb") as file, BufferedReader(file) as whole:
        return read_whole(whole, limit_bytes)
