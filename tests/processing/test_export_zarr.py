"""OME-Zarr: other programs' readers find every level, its voxels and their places."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorstore

from processing.export.export import export
from processing.export.finished import read_finished
from processing.export.targets import ExportTarget
from processing.files import ome_zarr
from processing.files.ome_zarr import write_ome_zarr
from processing.files.volume_grid import VolumeGrid
from tests.support.finished_session import PIXEL_NM, SHAPE, VOXELS, make_finished, volume

PYTHON = os.environ.get("OME_ZARR_PYTHON")
"""Python of an environment with ome-zarr and ome-zarr-models, which need zarr 3."""
READ_WITH_OME = """
import json, sys, zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.image import Image
image = Image.from_zarr(zarr.open_group(sys.argv[1], mode="r"))
(multiscale,) = image.attributes.ome.multiscales
(node,) = Reader(parse_url(sys.argv[1], mode="r"))()
print(json.dumps({
    "axes": [[axis.name, axis.unit] for axis in multiscale.axes],
    "levels": [dataset.path for dataset in multiscale.datasets],
    "voxels": node.data[0].compute().tolist(),
}))
"""


def array(folder: Path) -> np.ndarray:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}}
    return tensorstore.open(spec, open=True).result().read().result()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an exported volume."""
    session = make_finished(tmp_path_factory.mktemp("session"))
    export(read_finished(session), [ExportTarget.ZARR], session / "export")
    return session / "export" / "fused.ome.zarr"


def test_tensorstore_reads_the_volume(image: Path) -> None:
    np.testing.assert_array_equal(array(image / "0"), volume())


@pytest.mark.skipif(PYTHON is None, reason="OME_ZARR_PYTHON names no Python with ome-zarr")
def test_ome_zarr_reads_the_volume(image: Path) -> None:
    command = [str(PYTHON), "-c", READ_WITH_OME, str(image)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["axes"] == [["z", "nanometer"], ["y", "nanometer"], ["x", "nanometer"]]
    assert read["levels"] == ["0"]
    np.testing.assert_array_equal(read["voxels"], volume())


def test_metadata_follow_the_rules_of_version_0_5(image: Path) -> None:
    group = json.loads((image / "zarr.json").read_text())
    assert (group["zarr_format"], group["node_type"]) == (3, "group")
    assert group["attributes"]["dualtilt"]["particles"] == 2
    ome = group["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (multiscale,) = ome["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert {(axis["type"], axis["unit"]) for axis in multiscale["axes"]} == {("space", "nanometer")}
    for dataset in multiscale["datasets"]:
        kinds = [change["type"] for change in dataset["coordinateTransformations"]]
        assert kinds == ["scale", "translation"]  # one scale, then at most one translation
        level = json.loads((image / dataset["path"] / "zarr.json").read_text())
        assert (level["zarr_format"], level["node_type"]) == (3, "array")
        assert level["dimension_names"] == ["z", "y", "x"]  # as the axes


def test_a_particle_is_at_its_place_in_nm(image: Path) -> None:
    ome = json.loads((image / "zarr.json").read_text())["attributes"]["ome"]
    scale, translation = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    for x, y, z in VOXELS:
        place = np.array([z, y, x]) * scale["scale"] + translation["translation"]
        np.testing.assert_allclose(place, PIXEL_NM * (np.array([z, y, x]) - centre(SHAPE)))


def test_levels_show_the_same_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd sides, several slabs and chunks: each level's centre of mass in nm stays the same."""
    monkeypatch.setattr(ome_zarr, "SMALLEST_SIDE", 8)
    monkeypatch.setattr(ome_zarr, "LARGEST_CHUNK", (8, 16, 16))
    shape = (21, 33, 40)
    voxels = np.zeros(shape, np.float32)
    cubes = np.random.default_rng(1).uniform(1, 2, (2, 4, 4))
    voxels[4:8, 12:20, 30:38] = np.kron(cubes, np.ones((2, 2, 2)))
    voxels[20, 32, 39] = 64  # the last voxel, alone in its cube along z and y
    path = tmp_path / "volume.ome.zarr"
    write_ome_zarr(path, voxels, VolumeGrid(shape, PIXEL_NM), {"volume": "fused"})
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    datasets = ome["multiscales"][0]["datasets"]
    levels = [array(path / dataset["path"]) for dataset in datasets]
    assert [level.shape for level in levels] == [
        (21, 33, 40),
        (11, 17, 20),
        (6, 9, 10),
        (3, 5, 5),
    ]
    np.testing.assert_array_equal(levels[0], voxels)
    assert levels[1][10, 16, 19] == 32  # the mean over the voxels that exist
    assert not (path / "0/c/0/0/0").exists()  # zeros only
    first, second = (
        mass_centre(level[:-1], dataset)
        for level, dataset in zip(levels[:2], datasets[:2], strict=True)
    )
    np.testing.assert_allclose(first, second, atol=1e-5)


def mass_centre(voxels: np.ndarray, dataset: dict) -> np.ndarray:
    """Return the centre of mass (z, y, x) in nm."""
    scale, translation = dataset["coordinateTransformations"]
    at = np.array([np.average(index, weights=voxels) for index in np.indices(voxels.shape)])
    return at * scale["scale"] + translation["translation"]


def centre(shape: tuple[int, ...]) -> np.ndarray:
    return (np.array(shape) - 1) / 2


def test_a_failed_export_leaves_the_earlier_one(image: Path) -> None:
    class Unreadable:
        shape, dtype = SHAPE, np.dtype(np.float32)

        def __len__(self) -> int:
            return SHAPE[0]

        def __getitem__(self, _: slice) -> np.ndarray:
            raise OSError("the disk does not answer")

    with pytest.raises(OSError, match="the disk does not answer"):
        write_ome_zarr(image, Unreadable(), VolumeGrid(SHAPE, PIXEL_NM), {"volume": "fused"})
    assert [path.name for path in image.parent.iterdir()] == ["fused.ome.zarr"]
    np.testing.assert_array_equal(array(image / "0"), volume())


def test_a_repeated_export_replaces_the_earlier_one(image: Path) -> None:
    twice = 2 * volume()
    write_ome_zarr(image, twice, VolumeGrid(SHAPE, PIXEL_NM), {"volume": "fused"})
    assert [path.name for path in image.parent.iterdir()] == ["fused.ome.zarr"]
    np.testing.assert_array_equal(array(image / "0"), twice)
