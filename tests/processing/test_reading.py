"""Tilt series as people have them: every variant opens, and contradictions are named or refused."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import lzma
import os
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from mrcfile.dtypes import HEADER_DTYPE, get_ext_header_dtype
from rsciio import hspy
from rsciio import mrc as rsciio_mrc

from processing.errors import InputFileError
from processing.files.tilt_series import load_tilt_series

TILTS = np.array([-20.0, -10.0, 0.0, 10.0, 20.0])
SHAPE = (18, 21)
"""Odd number of columns: a row of 4-bit samples ends within a byte."""
LITTLE_STAMP = b"\x44\x44\0\0"
LIST = "\n".join(f"{angle:.2f}" for angle in TILTS)


def smooth(largest: int, dtype: str) -> np.ndarray:
    """Images without steps between neighbouring pixels, as of a blurred specimen."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    waves = [np.sin(x / 4 + n) * np.cos(y / 5) for n in range(len(TILTS))]
    return np.rint((np.array(waves) + 1) / 2 * largest).astype(dtype)


def mrc(
    images: np.ndarray,
    *,
    mode: int = 6,
    order: str = "<",
    pixel_nm: float | None = 0.9,
    extended: bytes = b"",
    stored: bytes | None = None,
    sections: int | None = None,
    layout: tuple[int, int] = (0, 0),
    flags: int | None = None,
    **fields: Any,
) -> bytes:
    """Return an MRC file; `fields` replace those of its header."""
    header = np.zeros((), HEADER_DTYPE.newbyteorder(order))
    count, rows, columns = images.shape
    header["nx"], header["ny"], header["nz"] = columns, rows, sections or count
    header["mx"], header["my"], header["mz"], header["mode"] = columns, rows, 1, mode
    header["cella"] = tuple(10 * (pixel_nm or 0) * side for side in (columns, rows, 1))
    header["map"] = b"MAP "
    header["machst"] = np.frombuffer(LITTLE_STAMP, "u1")
    header["nsymbt"] = len(extended)
    for name, value in fields.items():
        header[name] = value
    data = bytearray(header.tobytes())
    data[128:132] = np.array(layout, order + "i2").tobytes()
    if flags is not None:
        data[152:160] = np.array([1146047817, flags], order + "i4").tobytes()
    pixels = images.astype(images.dtype.newbyteorder(order)).tobytes()
    return bytes(data) + extended + (pixels if stored is None else stored)


def packed_4_bits(images: np.ndarray) -> bytes:
    padded = np.pad(images, ((0, 0), (0, 0), (0, images.shape[2] % 2))).astype(np.uint8)
    return bytes((padded[:, :, ::2] | padded[:, :, 1::2] << 4).tobytes())


def fei_classic() -> bytes:
    table = np.zeros((1024, 32), "<f4")
    table[: len(TILTS), 0], table[: len(TILTS), 11] = TILTS, 9e-10
    return table.tobytes()


def fei_2014(kind: bytes) -> bytes:
    table = np.zeros(len(TILTS), get_ext_header_dtype(kind, "<"))
    table["Metadata size"] = table.dtype.itemsize
    table["Alpha tilt"], table["Pixel size X"], table["Pixel size Y"] = TILTS, 9e-10, 9e-10
    table["Tilt axis angle"] = 84.8
    return table.tobytes()


def serialem() -> bytes:
    table = np.zeros((len(TILTS), 6), "<i2")
    table[:, 0] = 100 * TILTS
    return table.tobytes()


def agard() -> bytes:
    table = np.zeros((len(TILTS), 6), "<f4")
    table[:, 2] = TILTS
    return table.tobytes()


@dataclass(frozen=True)
class Variant:
    id: str
    data: bytes
    images: np.ndarray
    note: str | None = None
    files: dict[str, str] = field(default_factory=lambda: {"A.rawtlt": LIST})
    pixel_nm: float = 0.9
    axis_deg: float | None = None


GREY = smooth(1000, "uint16")
INTS = smooth(1000, "int16")
WIDE = smooth(65_000, "uint16")
BYTES = smooth(255, "uint8")
SIGNED = (smooth(255, "int16") - 128).astype("int8")
NIBBLES = smooth(15, "uint8")
TITLED = np.array([b"Tilt axis angle = -84.8, binning = 1", *[b""] * 9], "S80")
ALIGNED = np.array([TITLED[0], b"NEWSTACK: Images copied, transformed", *[b""] * 8], "S80")

VARIANTS = [
    Variant("mode 0, IMOD's flag unset", mrc(BYTES, mode=0, flags=0), BYTES, "unsigned bytes"),
    Variant("mode 0, IMOD's flag set", mrc(SIGNED, mode=0, flags=1), SIGNED),
    Variant("mode 0, unsigned by its greys", mrc(BYTES, mode=0), BYTES, "unsigned bytes"),
    Variant("mode 0, signed by its greys", mrc(SIGNED, mode=0), SIGNED),
    Variant("mode 1, unsigned", mrc(WIDE.view("int16"), mode=1), WIDE, "unsigned 16-bit"),
    Variant("mode 1, negative", mrc(INTS - 500, mode=1), INTS - 500),
    Variant("mode 1", mrc(INTS, mode=1), INTS),
    Variant("mode 2", mrc(GREY.astype("f4"), mode=2), GREY),
    Variant("mode 12", mrc(GREY.astype("f2"), mode=12), GREY),
    Variant("mode 101", mrc(NIBBLES, mode=101, stored=packed_4_bits(NIBBLES)), NIBBLES, "4-bit"),
    Variant("big-endian", mrc(GREY, order=">", machst=(17, 17, 0, 0)), GREY),
    Variant("wrong stamp", mrc(GREY, machst=(68, 32, 32, 32)), GREY, "stamp is wrong"),
    Variant("stamp of the other order", mrc(GREY, order=">"), GREY, "sizes and mode say big"),
    Variant("no MAP id", mrc(GREY, map=b"", machst=(0, 0, 0, 0)), GREY, "no MAP"),
    Variant("wrong MAP id", mrc(GREY, map=b"abcd"), GREY, "no MAP"),
    Variant(
        "classic FEI",
        mrc(INTS, mode=1, pixel_nm=None, extended=fei_classic(), layout=(0, 32), map=b""),
        INTS,
        "no MAP",
        files={},
    ),
    Variant(
        "classic FEI with MAP, 1 angstrom in the header",
        mrc(INTS, mode=1, pixel_nm=0.1, extended=fei_classic(), layout=(0, 32)),
        INTS,
        files={},
    ),
    *(
        Variant(
            kind.decode(),
            mrc(GREY, pixel_nm=None, extended=fei_2014(kind), exttyp=kind),
            GREY,
            files={},
            axis_deg=84.8,
        )
        for kind in (b"FEI1", b"FEI2")
    ),
    Variant(
        "SERI",
        mrc(GREY, extended=serialem(), layout=(12, 0b100101), exttyp=b"SERI"),
        GREY,
        files={},
    ),
    Variant("AGAR", mrc(GREY, extended=agard(), layout=(2, 4), exttyp=b"AGAR"), GREY, files={}),
    Variant("axis in a label", mrc(GREY, nlabl=1, label=TITLED), GREY, axis_deg=-84.8),
    Variant("turned since the label", mrc(GREY, nlabl=2, label=ALIGNED), GREY),
    Variant(
        "header of the planned number",
        mrc(GREY, sections=9),
        GREY,
        "says 9 images, the file holds 5",
    ),
    Variant(
        "file longer than its header, angles for all",
        mrc(GREY, sections=3),
        GREY,
        "says 3 images, the file holds 5",
    ),
]


def write(folder: Path, data: bytes, files: dict[str, str], name: str = "A.mrc") -> Path:
    (folder / name).write_bytes(data)
    for other, text in files.items():
        (folder / other).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("case", VARIANTS, ids=lambda case: case.id)
def test_every_variant_of_mrc_opens(case: Variant, tmp_path: Path) -> None:
    series = load_tilt_series(write(tmp_path, case.data, case.files))
    quarter_turns = round((case.axis_deg or 0) / 90)
    np.testing.assert_array_equal(series.images, np.rot90(case.images, quarter_turns, (1, 2)))
    np.testing.assert_allclose(series.angles_deg, TILTS, atol=1e-5)
    assert series.pixel_nm == pytest.approx(case.pixel_nm)
    assert series.inputs is not None
    assert series.inputs.tilt_axis_deg == (case.axis_deg and pytest.approx(case.axis_deg))
    assert series.tilt_axis_deg == pytest.approx((case.axis_deg or 0) - 90 * quarter_turns)
    assert [case.note in note for note in series.notes] == [True] if case.note else not series.notes
    assert series.doubts == ()


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_compressed_files_open_and_damaged_ones_are_named(
    suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = write(tmp_path, pack(mrc(GREY)), {"A.rawtlt": LIST}, f"A.mrc.{suffix}")
    np.testing.assert_array_equal(load_tilt_series(path).images, GREY)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputFileError, match=f"{suffix}: cut off.*copy it again"):
        load_tilt_series(path)


def test_no_more_is_read_than_the_header_says(tmp_path: Path) -> None:
    tail = bytes(50_000_000)
    write(tmp_path, gzip.compress(mrc(GREY) + tail, 1), {"A.rawtlt": LIST}, "A.mrc.gz")
    write(tmp_path, mrc(GREY), {"B.rawtlt": LIST}, "B.mrc")
    if os.name != "nt":
        os.truncate(tmp_path / "B.mrc", 60_000_000_000)
    for name in ("A.mrc.gz", "B.mrc"):
        load_tilt_series(tmp_path / name)  # imports
        tracemalloc.start()
        np.testing.assert_array_equal(load_tilt_series(tmp_path / name).images, GREY)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_images_beyond_the_machines_memory_are_refused(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    data = mrc(GREY, sections=900_000, nx=100_000, ny=100_000)
    path = write(tmp_path, pack(data), {"A.rawtlt": LIST})
    if pack is bytes and os.name != "nt":
        os.truncate(path, 8_000_000_000_000)
    with pytest.raises(InputFileError, match=r"GB|cut off"):
        load_tilt_series(path)


# ---- angle files

WORDY = "name tilt\n" + "".join(f"img{n}.tif {angle}\n" for n, angle in enumerate(TILTS))


def encoded(text: str, encoding: str) -> bytes:
    return text.replace("\n", "\r\n").encode(encoding)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(LIST, "utf-16"), id="UTF-16"),
        pytest.param(encoded(LIST, "utf-16-le"), id="UTF-16 without mark"),
        pytest.param(encoded(LIST, "utf-8-sig"), id="UTF-8 with mark"),
        pytest.param(LIST.replace(".", ",").encode(), id="decimal commas"),
        pytest.param(LIST.replace("-", "\u2212").encode(), id="typeset minus"),
        pytest.param("\n".join(f"{n} {a:.1f}" for n, a in enumerate(TILTS)).encode(), id="from 0"),
        pytest.param(
            "\n".join(f"{n}\t{a:.1f}" for n, a in enumerate(TILTS, 1)).encode(), id="from 1"
        ),
        pytest.param("\n".join(f"{n};{a:.1f}" for n, a in enumerate(TILTS)).encode(), id=";"),
        pytest.param("\n".join(f"{n},{a:.1f}" for n, a in enumerate(TILTS)).encode(), id=","),
        pytest.param("\n".join(f"{a} 1 0.5" for a in TILTS).encode(), id="more columns behind"),
        pytest.param(b"# planned\ntilt (deg)\n\n" + LIST.encode() + b" # end\n", id="comments"),
        pytest.param(WORDY.encode(), id="names"),
        pytest.param(b"\xb0 tilt\n" + LIST.encode(), id="Latin-1"),
    ],
)
def test_angle_files_of_any_kind(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "A.tlt").write_bytes(data)
    series = load_tilt_series(write(tmp_path, mrc(GREY), {}))
    np.testing.assert_allclose(series.angles_deg, TILTS)


def mdoc(
    *,
    head: str = "PixelSpacing = 9\nImageSize = 21 18\n",
    name: str = "ZValue",
    angles: np.ndarray = TILTS,
    more: str = "",
) -> str:
    sections = "".join(
        f"\n[{name} = {n}]\nStagePosition = 1 2\nTiltAngle = {angle}\n{more}"
        for n, angle in enumerate(angles)
    )
    return f"{head}\n{sections}"


AGAIN = mdoc(angles=np.array([-20.0, -10.0, 0.5, 10.0, 20.0])) + "[ZValue = 2]\nTiltAngle = 0\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(mdoc(), id="ZValue"),
        pytest.param(mdoc(name="FrameSet"), id="FrameSet"),
        pytest.param(mdoc(name="MontSection"), id="MontSection"),
        pytest.param(mdoc().lower(), id="small letters"),
        pytest.param(mdoc().replace(".", ","), id="decimal commas"),
        pytest.param(mdoc().encode("utf-16").decode("latin-1"), id="UTF-16"),
        pytest.param(AGAIN, id="a section again"),
        pytest.param(mdoc(more="Defocus = n/a\nSpotSize =\n"), id="other keys without numbers"),
        pytest.param(mdoc(head=""), id="no head"),
    ],
)
def test_mdocs_of_any_kind(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, mrc(GREY), {})
    raw = text.startswith("\xff\xfe")
    (tmp_path / "A.mrc.mdoc").write_text(text, encoding="latin-1" if raw else "utf-8", newline="")
    series = load_tilt_series(path)
    np.testing.assert_allclose(series.angles_deg, TILTS)
    assert series.pixel_nm == pytest.approx(0.9)


# ---- contradictions


@dataclass(frozen=True)
class Resolved:
    id: str
    files: dict[str, str]
    line: str
    """Part of the one note or doubt."""
    data: bytes = mrc(GREY)
    pixel_nm: float = 0.9
    axis_deg: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


BINNED = mdoc(head="PixelSpacing = 2.25\nImageSize = 84 72\n")
CROPPED = mdoc(head="PixelSpacing = 9\nImageSize = 84 72\n")
TITLE = "PixelSpacing = 9\n[T =    Tilt axis angle = 84.8, binning = 1]\n"
SHUFFLED = TILTS[[2, 1, 3, 0, 4]]

RESOLVED = [
    Resolved("binned after recording", {"A.mrc.mdoc": BINNED}, "binned by 4"),
    Resolved(
        "binned, header unknown",
        {"A.mrc.mdoc": BINNED},
        "binned by 4.*if it was cropped.*--pixel",
        mrc(GREY, pixel_nm=0.1),
    ),
    Resolved("cropped after recording", {"A.mrc.mdoc": CROPPED}, "cropped"),
    Resolved("header in nm", {"A.mrc.mdoc": mdoc()}, "nm where angstrom", mrc(GREY, pixel_nm=0.09)),
    Resolved(
        "given pixel",
        {"A.rawtlt": LIST},
        "0.5 nm as given; the header of A.mrc says 0.9 nm",
        pixel_nm=0.5,
        options={"pixel_nm": 0.5},
    ),
    Resolved(
        "1 angstrom is no measurement",
        {"A.rawtlt": LIST},
        "pixel size is not known",
        mrc(GREY, pixel_nm=0.1),
        pixel_nm=0.1,
    ),
    Resolved(
        "nm taken for angstrom",
        {"A.rawtlt": LIST},
        "it is 0.9 nm",
        mrc(GREY, pixel_nm=0.09),
        pixel_nm=0.09,
    ),
    Resolved(
        "another order",
        {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=TILTS[::-1])},
        "in another order",
    ),
    Resolved(
        "mdoc of another stack",
        {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=TILTS[:3])},
        "3 tilt angles for 5 images",
    ),
    Resolved(
        "damaged second file",
        {"A.rawtlt": "steep\n1\nsteeper", "A.mrc.mdoc": mdoc()},
        "not used.*steep",
    ),
    Resolved(
        "title and RotationAngle",
        {"A.mrc.mdoc": mdoc(head=TITLE, more="RotationAngle = 20\n")},
        "84.8 degrees by the title of A.mrc.mdoc, but -70.0 by RotationAngle",
        axis_deg=84.8,
    ),
]


@pytest.mark.parametrize("case", RESOLVED, ids=lambda case: case.id)
def test_what_facts_decide_is_used_and_said(case: Resolved, tmp_path: Path) -> None:
    series = load_tilt_series(write(tmp_path, case.data, case.files), **case.options)
    (line,) = series.notes + series.doubts
    assert re.search(case.line, line), line
    assert series.pixel_nm == pytest.approx(case.pixel_nm)
    assert series.inputs is not None
    assert series.inputs.tilt_axis_deg == case.axis_deg


@pytest.mark.parametrize(
    ("files", "data", "message"),
    [
        pytest.param(
            {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=TILTS + np.eye(5)[3] * 5)},
            mrc(GREY),
            r"A.mrc.mdoc and A.rawtlt disagree: section 3 at 15.00 or 10.00 degrees.*--angles",
            id="angles",
        ),
        pytest.param(
            {"A.mrc.mdoc": mdoc()},
            mrc(GREY, pixel_nm=0.5),
            r"0.9 nm by A.mrc.mdoc, but 0.5 nm by the header of A.mrc.*--pixel-nm",
            id="pixel size",
        ),
        pytest.param({"A.rawtlt": "0\n" * 5}, mrc(GREY), "all 5 tilt angles are 0.00", id="zero"),
        pytest.param({}, mrc(GREY), "no tilt angles", id="no angles"),
        pytest.param({"A.rawtlt": LIST}, mrc(GREY, pixel_nm=None), "no pixel size", id="no pixel"),
        pytest.param({"A.rawtlt": LIST}, mrc(GREY)[:-1], "cut off: it holds 4 whole", id="cut off"),
        pytest.param({"A.rawtlt": LIST}, mrc(GREY, mode=4), "mode 4 holds complex", id="complex"),
        pytest.param({"A.rawtlt": "400\n" * 5}, mrc(GREY), "line 1: '400'", id="400 degrees"),
    ],
)
def test_what_facts_leave_open_is_refused_in_one_line(
    files: dict[str, str], data: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputFileError, match=message) as refused:
        load_tilt_series(write(tmp_path, data, files))
    assert "\n" not in str(refused.value)
    assert "A." in str(refused.value)


def test_the_same_angles_in_another_order_are_handed_on(tmp_path: Path) -> None:
    files = {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=SHUFFLED)}
    series = load_tilt_series(write(tmp_path, mrc(GREY), files))
    np.testing.assert_allclose(series.angles_deg, SHUFFLED)
    ((source, angles),) = series.other_angles
    assert source == "A.rawtlt"
    np.testing.assert_allclose(angles, TILTS)


# ---- other formats


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


def hyperspy(path: Path) -> None:
    axes = [
        axis("tilt", len(TILTS), 10.0, "degrees", -20.0),
        axis("y", SHAPE[0], 9.0, "Å"),
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


def test_a_compressed_tiff_opens_and_a_cut_one_is_named(tmp_path: Path) -> None:
    tiff(tmp_path / "A.tif")
    packed = tmp_path / "A.tif.gz"
    packed.write_bytes(gzip.compress((tmp_path / "A.tif").read_bytes()))
    np.testing.assert_array_equal(load_tilt_series(packed, pixel_nm=0.9).images, GREY)
    (tmp_path / "A.tif").write_bytes((tmp_path / "A.tif").read_bytes()[:400])
    with pytest.raises(InputFileError, match=r"A.tif: cannot be read as TIF") as refused:
        load_tilt_series(tmp_path / "A.tif", pixel_nm=0.9)
    assert "\n" not in str(refused.value)


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
