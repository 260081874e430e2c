"""The Python blocks of docs/tutorial.md, run on a small simulated pair."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.model.scan import ScanSettings
from processing import Summary, read_csv, read_series_result, read_stack, read_xyz, write_images
from processing.files.rawtlt import write_rawtlt
from simulator.series import simulate_dual
from simulator.settings import SimulatorSettings

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
SPECIMEN = {"assembly_diameter_nm": 46.0, "packing": "disordered", "other_assemblies_nm": []}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Folder with both series, and the number of particles they show."""
    folder = tmp_path_factory.mktemp("practice")
    scan = ScanSettings(width_px=72, height_px=72, pixel_nm=0.9, dwell_us=8.0)
    settings = SimulatorSettings.model_validate(
        {"seed": 3, "specimen": SPECIMEN, "remount": {"in_plane_deg": 40.0}}
    )
    angles = np.arange(-70.0, 71.0, 4.0)
    dual = simulate_dual(settings, scan, angles, angles, 70.0)
    for name, series in (("A", dual.a), ("B", dual.b)):
        write_images(folder / f"{name}.mrc", series.counts, scan.pixel_nm)
        write_rawtlt(folder / f"{name}.rawtlt", series.reported_deg)
    return folder, len(dual.truth)


@pytest.fixture(scope="module")
def names(session: tuple[Path, int]) -> dict[str, Any]:
    """Variables after the blocks of the page have run, one after the other, in that folder."""
    script = session[0] / "tutorial.py"
    script.write_text("\n".join(BLOCKS), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(session[0])
        return runpy.run_path(str(script))


def test_the_first_block_is_ten_lines_at_most() -> None:
    assert sum(bool(line.strip()) for line in BLOCKS[0].splitlines()) <= 10


def test_the_page_imports_only_the_public_face() -> None:
    modules = re.findall(r"^\s*(?:from|import) ([\w.]+)", "\n".join(BLOCKS), re.M)
    assert set(modules) == {"pathlib", "processing"}


def test_the_table_holds_the_particles(session: tuple[Path, int], names: dict[str, Any]) -> None:
    folder, truth = session
    count = names["fused"].detection.count
    assert len(read_csv(folder / "particles.csv")) == count.n == pytest.approx(truth, rel=0.02)
    assert count.n_low <= truth <= count.n_high


def test_the_saved_files_can_be_read_back(session: tuple[Path, int], names: dict[str, Any]) -> None:
    folder, fused = session[0], names["fused"]
    assert len(read_xyz(folder / "particles.xyz")) == len(fused.detection.table)
    np.testing.assert_array_equal(read_stack(folder / "fused.mrc").data, fused.volume)
    results = folder / "results"
    assert read_series_result(results, "B").summary == names["b"].summary
    written = (results / "processed" / "summary.json").read_text()
    assert Summary.model_validate_json(written) == names["summary"]


def test_a_good_pair_has_the_values_the_page_names(names: dict[str, Any]) -> None:
    a, b, fused = (names[name] for name in ("a", "b", "fused"))
    assert a.warnings == b.warnings == ()
    assert max(a.summary.align_rms_px, b.summary.align_rms_px) < 0.1
    assert a.diameter.value == pytest.approx(b.diameter.value, rel=0.02)
    assert a.diameter.from_pair_distance > a.diameter.value
    assert fused.registration.score > 0.9 > fused.registration.runner_up
    assert fused.registration.rms_nm < 0.1 * fused.diameter.value
    assert fused.registration.scale == pytest.approx(1.0, abs=0.01)
