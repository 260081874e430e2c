"""Read small text files of any encoding, and numbers with a decimal point or comma."""

from __future__ import annotations

import codecs
import errno
import os
from pathlib import Path
from typing import BinaryIO

from processing.errors import InputFileError
from processing.files.held_folder import open_to_read

LARGEST_BYTES = 64_000_000
"""Largest text file that is read: an mdoc of ten thousand images has a tenth of it."""
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
TRUE_WORDS = ("true", "t", "yes", "1", "1.0")
FALSE_WORDS = ("false", "f", "no", "0", "0.0", "")
"""Cells of a column of true and false, in lower case."""
MINUS_SIGNS = str.maketrans({"\u2212": "-", "\u2013": "-"})


def read_text(path: Path) -> str:
    """Read a text file: UTF-8, UTF-16 or UTF-32 with or without byte order mark, else Latin-1.

    Raises
    ------
    InputFileError
        The file does not exist, cannot be read, or is far too large for a text.
    """
    try:
        with open_to_read(path) as file:
            return decode(read_small(file))
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_small(file: BinaryIO) -> bytes:
    """Read a whole open file of text.

    Raises
    ------
    OSError
        It has more than `LARGEST_BYTES` (EFBIG).
    """
    size = file.seek(0, os.SEEK_END)
    if size > LARGEST_BYTES:
        limit, name = LARGEST_BYTES // 1_000_000, str(getattr(file, "name", ""))
        raise OSError(errno.EFBIG, f"too large for a file of text, over {limit} MB", name)
    file.seek(0)
    return file.read()


def decode(data: bytes) -> str:
    """Decode bytes by their byte order mark, else by their zero bytes, else as UTF-8 or Latin-1."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    head = data[:1000]
    zeros_even, zeros_odd = head[::2].count(0), head[1::2].count(0)
    if max(zeros_even, zeros_odd) > len(head) / 4:
        encoding = "utf-16-le" if zeros_odd > zeros_even else "utf-16-be"
        return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def to_number(text: str) -> float:
    """Return the value of a number with decimal point or comma.

    Raises
    ------
    ValueError
        The text is not a number.
    """
    plain = text.strip().translate(MINUS_SIGNS)
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    return float(plain)


def to_bool(text: str) -> bool:
    """Return whether a cell of a table is true; an empty one is false.

    Spreadsheets write TRUE, or the word of their own language, where a table had true. Words that
    are not known are refused: read as false, they would count particles of other objects.

    Raises
    ------
    ValueError
        The text is neither true nor false.
    """
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(f"{text.strip()[:40]!r} is neither true nor false; write 1 or 0")
