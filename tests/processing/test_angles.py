"""Tilt angles of a stack: where they are read, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from processing.errors import InputFileError
from processing.files.mdoc import MdocHeader, MdocSection, write_mdoc
from processing.files.mrc import write_images
from processing.files.rawtlt import read_rawtlt, write_rawtlt
from processing.files.tilt_series import load_tilt_series

IMAGES = np.random.default_rng(1).integers(0, 1000, (4, 6, 9)).astype("uint16")
ANGLES = [-4.0, 0.0, 4.0, 4.0]


def write_series(folder: Path) -> Path:
    write_images(folder / "A.mrc", IMAGES, 0.9)
    write_rawtlt(folder / "A.rawtlt", ANGLES)
    return folder / "A.mrc"


def test_angles_come_from_the_file_beside_the_stack(tmp_path: Path) -> None:
    path = write_series(tmp_path)
    series = load_tilt_series(path)
    assert list(series.angles_deg) == ANGLES
    assert series.pixel_nm == pytest.approx(0.9)
    write_rawtlt(tmp_path / "other.rawtlt", [4, 0, -4, -8])
    series = load_tilt_series(path, angles=tmp_path / "other.rawtlt", tilt_sense=-1, pixel_nm=2)
    assert list(series.angles_deg) == [-4, 0, 4, 8]
    assert series.pixel_nm == 2
    (tmp_path / "A.rawtlt").unlink()
    write_mdoc(
        tmp_path / "A.mrc.mdoc",
        MdocHeader("A.mrc", (9, 6), 0.9),
        [MdocSection(z, tilt_angle_deg=10.0 * z) for z in (3, 1, 2, 0)],
    )
    assert list(load_tilt_series(path).angles_deg) == [0, 10, 20, 30]


def test_angles_come_from_the_extended_header(tmp_path: Path) -> None:
    path = tmp_path / "A.mrc"
    write_images(path, IMAGES, 0.9)
    with mrcfile.mmap(path, "r+") as file:
        table = np.zeros((4, 6), "<i2")
        table[:, 0] = np.array(ANGLES) * 100
        file.set_extended_header(np.frombuffer(table.tobytes(), "V12"))
        file.header.exttyp = b"SERI"
        extra = bytearray(bytes(file.header.extra2))
        extra[16:20] = np.array([12, 0b100101], "<i2").tobytes()
        file.header.extra2 = bytes(extra)
    assert list(load_tilt_series(path).angles_deg) == ANGLES


@pytest.mark.parametrize("axis_deg", [0, 90, -90, 180, 93.5, -4])
def test_loading_turns_the_tilt_axis_towards_y(tmp_path: Path, axis_deg: float) -> None:
    upright = np.zeros((4, 9, 9), np.float32)
    upright[:, 6, 4] = 1  # a point on the tilt axis, above the centre
    turned = np.rot90(upright, -round(axis_deg / 90), axes=(1, 2))
    write_images(tmp_path / "A.mrc", turned, 0.9)
    write_rawtlt(tmp_path / "A.rawtlt", ANGLES)
    series = load_tilt_series(tmp_path / "A.mrc", tilt_axis_deg=axis_deg)
    np.testing.assert_array_equal(series.images, upright)
    assert series.tilt_axis_deg == pytest.approx(axis_deg - 90 * round(axis_deg / 90))


@pytest.mark.parametrize(
    ("angles", "message"),
    [
        (None, "no tilt angles"),
        ("1\n2\n3\n", "3 tilt angles for the 4 images"),
        ("1\n2\nx\n4\n", "line 3: 'x'"),
        ("1\n2\nnan\n4\n", "line 3: 'nan'"),
    ],
    ids=["none", "too few", "no number", "not finite"],
)
def test_the_message_says_what_is_wrong_with_the_angles(
    tmp_path: Path, angles: str | None, message: str
) -> None:
    path = write_series(tmp_path)
    (tmp_path / "A.rawtlt").unlink()
    if angles is not None:
        (tmp_path / "A.rawtlt").write_text(angles)
    with pytest.raises(InputFileError, match=message):
        load_tilt_series(path)


def test_the_message_names_an_angle_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"other\.rawtlt"):
        load_tilt_series(write_series(tmp_path), angles=tmp_path / "other.rawtlt")


def test_rawtlt_keeps_the_angles_to_two_decimals(tmp_path: Path) -> None:
    write_rawtlt(tmp_path / "a.rawtlt", [-70.126, 0, 74])
    assert list(read_rawtlt(tmp_path / "a.rawtlt")) == [-70.13, 0, 74]
