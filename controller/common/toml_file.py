"""Read a TOML file, and say what is wrong with its text."""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.common.bounded_read import read_bounded
from controller.common.errors import UsageError

HINTS = (
    (re.compile(r"^[^#\"'\[{]*=\s*[-+]?\d+,\d+\s*(#.*)?$"), "write decimals with a point: 1.2"),
    (re.compile(r"[“”„‘’]"), 'write straight quotation marks: "text"'),
    (re.compile(r"=\s*\"[^\"]*\\"), "write / instead of \\ in a path, or 'text' in single quotes"),
    (re.compile(r"^[^#\"'\[{]*=\s*(True|False|TRUE|FALSE)\b"), "write true or false"),
    (re.compile(r"^[^#\"'\[{=]*=\s*[A-Za-z_][^\"'\[{]*$"), 'write text in quotation marks: "text"'),
)
"""Slips on the line of an error, and what to write instead; the first that fits is shown."""
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PLACE = re.compile(r"\(at line (\d+), ")


def read_toml(
    path: Path, read: Callable[[Path], bytes] = read_bounded, kind: str = "file"
) -> dict[str, Any]:
    """Return the content of a TOML file.

    Parameters
    ----------
    read
        Function that reads the file; that of a session refuses links.
    kind
        Name of the file's kind for the message about a missing one.

    Raises
    ------
    UsageError
        The file is missing, or cannot be read as TOML; gives the place and a hint.
    """
    try:
        content = read(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such {kind}") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from None
    try:
        # Windows' editor puts a mark in front of UTF-8
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        binary = b"\0" in content and not content.startswith(UTF_16)
        instead = "it is no text" if binary else "save it as UTF-8 text"
        raise UsageError(f"{path}: cannot be read as TOML: {instead}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}{_hint(text, error)}") from None


def _hint(text: str, error: tomllib.TOMLDecodeError) -> str:
    place = PLACE.search(str(error))
    lines = text.splitlines()
    if place is None or not 0 < int(place[1]) <= len(lines):
        return ""
    line = lines[int(place[1]) - 1]
    return next((f"; {hint}" for slip, hint in HINTS if slip.search(line)), "")
