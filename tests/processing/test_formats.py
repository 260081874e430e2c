"""Formats other than MRC, compressed or not; folders and lists of single images."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from rsciio import hspy
from rsciio import mrc as rsciio_mrc

from processing.errors import InputFileError
from processing.files import foreign
from processing.files.tilt_series import load_tilt_series
from tests.support.odd_files import GREY, LIST, SHAPE, TILTS, mrc


def tiff(path: Path) -> None:
    tifffile.imwrite(path, GREY, photometric="minisblack")
    path.with_suffix(".rawtlt").write_text(LIST)


def imagej_tiff(path: Path) -> None:
    resolution = (1 / 0.9, 1 / 0.9)
    metadata = {"unit": "nm", "axes": "ZYX"}
    tifffile.imwrite(path, GREY, imagej=True, resolution=resolution, metadata=metadata)
    path.with_suffix(".rawtlt").write_text(LIST)


def axis(name: str, size: int, scale: float, units: str, offset: float = 0.0) -> dict[str, Any]:
    common = {"name": name, "size": size, "scale": scale, "units": units, "offset": offset}
    return {"_type": "UniformDataAxis", "navigate": name == "tilt", **common}


def hyperspy(path: Path, height_A: float = 9.0) -> None:
    axes = [
        axis("tilt", len(TILTS), 10.0, "degrees", -20.0),
        axis("y", SHAPE[0], height_A, "Å"),
        axis("x", SHAPE[1], 9.0, "Å"),
    ]
    empty: dict[str, Any] = {
        name: {} for name in ("original_metadata", "learning_results", "tmp_parameters", "models")
    }
    signal = {"data": GREY, "axes": axes, "package_info": {}, **empty}
    signal |= {
        "attributes": {"_lazy": False, "ragged": False},
        "metadata": {"General": {"title": ""}},
    }
    hspy.file_writer(str(path), signal)


def ncem_emd(path: Path) -> None:
    """An emd file as tomviz writes it: x, y, angles, which rosettasciio returns reversed."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/tomography")
        group.attrs["emd_group_type"] = 1
        group["data"] = np.transpose(GREY, (2, 1, 0))
        dims = {
            "dim1": ("x", "[n_m]", 0.9 * np.arange(SHAPE[1])),
            "dim2": ("y", "[n_m]", 0.9 * np.arange(SHAPE[0])),
            "dim3": ("angles", "[deg]", TILTS),
        }
        for dim, (name, units, values) in dims.items():
            group[dim] = values
            group[dim].attrs["name"], group[dim].attrs["units"] = name, units


def two_signals(path: Path) -> None:
    """An emd file with a smaller stack, and a diffraction pattern of the same size."""
    ncem_emd(path)
    with h5py.File(path, "a") as file:
        for name, data in (("small", GREY[:2]), ("pattern", GREY * 1j)):
            group = file.create_group(f"data/{name}")
            group.attrs["emd_group_type"] = 1
            group["data"] = np.transpose(data, (2, 1, 0))
            for dim, size in enumerate(group["data"].shape, start=1):
                group[f"dim{dim}"] = np.arange(size)
                group[f"dim{dim}"].attrs["name"] = group[f"dim{dim}"].attrs["units"] = "px"


def folder(path: Path) -> None:
    path.mkdir()
    for number, image in enumerate(GREY, start=7):  # image 10 comes after image 9
        tifffile.imwrite(path / f"image{number}.tif", image, photometric="minisblack")
    (path / "angles.txt").write_text(LIST)


def folder_with_named_angles(path: Path) -> None:
    folder(path)
    lines = [f"image{n}.tif {angle}" for n, angle in enumerate(TILTS, start=7)]
    (path / "angles.txt").write_text("\n".join(reversed(lines)))


def folder_with_angles_in_names(path: Path) -> None:
    path.mkdir()
    for number, (image, angle) in enumerate(zip(GREY, TILTS, strict=True)):
        data = mrc(image[None])
        (path / f"ts_{number:03}_{angle:+.1f}.mrc").write_bytes(data)


def listed(path: Path) -> None:
    folder(path.with_suffix(""))
    lines = [f"{path.stem}/image{n}.tif {angle}" for n, angle in enumerate(TILTS, start=7)]
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("name", "make", "pixel_nm"),
    [
        pytest.param("A.tif", tiff, None, id="tiff"),
        pytest.param("A.tif", imagej_tiff, 0.9, id="tiff of ImageJ"),
        pytest.param("A.hspy", hyperspy, 0.9, id="hspy"),
        pytest.param("A.emd", ncem_emd, 0.9, id="emd of tomviz"),
        pytest.param("A.emd", two_signals, 0.9, id="emd of several signals"),
        pytest.param("A", folder, None, id="folder"),
        pytest.param("A", folder_with_named_angles, None, id="folder, angles by name"),
        pytest.param("A", folder_with_angles_in_names, 0.9, id="folder, angles in names"),
        pytest.param("A.txt", listed, None, id="list"),
    ],
)
def test_other_formats_open(
    name: str, make: Callable[[Path], None], pixel_nm: float | None, tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    series = load_tilt_series(path, pixel_nm=None if pixel_nm else 0.9)
    np.testing.assert_array_equal(series.images, GREY)
    np.testing.assert_allclose(series.angles_deg, TILTS)
    assert series.pixel_nm == pytest.approx(0.9)


def test_pixels_that_are_not_square_are_named(tmp_path: Path) -> None:
    hyperspy(tmp_path / "A.hspy", height_A=12.0)
    (note,) = load_tilt_series(tmp_path / "A.hspy").notes
    assert "not square, 0.9 x 1.2 nm; the width is used for both" in note


def test_a_compressed_tiff_opens_and_a_cut_one_is_named(tmp_path: Path) -> None:
    tiff(tmp_path / "A.tif")
    packed = tmp_path / "A.tif.gz"
    packed.write_bytes(gzip.compress((tmp_path / "A.tif").read_bytes()))
    np.testing.assert_array_equal(load_tilt_series(packed, pixel_nm=0.9).images, GREY)
    (tmp_path / "A.tif").write_bytes((tmp_path / "A.tif").read_bytes()[:400])
    with pytest.raises(InputFileError, match=r"A.tif: cannot be read as TIF") as refused:
        load_tilt_series(tmp_path / "A.tif", pixel_nm=0.9)
    assert "\n" not in str(refused.value)


def test_a_compressed_file_of_another_format_is_unpacked_only_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "LARGEST_UNPACKED_BYTES", 1_000_000)
    (tmp_path / "A.tif.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    with pytest.raises(InputFileError, match=r"A.tif.gz: holds more than 0.001 GB"):
        load_tilt_series(tmp_path / "A.tif.gz", pixel_nm=0.9)


def two_images(path: Path) -> None:
    folder(path)
    tifffile.imwrite(path / "image8.tif", GREY, photometric="minisblack")


def another_size(path: Path) -> None:
    folder(path)
    tifffile.imwrite(path / "image8.tif", GREY[0, 1:], photometric="minisblack")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "is a folder without images"),
        (two_images, "image8.tif in it holds 5 images"),
        (another_size, "image8.tif has another size"),
    ],
    ids=["empty", "a stack inside", "another size"],
)
def test_a_folder_that_is_no_series_is_named(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "A")
    with pytest.raises(InputFileError, match=message):
        load_tilt_series(tmp_path / "A", pixel_nm=0.9)


# ---- files of another program, where its wheel is installed: PYTHONPATH=folder of etspy 1.3.0

ETSPY = importlib.util.find_spec("etspy")
DATA = Path(*((ETSPY and ETSPY.submodule_search_locations) or ())) / "tests" / "test_data"


@pytest.mark.skipif(ETSPY is None, reason="etspy is not installed; its test data are read")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("name", "images", "pixel_nm", "axis_deg", "angles"),
    [
        ("HAADF.mrc", 77, 3.36, 90.0, (-76.0, 76.0)),
        ("SerialEM_MultiTilt_Test/test_000.mrc", 2, 0.788, -90.0, (-0.000488, -0.000488)),
        ("SerialEM_Multiframe_Test/test_001.mrc", 2, 0.788, -90.0, (5.00054, 5.00054)),
    ],
)
def test_series_of_fei_and_serialem_open_as_rosettasciio_reads_them(
    name: str, images: int, pixel_nm: float, axis_deg: float, angles: tuple[float, float]
) -> None:
    series = load_tilt_series(DATA / name)
    (read,) = rsciio_mrc.file_reader(str(DATA / name))
    np.testing.assert_array_equal(
        np.rot90(series.images, -round(axis_deg / 90), (1, 2)), read["data"]
    )
    assert series.tilts == images
    assert series.pixel_nm == pytest.approx(pixel_nm, rel=1e-3)
    assert series.pixel_nm == pytest.approx(read["axes"][1]["scale"], rel=1e-3)
    assert (series.angles_deg[0], series.angles_deg[-1]) == pytest.approx(angles)
    assert series.inputs is not None
    assert series.inputs.tilt_axis_deg == axis_deg
