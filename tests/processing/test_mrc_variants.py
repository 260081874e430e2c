"""Every variant of MRC opens, and a damaged or endless file is named or bounded."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from mrcfile.dtypes import get_ext_header_dtype

from processing.errors import InputFileError
from processing.files.tilt_series import load_tilt_series
from tests.support.odd_files import GREY, LIST, TILTS, mrc, smooth, write


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
    Variant("turned since the label", mrc(GREY, nlabl=2, label=ALIGNED), GREY, note="aligned"),
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
