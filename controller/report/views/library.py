"""Source text of K3D, which draws the views, from its Python package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

SOURCE = Path("static", "standalone.js")


def k3d_source() -> str | None:
    """Return K3D's JavaScript; None if the package is not installed.

    The package itself is not imported: it would import Jupyter's widgets, which takes seconds.
    """
    found = find_spec("k3d")
    if found is None or not found.submodule_search_locations:
        return None
    try:
        return (Path(found.submodule_search_locations[0]) / SOURCE).read_text(encoding="utf-8")
    except OSError:
        return None
