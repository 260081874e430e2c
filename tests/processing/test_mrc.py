"""MRC files: volumes as a whole, stacks that grow, and what is wrong with a file."""

from __future__ import annotations

import gzip
import importlib
import os
import subprocess
import zlib
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from rsciio import mrc as rsciio_mrc

from processing.errors import InputFileError
from processing.files import atomic, mrc_writer
from processing.files.mrc import read_stack, write_images, write_volume
from processing.files.mrc_writer import HEADER_BYTES, MrcStackWriter, StackLayout
from tests.support.processes import python

SHAPE = (6, 9)
LAYOUT = StackLayout(SHAPE, "uint16", 0.9)


def frames(count: int, dtype: str = "uint16") -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 1000, (count, *SHAPE)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "int16", "uint16"])
def test_a_volume_of_any_type_is_written_as_valid_mrc(tmp_path: Path, dtype: str) -> None:
    volume = frames(5, dtype)
    path = tmp_path / "V.mrc"
    write_volume(path, volume, 0.9)
    assert mrcfile.validate(path)
    stack = read_stack(path)
    np.testing.assert_array_equal(stack.data, volume)
    assert stack.pixel_nm == pytest.approx(0.9)
    assert [p.name for p in tmp_path.iterdir()] == ["V.mrc"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # rosettasciio leaves it open
def test_rosettasciio_opens_a_volume_with_its_scale(tmp_path: Path) -> None:
    volume = frames(5, "float32")
    write_volume(tmp_path / "V.mrc", volume, 0.9)
    (read,) = rsciio_mrc.file_reader(str(tmp_path / "V.mrc"))
    np.testing.assert_array_equal(read["data"], volume)
    assert [axis["scale"] for axis in read["axes"]] == pytest.approx([0.9] * 3)
    assert {axis["units"] for axis in read["axes"][1:]} == {"nm"}


def test_a_gzipped_stack_reads_like_a_plain_one(tmp_path: Path) -> None:
    write_images(tmp_path / "A.mrc", frames(4), 0.5)
    (tmp_path / "A.mrc.gz").write_bytes(gzip.compress((tmp_path / "A.mrc").read_bytes()))
    np.testing.assert_array_equal(read_stack(tmp_path / "A.mrc.gz").data, frames(4))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "no such file"),
        ("truncated", "cut off: .*copy it again"),
        ("truncated gz", "cut off: .*copy it again"),
        ("altered gz", "damaged: .*copy it again"),
        ("text", "no MRC file"),
        ("long text", "no MRC file"),
        ("folder", "is a folder"),
    ],
)
def test_a_bad_stack_gives_a_one_line_message(tmp_path: Path, damage: str, message: str) -> None:
    path = tmp_path / ("A.mrc.gz" if damage.endswith("gz") else "A.mrc")
    write_images(tmp_path / "whole.mrc", frames(4), 0.5)
    whole = (tmp_path / "whole.mrc").read_bytes()
    if damage == "truncated":
        path.write_bytes(whole[:-30])
    elif damage == "truncated gz":
        path.write_bytes(gzip.compress(whole)[:-30])
    elif damage == "altered gz":
        packed = bytearray(gzip.compress(whole))
        packed[-8] ^= 1  # of the checksum
        path.write_bytes(packed)
    elif damage.endswith("text"):
        path.write_text("hello" if damage == "text" else "hello\n" * 400)
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(InputFileError, match=rf"{path.name}: {message}") as caught:
        read_stack(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_every_appended_image_is_on_disk_and_the_stack_valid(tmp_path: Path, dtype: str) -> None:
    path, images = tmp_path / "A.mrc", frames(5, dtype)
    with MrcStackWriter.create(path, StackLayout(SHAPE, dtype, 0.9)) as writer:
        for image in images:
            stored = writer.append(image)
            data = path.read_bytes()[stored.offset_bytes :][: stored.size_bytes]
            assert zlib.crc32(data) == stored.crc32
            assert mrcfile.validate(path)
            assert len(read_stack(path).data) == stored.section + 1
    np.testing.assert_array_equal(read_stack(path).data, images)


@pytest.mark.parametrize("tail", [0, 1, 60, 108, 150], ids=lambda n: f"{n} bytes more")
def test_reopening_cuts_off_what_was_not_acknowledged(tmp_path: Path, tail: int) -> None:
    path, images = tmp_path / "A.mrc", frames(4)
    with MrcStackWriter.create(path, LAYOUT) as writer:
        for image in images[:2]:
            writer.append(image)
    with path.open("ab") as file:
        file.write(b"\xff" * tail)
    with MrcStackWriter.reopen(path, LAYOUT, 2) as writer:
        for image in images[2:]:
            writer.append(image)
    assert mrcfile.validate(path)
    np.testing.assert_array_equal(read_stack(path).data, images)


def test_a_stack_shorter_than_its_journal_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "A.mrc"
    with MrcStackWriter.create(path, LAYOUT) as writer:
        writer.append(frames(1)[0])
    before = path.read_bytes()
    with pytest.raises(InputFileError, match=r"holds 1 whole images.*acknowledged 2"):
        MrcStackWriter.reopen(path, LAYOUT, 2)
    assert path.read_bytes() == before


@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_a_type_that_mrc_cannot_store_leaves_no_file(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(TypeError, match=dtype):
        MrcStackWriter.create(tmp_path / "A.mrc", StackLayout(SHAPE, dtype, 0.9))
    assert not list(tmp_path.iterdir())


def test_raw_data_are_never_overwritten(tmp_path: Path) -> None:
    MrcStackWriter.create(tmp_path / "A.mrc", LAYOUT).close()
    with pytest.raises(FileExistsError):
        MrcStackWriter.create(tmp_path / "A.mrc", LAYOUT)


def test_a_wrong_image_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with MrcStackWriter.create(tmp_path / "A.mrc", LAYOUT) as writer:
        for wrong in (frames(1)[0].astype("float32"), frames(1)[0].T):
            with pytest.raises(ValueError, match="the stack holds"):
                writer.append(wrong)
    assert (tmp_path / "A.mrc").stat().st_size == HEADER_BYTES


APPEND_FOREVER = """
import sys
from pathlib import Path
import numpy as np
from processing.files.mrc_writer import MrcStackWriter, StackLayout
layout = StackLayout((300, 400), "uint16", 0.9)
with MrcStackWriter.create(Path(sys.argv[1]), layout) as writer:
    for value in range(10**6):
        stored = writer.append(np.full((300, 400), value % 65536, "uint16"))
        print(stored.section, stored.crc32, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_no_acknowledged_image_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "A.mrc"
    with python("-c", APPEND_FOREVER, str(path), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(20)]
        child.kill()
        acknowledged += child.stdout.readlines()
    whole = [line.split() for line in acknowledged if line.endswith("\n")]
    layout = StackLayout((300, 400), "uint16", 0.9)
    with MrcStackWriter.reopen(path, layout, len(whole)) as writer:
        for section, crc32 in whole:
            assert zlib.crc32(writer.read(int(section)).tobytes()) == int(crc32)
    assert mrcfile.validate(path)


def test_without_fdatasync_the_stack_is_flushed_by_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd)))
    windows = importlib.reload(atomic)
    monkeypatch.setattr(mrc_writer, "sync_data", windows.sync_data)
    with MrcStackWriter.create(tmp_path / "A.mrc", LAYOUT) as writer:
        before = len(synced)
        writer.append(frames(1)[0])
        assert len(synced) == before + 2  # the image, then the header
    monkeypatch.undo()
    importlib.reload(atomic)
    assert mrcfile.validate(tmp_path / "A.mrc")
