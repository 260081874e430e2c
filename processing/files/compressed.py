"""Read files that may be compressed with gzip, bzip2 or xz, never more bytes than are needed."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from processing.errors import InputFileError
from processing.files.held_folder import open_to_read

SUFFIXES = (".gz", ".bz2", ".xz")
CHUNK_BYTES = 1 << 24
MAGIC: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""First bytes of a compressed file, and the function that opens it."""


def plain_name(path: Path) -> Path:
    """Return the path without the suffix of a compression: ``A.mrc.gz`` becomes ``A.mrc``."""
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def is_compressed(path: Path) -> bool:
    """Recognise a compressed file by its first bytes, whatever its name."""
    try:
        with open_to_read(path) as file:
            head = file.read(6)
    except OSError:
        return False
    return any(head.startswith(magic) for magic in MAGIC)


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; decompress it on the way if it is compressed.

    Raises
    ------
    InputFileError
        The file does not exist, is a folder, is cut off or damaged; also while it is read.
    """
    try:
        with open_to_read(path) as file:
            head = file.read(6)
            file.seek(0)
            opened = next((how for magic, how in MAGIC.items() if head.startswith(magic)), None)
            if opened is None:
                yield file
            else:
                with opened(file, "rb") as plain:
                    yield plain
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputFileError(f"{path}: is a folder; give a file") from None
    except EOFError as error:
        raise InputFileError(f"{path}: cut off: {_one_line(error)}; copy it again") from None
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise InputFileError(f"{path}: damaged: {_one_line(error)}; copy it again") from None
    except OSError as error:
        # bz2 reports damage so, without an error number
        fault = "cannot be read" if error.errno else "damaged"
        reason = error.strerror or _one_line(error)
        raise InputFileError(f"{path}: {fault}: {reason}; copy it again") from None


def read_up_to(file: IO[bytes], size: int) -> bytearray:
    """Read at most `size` bytes; memory grows with the bytes that are there, not with `size`."""
    data = bytearray()
    while len(data) < size:
        chunk = file.read(min(CHUNK_BYTES, size - len(data)))
        if not chunk:
            break
        data += chunk
    return data


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
