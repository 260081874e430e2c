"""Opening a file where the operator sits."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path


def open_in_browser(page: Path) -> bool:
    """Open a page in the desktop's browser; False where there is no desktop.

    Over SSH a text browser would be found, and would take the terminal from the screen.
    """
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, displays)):
        return False
    return webbrowser.open(page.as_uri())
