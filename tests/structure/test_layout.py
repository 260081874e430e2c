"""Rooms of the controller, and what the lightest of them may load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"numpy", "scipy", "numba", "mrcfile", "astra", "matplotlib", "textual", "Pyro5"}
SLOW_TO_LOAD = {"matplotlib", "numba", "scipy.signal", "scipy.stats", "textual", "rsciio"}
"""Libraries that a session and its children need at its end or never."""
HELP = "from controller.app.cli.main import build_parser; build_parser(None)"
MODEL = "import controller.model.plan, controller.model.protocol, simulator.settings"
SESSION = (
    "import controller.app.session_process, controller.app.cli.bridge,"
    " controller.worker.live, controller.worker.count, controller.worker.jobs"
)
LOADED = "; import sys; print(*sorted({heavy} & set(sys.modules)))"


@pytest.mark.parametrize(
    ("code", "heavy"),
    [(HELP, {*HEAVY, "pydantic"}), (MODEL, HEAVY), (SESSION, SLOW_TO_LOAD)],
    ids=["the help", "the model", "a session and its children"],
)
def test_no_heavy_library_is_loaded(code: str, heavy: set[str]) -> None:
    words = [sys.executable, "-c", code + LOADED.format(heavy=heavy)]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.split() == []


def test_every_module_of_the_controller_lies_in_a_room() -> None:
    assert [path.name for path in (ROOT / "controller").glob("*.py")] == ["__init__.py"]
