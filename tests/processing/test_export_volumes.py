"""Exported volumes: other programs' readers find voxels, sizes, units and places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rsciio.emd
import rsciio.hspy
from ncempy.io.emd import fileEMD

from processing.export.export import export
from processing.export.finished import read_finished
from processing.export.targets import ExportTarget
from tests.support.finished_session import PIXEL_NM, SHAPE, VOXELS, make_finished, volume

Read = Callable[[Path], tuple[np.ndarray, list[np.ndarray], list[str]]]
"""Returns the voxels [z, y, x], the places along z, y and x, and the units of z, y and x."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one export of all volumes."""
    session = make_finished(tmp_path_factory.mktemp("session"))
    targets = (ExportTarget.HSPY, ExportTarget.EMD)
    export(read_finished(session), targets, session / "export")
    return session / "export"


def places(axis: dict) -> np.ndarray:
    return axis["offset"] + axis["scale"] * np.arange(axis["size"])


def hspy(out: Path) -> tuple[np.ndarray, list[np.ndarray], list[str]]:
    (signal,) = rsciio.hspy.file_reader(str(out / "fused.hspy"))
    axes = signal["axes"]
    assert [axis["name"] for axis in axes] == ["z", "y", "x"]
    return signal["data"], [places(axis) for axis in axes], [axis["units"] for axis in axes]


def emd_of_rosettasciio(out: Path) -> tuple[np.ndarray, list[np.ndarray], list[str]]:
    (signal,) = rsciio.emd.file_reader(str(out / "fused.emd"))
    axes = signal["axes"]
    assert [axis["name"] for axis in axes] == ["z", "y", "x"]
    return signal["data"], [places(axis) for axis in axes], [axis["units"] for axis in axes]


def emd_of_ncem(out: Path) -> tuple[np.ndarray, list[np.ndarray], list[str]]:
    with fileEMD(out / "fused.emd", readonly=True) as file:
        data, dimensions = file.get_emdgroup(0)
    assert [name for _, name, _ in dimensions] == ["x", "y", "z"]
    units = [unit.strip("[]").replace("_", "") for _, _, unit in dimensions]
    return data.T, [at for at, _, _ in dimensions][::-1], units[::-1]


@pytest.mark.parametrize("read", [hspy, emd_of_rosettasciio, emd_of_ncem])
def test_voxels_and_particles_are_in_their_places(out: Path, read: Read) -> None:
    voxels, along, units = read(out)
    np.testing.assert_array_equal(voxels, volume())
    assert units == ["nm", "nm", "nm"]
    for at, size in zip(along, SHAPE, strict=True):
        np.testing.assert_allclose(at, PIXEL_NM * (np.arange(size) - (size - 1) / 2))
    particles = np.genfromtxt(
        out.parent / "processed/particles_fused.csv", delimiter=",", names=True, encoding="utf-8"
    )
    for particle, (x, y, z) in zip(particles, VOXELS, strict=False):
        found = [particle[f"{name}_nm"] for name in "zyx"]
        nearest = [int(abs(at - place).argmin()) for at, place in zip(along, found, strict=True)]
        assert nearest == [z, y, x]
        assert voxels[*nearest] >= 5000


def test_count_and_verdict_stand_beside_the_volume(out: Path) -> None:
    (signal,) = rsciio.hspy.file_reader(str(out / "fused.hspy"))
    facts = signal["original_metadata"]["dualtilt"]
    assert (facts["particles"], facts["verdict"]) == (2, "trusted")
    with fileEMD(out / "fused.emd", readonly=True) as file:
        assert file.file_hdl["comments"].attrs["particles"] == 2
