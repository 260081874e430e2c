"""Read-only screen for one browser visitor: `python -m controller.ui.tui.web FOLDER`.

The server starts one process for each visitor and ends it when the visitor leaves.
"""

from __future__ import annotations

import sys
from pathlib import Path

from controller.ui.tui.session_app import SessionApp

if __name__ == "__main__":
    SessionApp(Path(sys.argv[1]), read_only=True).run()
