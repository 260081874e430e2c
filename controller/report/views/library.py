"""Source text of K3D, which draws the views, from its Python package."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

SOURCE = Path("static", "standalone.js")
NOTICES = Path("static", "standalone.js.LICENSE.txt")
"""Notices of the libraries inside the source, as comments."""
LICENCE = "licenses/LICENSE.txt"
DEFINITION = re.compile(r'^(define\("k3d",\[\],)(\(\)=>.*)(\);\s*)\Z', re.MULTILINE | re.DOTALL)
"""The source: a call with one function. Behind it, white space only."""


def k3d_source() -> str | None:
    """Return K3D's JavaScript behind its licence; None if the package is not installed.

    The package itself is not imported: it would import Jupyter's widgets, which takes seconds.
    """
    found = find_spec("k3d")
    if found is None or not found.submodule_search_locations:
        return None
    package = Path(found.submodule_search_locations[0])
    try:
        licence = distribution("k3d").read_text(LICENCE) or ""
        notices, source = ((package / file).read_text("utf-8") for file in (NOTICES, SOURCE))
    except (OSError, PackageNotFoundError):
        return None
    return f"/*! K3D-jupyter\n{licence.replace('*/', '')}*/\n{notices}\n{compiled_once(source)}"


def compiled_once(source: str) -> str:
    """Put the function that makes K3D into parentheses; another source stays as it is.

    Chromium compiles such a function as it reads it. Otherwise it reads the source twice: once to
    find the function's end, and again when it is called.
    """
    return DEFINITION.sub(r"\1(\2)\3", source)
