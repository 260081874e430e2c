"""Devices: what is chosen, what is said when one is missing, and the same results on all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from controller.app.cli.main import main
from processing import device as devices
from processing.combine.pose import FLIP, about_z
from processing.combine.register import register
from processing.count.particles import find_clusters
from processing.device import CPU, Device, DeviceName, device
from processing.errors import DeviceError, ProcessingError
from processing.fit.positions import measure_positions
from processing.fit.sizes import measure_sizes
from processing.fit.spheres import fit_spheres
from processing.images.shift import Band, shifts_in_bands
from processing.pipeline import series_process
from processing.pipeline.pair import process_pair
from processing.pipeline.settings import ProcessSettings
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.reconstruct.ssr import ssr_volume
from processing.series import TiltSeries
from tests.support.spheres import packed, tilt_series
from tests.support.strict_device import strict_device

DIAMETER = 8.0
A_ANGLES, B_ANGLES = np.arange(-70.0, 75.0, 10.0), np.arange(-66.0, 75.0, 10.0)
needs_gpu = pytest.mark.skipif(device("auto") is CPU, reason="no GPU here")


def spheres(angles_deg: np.ndarray, name: str) -> TiltSeries:
    points = packed(14, 8.6, order="disordered", seed=3)
    series = tilt_series(points, angles_deg, DIAMETER, 56)
    return TiltSeries(series.images, series.angles_deg, series.pixel_nm, name=name)


@pytest.fixture
def without_cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(devices, "import_module", missing)
    devices._gpu.cache_clear()
    yield
    devices._gpu.cache_clear()


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_without_a_gpu_the_cpu_computes(name: DeviceName, without_cupy: None) -> None:
    assert device(name) is CPU


def test_a_missing_gpu_is_named_with_what_to_install(
    without_cupy: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceError, match=r"cuda: .*cupy.*pip install -e '\.\[gpu\]'"):
        device("cuda")
    (tmp_path / "A.mrc").touch()
    arguments = ["process", str(tmp_path / "A.mrc"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--device", "cuda"]) == 2
    assert "device cuda: CuPy is not installed" in capsys.readouterr().err


def test_both_series_side_by_side_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = spheres(A_ANGLES, "A"), spheres(B_ANGLES, "B")
    settings = ProcessSettings(diameter_nm=DIAMETER, device="cpu", sirt_iterations=5)
    one_by_one = list(process_pair(a, b, settings))
    monkeypatch.setattr(series_process, "worker_threads", lambda: series_process.FEWEST_CORES)
    side_by_side = list(process_pair(a, b, settings))
    for alone, together in zip(one_by_one, side_by_side, strict=True):
        assert alone.aligned.name == together.aligned.name
        # where an array lies in memory may change the last bit of a sum
        rounding = 1e-5 * float(np.abs(alone.volume).max())
        np.testing.assert_allclose(together.volume, alone.volume, rtol=0, atol=rounding)
        centres_nm = (one.detection.table.centres_nm for one in (together, alone))
        np.testing.assert_allclose(*centres_nm, rtol=0, atol=1e-3)


def test_the_process_of_b_ends_where_a_file_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(series_process, "worker_threads", lambda: series_process.FEWEST_CORES)
    monkeypatch.setattr(series_process, "subprocess", SimpleNamespace(PIPE=-1, Popen=popen))
    files = [str(tmp_path / name) for name in ("A.mrc", "B.mrc")]
    for file in files:
        Path(file).write_bytes(b"no tilt series")
    assert main(["process", *files, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert [process.returncode is None for process in started] == [False]


@pytest.mark.parametrize("empty", ["A", "B"])
def test_the_failure_of_either_series_has_its_own_message(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_process, "worker_threads", lambda: series_process.FEWEST_CORES)
    both = [
        replace(one, images=one.images * (one.name != empty))
        for one in (spheres(A_ANGLES, "A"), spheres(B_ANGLES, "B"))
    ]
    with pytest.raises(ProcessingError, match=f"series {empty}"):
        list(process_pair(both[0], both[1], ProcessSettings(diameter_nm=DIAMETER, device="cpu")))


@pytest.fixture(
    params=[
        pytest.param("strict", id="NumPy, as strict as a GPU"),
        pytest.param("cuda", id="GPU", marks=[pytest.mark.gpu, needs_gpu]),
    ],
)
def gpu(request: pytest.FixtureRequest) -> Device:
    if request.param == "cuda":
        return device("cuda")
    return strict_device()


def test_every_device_gives_the_result_of_the_cpu(gpu: Device) -> None:
    series = spheres(A_ANGLES, "A")
    on_cpu, on_gpu = (
        sirt(Projector(series.angles_rad, 56, device=where), series.images, 20, momentum=True)
        for where in (CPU, gpu)
    )
    # the same matrix in another order of summation; measured on an H100: 1.3e-6
    assert np.abs(on_cpu - on_gpu).max() < 1e-5 * on_cpu.max()
    centres = [ssr_volume(on_cpu, DIAMETER, iterations=20, device=where) for where in (CPU, gpu)]
    np.testing.assert_allclose(*centres, atol=1e-3 * centres[0].max())
    found = find_clusters(centres[0], DIAMETER)
    fits = [
        fit_spheres([(series, None)], found.centres_px, found.weight, DIAMETER, device=where)
        for where in (CPU, gpu)
    ]
    np.testing.assert_allclose(fits[0].centres_nm, fits[1].centres_nm, atol=0.01)
    np.testing.assert_allclose(fits[0].amplitudes, fits[1].amplitudes, atol=0.01)
    np.testing.assert_allclose(*(fit.evidence.unexplained for fit in fits), atol=1e-3)
    np.testing.assert_allclose(*(measure_sizes(fit).measured for fit in fits), atol=1e-3)
    same = np.zeros(len(found.weight)), np.full(len(found.weight), 0.02)
    positions = [measure_positions(fit, *same) for fit in fits]
    np.testing.assert_allclose(*(one.centres_nm for one in positions), atol=0.01)
    np.testing.assert_allclose(*(one.errors_nm for one in positions), rtol=0.05)


def test_arrays_of_host_and_device_do_not_meet() -> None:
    strict, ones = strict_device(), np.ones(3)
    there = strict.to_device(ones)
    for mixed in (
        lambda: there + ones,
        lambda: ones * there,
        lambda: strict.xp.maximum(there, ones),
        lambda: np.asarray(there),
        lambda: np.linalg.norm([there, ones]),
    ):
        with pytest.raises(TypeError, match="device"):
            mixed()
    np.testing.assert_array_equal(strict.to_host(2 * there + there), 3 * ones)


def test_every_device_finds_the_same_shifts(gpu: Device) -> None:
    series = spheres(A_ANGLES, "A")
    references = np.stack([ndimage.shift(image, (1.3, -0.6)) for image in series.images])
    on_cpu, on_gpu = (
        shifts_in_bands(series.images, references, (Band(1.5, 30.0), Band(1.5, 5.0)), device=where)
        for where in (CPU, gpu)
    )
    for one, other in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_allclose(one.shifts_px, other.shifts_px, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    np.testing.assert_allclose(on_cpu[0].shifts_px, [[-1.3, 0.6]] * series.tilts, atol=0.05)


def test_every_device_finds_the_same_pose(gpu: Device) -> None:
    points = packed(36, 7.7, order="fcc", seed=7)
    moved = (points - [3.0, -2.0, 1.0]) @ about_z(37.0) @ FLIP
    on_cpu, on_gpu = (register(points, moved, 6.3, device=where) for where in (CPU, gpu))
    np.testing.assert_allclose(on_cpu.pose.matrix, on_gpu.pose.matrix, atol=1e-6)
    np.testing.assert_allclose(on_cpu.pose.apply(moved), points, atol=1e-6)
