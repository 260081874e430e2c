"""Public names of `processing`, and the cheap import behind them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import processing

HEAVY = ("scipy", "astra", "mrcfile", "pywt", "matplotlib")
LIGHT = [
    "processing",
    "processing.errors",
    "processing.files.atomic",
    "processing.files.particles",
    "processing.pipeline.settings",
    "processing.progress",
    "processing.results",
    "processing.scratch",
    "processing.series",
]
IMPORT_AND_LIST = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
dir(importlib.import_module("processing"))
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


def heavy_after_import(modules: list[str]) -> list[str]:
    """Import modules in a new interpreter; return the heavy packages that came with them."""
    command = [sys.executable, "-c", IMPORT_AND_LIST, json.dumps(modules), json.dumps(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def test_importing_light_modules_imports_no_heavy_package() -> None:
    assert heavy_after_import(LIGHT) == []


def test_the_test_above_sees_heavy_packages() -> None:
    assert "mrcfile" in heavy_after_import(["processing.files.mrc"])


@pytest.mark.parametrize("name", processing.__all__)
def test_every_public_name_is_the_one_its_module_defines(name: str) -> None:
    value = getattr(processing, name)
    module = importlib.import_module(processing._MODULES[name])
    assert value is getattr(module, name)
    assert getattr(value, "__module__", module.__name__) in (module.__name__, "collections.abc")


def test_the_public_names_are_listed_once() -> None:
    assert sorted(set(processing.__all__)) == processing.__all__
    assert set(processing._MODULES) == set(processing.__all__) <= set(dir(processing))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'processing' has no attribute 'process_all'"):
        _ = processing.process_all  # type: ignore[attr-defined]


def test_files_may_be_named_by_text(tmp_path: Path) -> None:
    stack, angles, table = (str(tmp_path / name) for name in ("A.mrc", "A.rawtlt", "a.csv"))
    images = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
    processing.write_images(stack, images, 0.5)
    Path(angles).write_text("-10\n0\n10\n")
    assert np.array_equal(processing.read_stack(stack).data, images)
    series = processing.load_tilt_series(stack, angles=angles)
    assert series.pixel_nm == 0.5 and list(series.angles_deg) == [-10, 0, 10]
    one = processing.ParticleTable(np.zeros((1, 3)), np.full(1, 6.3), np.ones(1))
    processing.write_csv(table, one)
    assert len(processing.read_csv(table)) == 1
