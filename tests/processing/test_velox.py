"""EMD files of Velox: images of every detector, with the stage tilt of each frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.tilt_series import load_tilt_series
from tests.support.odd_files import GREY, LIST, TILTS

STILL = np.array([0.001, -0.002, 0.0, 0.003, 0.001])
"""Read-back of a stage that stands still."""


def group(
    file: h5py.File, images: NDArray[Any], angles_deg: NDArray[Any], detector: str, unit: str = "m"
) -> None:
    """Add the frames of one detector: samples [y, x, frame], and JSON in columns of bytes."""
    parent = file.require_group("Data/Image")
    made = parent.create_group(f"{len(parent):032x}")
    made["Data"] = np.moveaxis(images, 0, -1)
    picture = {
        "Detector": detector,
        "PixelSize": {"width": "9e-10", "height": "9e-10"},
        "PixelUnitX": unit,
    }
    columns = [
        json.dumps({"Stage": {"AlphaTilt": str(np.radians(angle))}, "BinaryResult": picture})
        for angle in angles_deg
    ]
    table = [np.frombuffer(column.encode().ljust(600, b"\0"), "u1") for column in columns]
    made["Metadata"] = np.array(table).T


def velox(path: Path, angles_deg: NDArray[Any] = TILTS) -> None:
    with h5py.File(path, "w") as file:
        file["Version"] = [b'{"version": "11", "format": "Velox"}']
        group(file, GREY, angles_deg, "HAADF")


def with_spectra(path: Path) -> None:
    """Add a map of the same size, a small image, a diffractogram, and groups of spectra."""
    velox(path)
    with h5py.File(path, "a") as file:
        group(file, np.zeros(GREY.shape, np.float32), TILTS, "SuperXG2")
        group(file, GREY[:2], TILTS[:2], "BF")
        half = np.zeros(GREY.shape, [("realFloatHalfEven", "f4"), ("imagFloatHalfEven", "f4")])
        group(file, half, TILTS, "FFT", "1/m")
        file.create_group("Data/SpectrumImage/0")
        file.create_group("Data/SpectrumStream/0")


def one_file_a_tilt(path: Path) -> None:
    path.mkdir()
    for number, angle in enumerate(TILTS):
        with h5py.File(path / f"tilt{number}.emd", "w") as file:
            file["Version"] = [b'{"version": "8", "format": "Velox"}']
            group(file, GREY[number : number + 1], np.array([angle]), "HAADF")


def still_stage_and_list(path: Path) -> None:
    velox(path, STILL)
    path.with_suffix(".rawtlt").write_text(LIST)


@pytest.mark.parametrize(
    ("name", "make", "notes"),
    [
        pytest.param("A.emd", velox, (), id="a tilt for each frame"),
        pytest.param(
            "A.emd",
            with_spectra,
            ("series A: 2 signals of one size (HAADF, SuperXG2); HAADF is used",),
            id="with spectra",
        ),
        pytest.param("A", one_file_a_tilt, (), id="one file a tilt"),
        pytest.param("A.emd", still_stage_and_list, (), id="angles beside a still stage"),
    ],
)
def test_images_of_velox_open(
    name: str, make: Callable[[Path], None], notes: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    series = load_tilt_series(path)
    np.testing.assert_array_equal(series.images, GREY)
    np.testing.assert_allclose(series.angles_deg, TILTS, atol=1e-6)
    assert series.pixel_nm == pytest.approx(0.9)
    assert series.notes == notes


def spectra_alone(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["Version"] = [b'{"version": "11", "format": "Velox"}']
        file.create_group("Data/Spectrum/0")


def cut_off(path: Path) -> None:
    velox(path)
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(spectra_alone, "holds no image and no stack", id="spectra alone"),
        pytest.param(cut_off, "cannot be read as EMD", id="cut off"),
        pytest.param(lambda path: velox(path, STILL), "no tilt angles", id="a movie"),
    ],
)
def test_velox_files_that_are_no_tilt_series_are_named(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "A.emd")
    with pytest.raises(InputFileError, match=message):
        load_tilt_series(tmp_path / "A.emd")
