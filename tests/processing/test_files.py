"""Files open in other programs, survive a crash, and a bad file gives a one-line message."""

from __future__ import annotations

import dataclasses
import gzip
import importlib
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any

import ase.io
import mdocfile
import mrcfile
import numpy as np
import pytest
from rsciio import mrc as rsciio_mrc

from processing.errors import InputFileError
from processing.files import atomic, mrc_writer
from processing.files.mdoc import MdocHeader, MdocSection, read_mdoc, write_mdoc
from processing.files.mrc import read_stack, write_images, write_volume
from processing.files.mrc_writer import HEADER_BYTES, MrcStackWriter, StackLayout
from processing.files.particles import ParticleTable, read_csv, read_xyz, write_csv, write_xyz
from processing.files.rawtlt import read_rawtlt, write_rawtlt
from processing.files.tilt_series import load_tilt_series
from tests.support.processes import python

SHAPE = (6, 9)
LAYOUT = StackLayout(SHAPE, "uint16", 0.9)


# ---- writing in one step


def write_half(path: Path, text: str, **options: Any) -> None:
    """Fail in the middle of writing a file, as a full disk does."""
    with atomic.replace_file(path, **options) as partial:
        partial.write_text(text[: len(text) // 2])
        raise OSError("no space left")


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "not flushed"])
def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "status.json"
    with pytest.raises(OSError, match="no space left"):
        write_half(path, "first", durable=durable)
    assert not list(tmp_path.iterdir())
    atomic.replace_text(path, "first\n", durable=durable)
    with pytest.raises(OSError, match="no space left"):
        write_half(path, "second", durable=durable)
    assert path.read_bytes() == b"first\n"
    atomic.replace_text(path, "second\n", durable=durable)
    assert path.read_bytes() == b"second\n"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_mix_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with atomic.replace_file(path) as mine:
        mine.write_text("mine")
        atomic.replace_text(path, "theirs, which is longer")
        assert path.read_text() == "theirs, which is longer"
    assert path.read_text() == "mine"


@pytest.mark.parametrize(("durable", "flushes"), [(True, 2), (False, 0)])
def test_only_a_durable_file_is_flushed_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, flushes: int
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    atomic.replace_text(tmp_path / "a", "text", durable=durable)
    assert len(flushed) == (flushes if os.name != "nt" else min(flushes, 1))


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with atomic.replace_file(path, mode=atomic.OWNER_ONLY) as partial:
        assert partial.stat().st_mode & 0o777 == 0o600
        partial.write_text("secret")
    assert path.stat().st_mode & 0o777 == 0o600


def frames(count: int, dtype: str = "uint16") -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 1000, (count, *SHAPE)).astype(dtype)


# ---- MRC


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


# ---- appending


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


# ---- mdoc, rawtlt, particles


def test_mdocfile_and_read_mdoc_read_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "A.mrc.mdoc"
    sections = [
        MdocSection(
            z,
            tilt_angle_deg=-70 + 2 * z,
            stage_x_um=1.25,
            stage_y_um=-3.5,
            stage_z_um=0.1,
            magnification=225000,
            pixel_nm=0.9,
            dose_e_per_A2=12.5,
            exposure_time_s=6.5,
            rotation_angle_deg=-90,
            date_time="22-Nov-26  10:01:10",
            min_max_mean=(0, 310, 22.5),
            probe_current_pA=70,
            extra={"DwellTimeMicroseconds": "10"},
        )
        for z in range(3)
    ]
    header = MdocHeader("A.mrc", (9, 6), 0.9, 300, 6, ("dualtilt", "series A"))
    write_mdoc(path, header, sections)
    table = mdocfile.read(path)
    assert list(table["TiltAngle"]) == [-70, -68, -66]
    assert list(table["StagePosition"]) == [(1.25, -3.5)] * 3
    assert list(table["ExposureDose"]) == [12.5] * 3
    assert table["Voltage"][0] == 300
    ours = read_mdoc(path)
    assert ours.header == header
    assert list(ours.sections) == sections


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ZValue = 0]\nStageZ = 1\n", "no TiltAngle"),
        ("[ZValue = 0]\nTiltAngle = steep\n", "steep"),
    ],
    ids=["no angle", "no number"],
)
def test_the_message_says_what_is_wrong_with_an_mdoc(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "A.mrc.mdoc"
    path.write_text(text)
    with pytest.raises(InputFileError, match=message):
        read_mdoc(path)


def test_csv_and_xyz_keep_orientations(tmp_path: Path) -> None:
    turns = np.array([[0.0, 0.0, 0.0, 1.0], [0.6, 0.0, 0.0, 0.8]])
    sizes = np.array([[3.0, 3.0, 14.0]] * 2)
    rods = ParticleTable(np.ones((2, 3)), np.full(2, 6.0), np.ones(2))
    rods = dataclasses.replace(rods, quaternion=turns, aspherical_nm=sizes)
    write_csv(tmp_path / "rods.csv", rods)
    write_xyz(tmp_path / "rods.xyz", rods)
    assert read_csv(tmp_path / "rods.csv").quaternion == pytest.approx(turns)
    read = read_xyz(tmp_path / "rods.xyz")
    assert read.quaternion == pytest.approx(turns) and read.aspherical_nm == pytest.approx(sizes)
    assert (tmp_path / "rods.csv").read_text().splitlines()[0].endswith("quat_z,quat_w")
    assert "orientation:R:4:aspherical_shape:R:3" in (tmp_path / "rods.xyz").read_text()


def test_csv_and_xyz_keep_the_particles_and_ase_opens_the_xyz(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    beside = np.arange(7) > 4
    kind = 1 + np.arange(7) % 2
    table = ParticleTable(
        *(rng.normal(0, 40, (7, 3)), np.full(7, 6.3), rng.random(7), beside),
        *(np.array([*rng.random(6), np.nan]), rng.random(7), kind, rng.random(7)),
    )
    write_csv(tmp_path / "p.csv", table)
    write_xyz(tmp_path / "p.xyz", table)
    for read in (read_csv(tmp_path / "p.csv"), read_xyz(tmp_path / "p.xyz")):
        np.testing.assert_array_equal(read.beside, beside)
        np.testing.assert_allclose(read.centres_nm, table.centres_nm, atol=1e-3)
        np.testing.assert_allclose(read.diameter_nm, table.diameter_nm, atol=1e-3)
        np.testing.assert_allclose(read.confidence, table.confidence, atol=1e-3)
        np.testing.assert_allclose(read.diameter_se_nm, table.diameter_se_nm, atol=1e-3)
        np.testing.assert_array_equal(read.kind, kind)
    from_csv = read_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(from_csv.brightness_share, table.brightness_share, atol=1e-3)
    np.testing.assert_allclose(from_csv.kind_probability, table.kind_probability, atol=1e-3)
    atoms = ase.io.read(tmp_path / "p.xyz")
    np.testing.assert_allclose(atoms.positions, 10 * table.centres_nm, atol=1e-3)
    np.testing.assert_allclose(atoms.arrays["radius"], 31.5)
    np.testing.assert_array_equal(atoms.arrays["beside"], beside)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "id,x_nm,y_nm,z_nm,diameter_nm,confidence\n1,1,2,3,6.3,0.9\n"),
        ("p.xyz", "1\nProperties=species:S:1:pos:R:3\nAu 10 20 30 31.5 0.9\n"),
    ],
)
def test_a_table_of_an_earlier_version_has_no_particles_beside_the_object(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    table = (read_csv if name == "p.csv" else read_xyz)(tmp_path / name)
    assert table.beside.tolist() == [False]
    assert np.isnan(table.diameter_se_nm).all() and table.kind.tolist() == [1]
    np.testing.assert_allclose(table.centres_nm, [[1.0, 2.0, 3.0]])


def test_an_empty_table_is_written_and_read(tmp_path: Path) -> None:
    empty = ParticleTable(np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    write_csv(tmp_path / "p.csv", empty)
    write_xyz(tmp_path / "p.xyz", empty)
    assert len(read_csv(tmp_path / "p.csv")) == len(read_xyz(tmp_path / "p.xyz")) == 0


@pytest.mark.parametrize("name", ["p.csv", "p.xyz"])
@pytest.mark.parametrize("text", [None, "", "id,x_nm\n1,2\n", "2\nx\nAu 1 2\n"])
def test_the_message_names_a_bad_table(tmp_path: Path, name: str, text: str | None) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputFileError, match=name):
        (read_csv if name == "p.csv" else read_xyz)(path)


# ---- whole series

ANGLES = [-4.0, 0.0, 4.0, 4.0]


def write_series(folder: Path) -> Path:
    write_images(folder / "A.mrc", frames(4), 0.9)
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
    write_images(path, frames(4), 0.9)
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
