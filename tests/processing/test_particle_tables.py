"""Tables of particles in CSV and XYZ files."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest

from processing.errors import InputFileError
from processing.files.particles import ParticleTable, read_csv, read_xyz, write_csv, write_xyz


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
        np.vstack([rng.random((6, 3)), np.full(3, np.nan)]),
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
        np.testing.assert_allclose(read.centre_se_nm, table.centre_se_nm, atol=1e-3)
    from_csv = read_csv(tmp_path / "p.csv")
    np.testing.assert_allclose(from_csv.brightness_share, table.brightness_share, atol=1e-3)
    np.testing.assert_allclose(from_csv.kind_probability, table.kind_probability, atol=1e-3)
    atoms = ase.io.read(tmp_path / "p.xyz")
    np.testing.assert_allclose(atoms.positions, 10 * table.centres_nm, atol=1e-3)
    np.testing.assert_allclose(atoms.arrays["radius"], 31.5)
    np.testing.assert_array_equal(atoms.arrays["beside"], beside)
    np.testing.assert_allclose(atoms.arrays["pos_se"], 10 * table.centre_se_nm, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "id,x_nm,y_nm,z_nm,diameter_nm,confidence\n1,1,2,3,6.3,0.9\n"),
        ("p.xyz", "1\nProperties=species:S:1:pos:R:3\nAu 10 20 30 31.5 0.9\n"),
        ("p.xyz", "1\nProperties=species:S:1:pos:R:3\nAu 10 20 30 31.5 0.9 F nan 1\n"),
    ],
)
def test_a_table_of_an_earlier_version_has_no_particles_beside_the_object(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    table = (read_csv if name == "p.csv" else read_xyz)(tmp_path / name)
    assert table.beside.tolist() == [False]
    assert np.isnan(table.diameter_se_nm).all() and table.kind.tolist() == [1]
    assert np.isnan(table.centre_se_nm).all() and table.centre_se_nm.shape == (1, 3)
    np.testing.assert_allclose(table.centres_nm, [[1.0, 2.0, 3.0]])


HEADING = "id,x_nm,y_nm,z_nm,diameter_nm,confidence,beside"


@pytest.mark.parametrize(("word", "beside"), [("TRUE", True), ("FALSE", False), ("", False)])
def test_a_spreadsheet_may_write_true_in_capitals(word: str, beside: bool, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"{HEADING}\n1,1,2,3,6.3,0.9,{word}\n")
    assert read_csv(tmp_path / "p.csv").beside.tolist() == [beside]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{HEADING}\n1,1,2,3,6.3,0.9,WAHR\n", "'WAHR' is neither true nor false"),
        (f"{HEADING}\n1,1,2,3,6.3,#NAME?,false\n", "'#NAME?'"),
        (f"{HEADING}\n1,1,2,3,6.3,0.9,false\n".replace(",", ";"), "between commas"),
        (f"{HEADING}\n1,1,2,nan,6.3,0.9,false\n", "not finite"),
    ],
    ids=["true in German", "a spreadsheet's error", "semicolons", "not finite"],
)
def test_a_table_that_another_program_changed_is_refused(
    text: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputFileError, match=re.escape(says)) as caught:
        read_csv(tmp_path / "p.csv")
    assert "restore the file from a copy" in str(caught.value)


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
