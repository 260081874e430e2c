"""Plain English: docstrings and comments are understood at first reading."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "controller/app",
    "controller/bridge",
    "controller/common",
    "controller/engine",
    "controller/hardware",
    "controller/model",
    "controller/procedures",
    "controller/rehearsal",
    "controller/report",
    "controller/service",
    "controller/session",
    "controller/ui",
    "controller/worker",
    "docs",
    "processing",
    "simulator",
    "tests",
)

BAD_OPENINGS = re.compile(r"(?:Of|What|How|Whether)\b")
"""First words of a fragment that only makes sense as a continuation."""
PRIVATE_WORDS = {
    r"smear(?:s|ed|ing)?": "back-project",
    r"seen[_ ]from": "project, projection",
    r"likeness(?:es)?": "correlation, similarity",
    r"creep(?:s|ing)?": "drift",
    r"drawn and gathered|drawn/gathered|gathered": "forward and adjoint",
    r"levelled": "background-subtracted",
    r"straightened": "linearised",
    r"the twin|twin's": "the simulator, the simulated microscope",
    r"told twice at most": "with one retry",
    r"vouch(?:es|ed)?": "records, guarantees",
    r"so many": "the number",
    r"as it were": "(leave it out)",
    r"sighting(?:s)?": "object location",
}
PRIVATE = re.compile(rf"\b(?:{'|'.join(PRIVATE_WORDS)})\b", re.IGNORECASE)


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_and_comments_are_plain(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [fault for path in files if path != Path(__file__) for fault in faults(path)] == []


def faults(path: Path) -> Iterator[str]:
    """Name file, line and rule for each docstring or comment that breaks one."""
    source = path.read_text(encoding="utf-8")
    where = path.relative_to(ROOT)
    for line, text in docstrings(ast.parse(source)):
        if opening := BAD_OPENINGS.match(text.lstrip()):
            yield f"{where}:{line}: a docstring begins with {opening[0]!r}"
    for line, text in [*docstrings(ast.parse(source)), *comments(source)]:
        for found in PRIVATE.finditer(text):
            at = line + text[: found.start()].count("\n")
            yield f"{where}:{at}: {found[0]!r}: say {plain_word(found[0])}"


def plain_word(private: str) -> str:
    """Return what to say instead of a private word."""
    return next(
        plain for word, plain in PRIVATE_WORDS.items() if re.fullmatch(word, private, re.IGNORECASE)
    )


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Give line and text of every string that stands alone: docstrings, also of attributes."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.lineno, node.value.value


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Give line and text of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        pytest.param('"""Of every move: its duration."""', "'Of'", id="an opening"),
        pytest.param('x = 1\n"""What is given."""', "example.py:2", id="an attribute's docstring"),
        pytest.param('"""Moves.\n\nThe likeness."""', "example.py:3: 'likeness'", id="a word"),
        pytest.param("x = 1  # smeared out", "back-project", id="a comment"),
        pytest.param('"""Office hours."""', None, id="only whole words"),
        pytest.param('x = "What is this?"', None, id="other strings are free"),
    ],
)
def test_the_rules_find_what_breaks_them(
    source: str, fault: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "example.py").write_text(source)
    found = list(faults(tmp_path / "example.py"))
    assert [fault in line for line in found] == ([True] if fault else [])
