"""Files of a folder that the table in docs/files.md does not name."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
HEADING = "## Files in the folder of a session or of results"


def documented_patterns() -> list[str]:
    """Return the names in the first column of the table, with `*` for any name."""
    table = PAGE.read_text(encoding="utf-8").split(HEADING)[1]
    firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [pattern for first in firsts for pattern in re.findall(r"`([^`]+)`", first)]


def undocumented(folder: Path) -> list[str]:
    """Return the paths of all files of a folder that fit no name in the table."""
    patterns = documented_patterns()
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if not any(fnmatchcase(path, p) for p in patterns))
