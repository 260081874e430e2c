"""The operator's desktop: open a page in its browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path


def open_in_browser(page: Path) -> bool:
    """Open a page in the desktop's browser; return False without a desktop.

    Without this check, a text browser would be used over SSH and would take over the terminal.
    """
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, displays)):
        return False
    return webbrowser.open(page.as_uri())
