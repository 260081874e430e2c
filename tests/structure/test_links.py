"""The documents: links and code names that exist, a short README, an index of all decisions."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
DECISIONS = REPO / "docs" / "decisions"
PAGES = sorted(
    [
        *REPO.glob("*.md"),
        REPO / "config" / "README.md",
        REPO / "tests" / "README.md",
        *REPO.glob("docs/**/*.md"),
    ]
)
CODE_BLOCK = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
NAMED_CODE = re.compile(r"`([\w/]+\.py)::([\w.]+)`")
NAMED_FILE = re.compile(
    r"`((?:config|controller|docs|processing|simulator|tests)/[\w/.-]+\.(?:py|md|toml|json))`"
)
PLACEHOLDER = "NAME"
"""Stands for the name of something new, in the recipes."""
README_WORDS = 1000


def relative(path: Path) -> str:
    return str(path.relative_to(REPO))


def text(path: Path) -> str:
    return CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Ids of a page's headings, as repositories and the site make them."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in HEADING.findall(text(path))
    }


def names(path: Path) -> set[str]:
    """Functions and classes of a module, and the members of its classes as `Class.member`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            members = (member for member in node.body if isinstance(member, ast.FunctionDef))
            found.update(f"{node.name}.{member.name}" for member in members)
    return found


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_points_at_something_that_exists(page: Path) -> None:
    broken = []
    for link in LINK.findall(text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        there = target.exists() and target.is_relative_to(REPO)
        if not there or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_named_piece_of_code_exists(page: Path) -> None:
    named = NAMED_CODE.findall(text(page))
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (REPO / file).is_file() or name not in names(REPO / file)
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_named_file_exists(page: Path) -> None:
    named = [file for file in NAMED_FILE.findall(text(page)) if PLACEHOLDER not in file]
    assert [file for file in named if not (REPO / file).is_file()] == []


def test_the_readme_is_short() -> None:
    assert len((REPO / "README.md").read_text(encoding="utf-8").split()) < README_WORDS


def test_every_decision_stands_in_the_index_once_in_order() -> None:
    decisions = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert LINK.findall(text(DECISIONS / "README.md")) == decisions
    assert [int(name[:4]) for name in decisions] == list(range(1, len(decisions) + 1))


def test_the_reference_holds_every_module_of_processing() -> None:
    page = (REPO / "docs" / "api" / "rooms.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. automodule:: (\S+)$", page, re.M)
    files = [path.relative_to(REPO).with_suffix("") for path in REPO.glob("processing/**/*.py")]
    modules = [".".join(file.parts).removesuffix(".__init__") for file in files]
    assert sorted(listed) == sorted(set(modules) - {"processing"})
