"""docs/faults.md: one row per fault, with tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
FAULTS = 97
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/\S+\.py)::(\w+)`")
ROWS = {int(number): rest for number, *rest in ROW.findall((REPO / "docs/faults.md").read_text())}


def test_every_fault_has_its_row() -> None:
    assert list(ROWS) == list(range(1, FAULTS + 1))


@pytest.mark.parametrize("number", ROWS)
def test_every_row_is_shown_by_tests_that_exist(number: int) -> None:
    _, _, shown_by = ROWS[number]
    named = TEST.findall(shown_by)
    assert named
    assert TEST.sub("", shown_by).strip() == ""
    for file, name in named:
        functions = ast.walk(ast.parse((REPO / file).read_text()))
        assert name in {f.name for f in functions if isinstance(f, ast.FunctionDef)}
