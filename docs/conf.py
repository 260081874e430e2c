"""Sphinx settings of the documentation site; `make docs` builds it in the repository's root."""

from __future__ import annotations

import re
from importlib.metadata import version as installed

from sphinx.application import Sphinx

project = "dualtilt"
author = "the dualtilt authors"
copyright = author
version = release = installed("dualtilt")

# the source folder is the repository, so that links work both on the site and in the repository
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "config/README.md",
    "tests/README.md",
    "docs/**",
]
exclude_patterns = [".venv", ".git", "build", "**/__pycache__"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_ivar = True  # properties of the same name are members already

html_theme = "furo"
html_title = f"dualtilt {release}"
html_copy_source = False
html_show_sphinx = False

ENTRY_OF_SEVERAL = re.compile(r"^ *\w+(, \w+)+$")


def setup(app: Sphinx) -> None:
    """Register the changes to docstrings, before napoleon reads them."""
    app.connect("autodoc-process-docstring", one_entry_each, priority=400)


def one_entry_each(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Split an entry ``a, b`` of an Attributes section in two: napoleon takes ``a`` for a type."""
    if "Attributes" not in (line.strip() for line in lines):
        return
    changed: list[str] = []
    for number, line in enumerate(lines):
        following = lines[number + 1 : number + 2]
        if ENTRY_OF_SEVERAL.match(line) and following and following[0].startswith("    "):
            text = [following[0]]
            for later in lines[number + 2 :]:
                if not later.startswith("    "):
                    break
                text.append(later)
            *first, last = line.strip().split(", ")
            for name in first:
                changed += [name, *text]
            changed.append(last)
        else:
            changed.append(line)
    lines[:] = changed
