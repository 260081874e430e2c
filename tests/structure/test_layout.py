"""Rooms of the controller, and what the lightest of them may load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("numpy", "scipy", "mrcfile", "astra", "matplotlib", "textual", "Pyro5")
CODE = "import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"


@pytest.mark.parametrize("module", ["controller.model.plan", "controller.model.protocol"])
def test_the_model_loads_no_heavy_library(module: str) -> None:
    code = CODE.format(module=module, heavy=set(HEAVY))
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.split() == []


def test_every_module_of_the_controller_lies_in_a_room() -> None:
    assert [path.name for path in (ROOT / "controller").glob("*.py")] == ["__init__.py"]
