"""Rooms of the controller, and what the lightest of them may load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"numpy", "scipy", "mrcfile", "astra", "matplotlib", "textual", "Pyro5"}
SLOW_TO_LOAD = {"matplotlib", "scipy.signal", "scipy.stats", "textual", "rsciio"}
"""Libraries that a session and its children need at its end or never."""
CODE = "import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("controller.model.plan", HEAVY),
        ("controller.model.protocol", HEAVY),
        ("controller.app.session_process", SLOW_TO_LOAD),
        ("controller.app.cli.bridge", SLOW_TO_LOAD),
        ("controller.worker.live", SLOW_TO_LOAD),
        ("controller.worker.count", SLOW_TO_LOAD),
        ("controller.worker.jobs", SLOW_TO_LOAD),
    ],
)
def test_a_module_loads_no_heavy_library(module: str, heavy: set[str]) -> None:
    code = CODE.format(module=module, heavy=heavy)
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.split() == []


def test_every_module_of_the_controller_lies_in_a_room() -> None:
    assert [path.name for path in (ROOT / "controller").glob("*.py")] == ["__init__.py"]
