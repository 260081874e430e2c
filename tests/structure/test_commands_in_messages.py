"""Commands that messages name can be typed as shown, also where a path has spaces."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.common.errors import quoted

ROOT = Path(__file__).parents[2]
UNQUOTED = re.compile(
    r"dualtilt [a-z]+ (?:[\w-]+ )*\{(?!quoted\(|shlex\.quote\(|stacks|prompt|choices|event)"
)
"""A path in a command of an f-string that is not one word."""


def unquoted(text: str) -> list[str]:
    """Return the beginnings of commands that name a path with its spaces."""
    return [found[0] for found in UNQUOTED.finditer(text)]


@pytest.mark.parametrize("room", ["controller", "processing"])
def test_paths_in_commands_are_quoted(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): unquoted(path.read_text(encoding="utf-8"))
        for path in (ROOT / room).rglob("*.py")
    }
    assert {path: commands for path, commands in found.items() if commands} == {}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("dualtilt resume {folder}", 1),
        ("dualtilt resume {quoted(folder)} --rebuild-journal", 0),
        ("dualtilt report --figures", 0),
    ],
)
def test_the_search_finds_them(text: str, number: int) -> None:
    assert len(unquoted(text)) == number


def test_a_path_with_spaces_is_one_word() -> None:
    assert quoted(Path("/data/gold 2/s")) == "'/data/gold 2/s'"
    assert quoted(Path("/data/gold/s")) == "/data/gold/s"
