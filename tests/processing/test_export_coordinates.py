"""Exported particles: other programs' readers find them at the voxels where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dynamotable
import imodmodel
import mrcfile
import numpy as np
import pytest
import starfile

from processing.export.export import export
from processing.export.finished import read_finished
from processing.export.targets import ExportTarget
from tests.support.finished_session import PIXEL_NM, SHAPE, VOXELS, make_finished


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one export of all coordinates."""
    session = make_finished(tmp_path_factory.mktemp("session"))
    targets = (ExportTarget.STAR, ExportTarget.DYNAMO, ExportTarget.IMOD)
    export(read_finished(session), targets, session / "export")
    return session / "export"


def relion_pixels(out: Path) -> np.ndarray:
    particles = starfile.read(out / "particles_fused.star")["particles"]
    return particles[[f"rlnCoordinate{axis}" for axis in "XYZ"]].to_numpy()


def relion_angstrom(out: Path) -> np.ndarray:
    """Undo RELION 5's centring: voxel = angstrom / pixel + size / 2."""
    blocks = starfile.read(out / "particles_fused.star")
    pixel_A = blocks["optics"]["rlnTomoTiltSeriesPixelSize"].to_numpy()[0]
    names = [f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]
    return blocks["particles"][names].to_numpy() / pixel_A + np.array(SHAPE[::-1]) / 2


def dynamo(out: Path) -> np.ndarray:
    """MATLAB counts the first voxel as 1."""
    table = dynamotable.read(str(out / "particles_fused.tbl"))
    return np.asarray(table[["x", "y", "z"]] - 1)


def imod(out: Path) -> np.ndarray:
    """The corner of the first voxel is 0 along x and y, its centre is 0 along z."""
    points = imodmodel.read(out / "particles_fused.mod")
    return points[["x", "y", "z"]].to_numpy() - [0.5, 0.5, 0.0]


@pytest.mark.parametrize("read", [relion_pixels, relion_angstrom, dynamo, imod])
def test_particles_are_at_their_voxels(out: Path, read: Callable[[Path], np.ndarray]) -> None:
    indices = read(out)
    np.testing.assert_allclose(indices, VOXELS, atol=2e-3)
    volume = mrcfile.read(out.parent / "processed/fused.mrc")
    assert [volume[z, y, x] for x, y, z in indices.round().astype(int)] == [5000, 5001]


def test_imod_draws_spheres_of_the_particles_size(out: Path) -> None:
    model = imodmodel.ImodModel.from_file(out / "particles_fused.mod")
    assert (model.header.xmax, model.header.ymax, model.header.zmax) == SHAPE[::-1]
    assert model.header.pixelsize == pytest.approx(PIXEL_NM)
    assert model.header.units == -9  # nm
    assert model.objects[0].header.flags.scattered
    np.testing.assert_allclose(model.objects[0].contours[0].point_sizes, 3.15 / PIXEL_NM, rtol=1e-5)


def test_dynamo_finds_the_volume(out: Path) -> None:
    files = [str(out / f"particles_fused.{ending}") for ending in ("tbl", "doc")]
    table = dynamotable.read(*files)
    assert len(table) == len(VOXELS)
    (path,) = set(table["tomo_file"])
    assert Path(path).samefile(out.parent / "processed/fused.mrc")
    assert list(table["cc"]) == [0.95] * len(VOXELS)
