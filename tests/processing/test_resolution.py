"""Resolution by Fourier shell correlation: known volumes, and the verb on processed results."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from controller.app.cli import fsc
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from processing import (
    ProcessSettings,
    combine_series,
    process_series,
    read_series_result,
    write_fused_result,
    write_series_result,
    write_summary,
)
from processing.combine.pose import FLIP, Pose, about_z
from processing.resolution.results import Resolution
from processing.resolution.shells import Sector, shell_correlations
from tests.support.spheres import jittered, packed, tilt_series

SIDE = 48
VOXEL_NM = 0.5
DIAMETER_NM = 6.0


def white(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(SIDE,) * 3).astype(np.float32)


def blurred(sigma_px: float | tuple[float, float, float]) -> np.ndarray:
    return ndimage.gaussian_filter(white(1), sigma_px, mode="wrap")


def noisy(signal: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    return signal + noise * white(2), signal + noise * white(3)


def gaussian_crossing_nm(sigma_px: float, noise: float) -> float:
    """Resolution at which signal exp(-(2 pi k sigma)^2) / noise^2 gives a correlation of 0.143."""
    ratio = 0.143 / (1 - 0.143)
    frequency = np.sqrt(-np.log(ratio * noise**2)) / (2 * np.pi * sigma_px * VOXEL_NM)
    return float(1 / frequency)


@dataclass(frozen=True)
class Case:
    name: str
    halves: Callable[[], tuple[np.ndarray, np.ndarray]]
    low_nm: float
    high_nm: float
    sector: Sector = Sector.ALL


KNOWN_NM = gaussian_crossing_nm(1.5, 0.3)
CASES = [
    Case("known blur and noise", lambda: noisy(blurred(1.5), 0.3), 0.9 * KNOWN_NM, 1.1 * KNOWN_NM),
    Case("noise alone", lambda: (white(2), white(3)), 6.0, np.inf),
    Case(
        "blurred along z: z",
        lambda: noisy(blurred((2.5, 0.5, 0.5)), 0.05),
        2.5,
        4.5,
        Sector.Z,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_resolution_of_known_volumes(case: Case) -> None:
    (curve,) = shell_correlations(*case.halves(), VOXEL_NM, [case.sector])
    found = curve.resolution_nm(DIAMETER_NM)
    assert found is not None
    assert case.low_nm < found < case.high_nm


def test_voxels_limit_what_has_no_noise() -> None:
    same = blurred(0.5)
    (curve,) = shell_correlations(same, same, VOXEL_NM)
    assert curve.resolution_nm(DIAMETER_NM) is None
    sharp = shell_correlations(*noisy(blurred((2.5, 0.5, 0.5)), 0.05), VOXEL_NM, [Sector.X])[0]
    assert sharp.resolution_nm(DIAMETER_NM) is None


COARSE_PER_NM = 0.25
"""Frequency below which single series of this specimen show detail along the beam (1/nm)."""


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two series, turned by 90 degrees in the plane."""
    folder = tmp_path_factory.mktemp("processed")
    points = packed(14, 8.0, order="fcc", seed=9) + np.array([1.1, -0.7, 0.4])
    points += np.random.default_rng(9).normal(0, 0.15, points.shape)
    points = points[points[:, 2] < 8]
    angles = np.arange(-64.0, 65.0, 8.0)
    settings = ProcessSettings(diameter_nm=6.5)
    to_b = Pose(about_z(90.0) @ FLIP, np.zeros(3))
    results = []
    for seed, some in enumerate((points, to_b.apply(points))):
        taken = jittered(len(angles), jitter_px=0.5, angle_error_deg=0.05, counts=300, seed=seed)
        results.append(process_series(tilt_series(some, angles, 6.5, 44, taken), settings))
    for name, result in zip("AB", results, strict=True):
        write_series_result(folder, name, result)  # type: ignore[arg-type]
    fused = combine_series(*results, settings)
    write_fused_result(folder, fused)
    write_summary(folder, *results, fused)
    return folder


def run(folder: Path) -> int:
    parser = argparse.ArgumentParser()
    fsc.add_arguments(parser)
    return fsc.run(parser.parse_args([str(folder)]))


def test_both_series_complete_each_other(
    processed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(processed) == ExitCode.OK
    out = capsys.readouterr().out
    assert all(words in out for words in ("across A's tilt axis", "fused", "report.html"))
    text = (processed / "processed" / "resolution.json").read_text()
    found = Resolution.model_validate_json(text)
    whole = {(p.volume, p.sector): p for p in found.parts if p.depth_nm is None}
    assert len(whole) == 12
    assert len(found.parts) == 12 + 3 * 5
    with (processed / "processed" / "resolution.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = [row for row in rows if row["volume"] == "fused" and row["sector"] == "all"][1]
    assert float(first["correlation"]) > 0.9
    along_beam = {
        name: np.mean(
            [
                float(row["correlation"])
                for row in rows
                if (row["volume"], row["sector"]) == (name, "z")
                and 0 < float(row["frequency_per_nm"]) < COARSE_PER_NM
            ]
        )
        for name in ("A", "B", "fused")
    }
    assert along_beam["fused"] > max(along_beam["A"], along_beam["B"])
    assert "Fourier" in (processed / "report.html").read_text()


def test_new_volumes_have_no_old_resolution(processed: Path, tmp_path: Path) -> None:
    result = read_series_result(processed, "A")
    (tmp_path / "processed").mkdir()
    old = tmp_path / "processed" / "resolution.json"
    old.write_text("{}")
    write_series_result(tmp_path, "A", result)
    assert not old.exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [("none", "no such file"), ("empty", "process the series first"), ("damaged", "damaged")],
)
def test_folders_without_results_are_refused(tmp_path: Path, name: str, says: str) -> None:
    if name != "none":
        (tmp_path / name / "processed").mkdir(parents=True)
    if name == "damaged":
        (tmp_path / name / "processed" / "summary.json").write_text("{")
    with pytest.raises(UsageError, match=says):
        run(tmp_path / name)
