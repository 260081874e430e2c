"""Particle coordinates from files of any program, and one line for every bad one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write as write_with_ase

from processing import ParticleTable, write_csv, write_xyz
from processing.errors import InputFileError
from processing.files.coordinates import read_coordinates

POINTS = np.array([[1.0, 2.0, 3.0], [-4.0, 5.5, 0.25]])

GOOD = {
    "own csv": ("p.csv", "id,x_nm,y_nm,z_nm,diameter_nm\n1,1,2,3,6\n2,-4,5.5,0.25,6\n", None),
    "angstrom": ("p.csv", "x_A,y_A,z_A\n10,20,30\n-40,55,2.5\n", None),
    "units in brackets": ("p.csv", "X [nm]; Y [nm]; Z [nm]\n1; 2; 3\n-4; 5,5; 0,25\n", None),
    "micrometres": (
        "p.csv", "x (µm)\ty (µm)\tz (µm)\n1e-3\t2e-3\t3e-3\n-4e-3\t5.5e-3\t2.5e-4\n",
        None,
    ),
    "a given unit": ("p.csv", "# made by hand\nx y z\n10 20 30\n-40 55 2.5\n", "angstrom"),
    "blank lines": ("p.csv", "\nx_nm,y_nm,z_nm\n1,2,3\n\n-4,5.5,.25\n\n", None),
    "blank rows of a spreadsheet": ("p.csv", "x_nm;y_nm;z_nm\n1;2;3\n-4;5,5;,25\n;;\n", None),
    "cells without a name": ("p.csv", "x_nm,y_nm,z_nm\n1,2,3,,\n-4,5.5,.25,,\n", None),
    "plain xyz": ("p.xyz", "2\nany comment\nAu 10 20 30\nAu -40 55 2.5\n", None),
    "xyz in nm": ("p.xyz", "2\n\nAu 1 2 3\nAu -4 5.5 0.25\n", "nm"),
    "extended xyz": (
        "p.xyz",
        '2\nProperties=id:I:1:species:S:1:pos:R:3 pbc="F F F"\n1 Au 10 20 30\n2 Au -40 55 2.5\n',
        None,
    ),
    "xyz without species": ("p.xyz", "2\n\n10 20 30\n-40 55 2.5\n", None),
    "xyz of LAMMPS": ("p.xyz", "2\n Atoms. Timestep: 100\n1 10 20 30\n1 -40 55 2.5\n", None),
    "xyz of OVITO": (
        "p.xyz",
        '2\nLattice="200 0 0 0 200 0 0 0 200" Origin="-100 -100 -100" pbc="F F F" Time=0 '
        "Properties=pos:R:3:radius:R:1:species:S:1:color:R:3 \n"
        "10 20 30 31.5 Au 0.4 1 0.4 \n-40 55 2.5 31.5 Au 0.4 1 0.4 \n",
        None,
    ),
}  # fmt: skip

BAD = {
    "an image stack": ("A.csv", "@\0\0\0@\0\0\0" * 40, "is no table but binary"),
    "one long name": ("p.csv", "a" * 900 + " b\n1 2\n", "first line has: " + "a" * 80),
    "empty": ("p.csv", "", "is empty"),
    "no column": ("p.csv", "a,b,z_nm\n1,2,3\n", "no column x, y; its first line has: a, b, z_nm"),
    "no unit": ("p.csv", "x,y,z\n1,2,3\n", "give it: --unit nm | angstrom | um"),
    "unknown unit": ("p.csv", "x_px,y_px,z_px\n1,2,3\n", "unit 'px' of x, y, z is not known"),
    "different units": ("p.csv", "x_nm,y_nm,z_A\n1,2,3\n", "different units"),
    "a word": ("p.csv", "x_nm,y_nm,z_nm\n1,2,3\n1,two,3\n", "line 3: y is not a number: two"),
    "a short line": ("p.csv", "x_nm,y_nm,z_nm\n1,2\n", "line 2: z is missing"),
    "no diameter": ("p.csv", "x_nm,y_nm,z_nm,diameter_nm\n1,2,3,\n", "diameter is missing"),
    "decimal commas between commas": (
        "p.csv",
        "x_nm,y_nm,z_nm\n1,5,2,5,3,5\n",
        "line 2: 6 values under 3 names of columns",
    ),
    "true in German": (
        "p.csv",
        "x_nm;y_nm;z_nm;beside\n1;2;3;FALSCH\n",
        "line 2: beside: 'FALSCH' is neither",
    ),
    "not finite": ("p.csv", "x_nm,y_nm,z_nm\n1,2,3\nnan,2,3\n", "line 3: a value is not finite"),
    "xyz without number": ("p.xyz", "Au 1 2 3\n", "first line of an XYZ file"),
    "xyz of no particles": ("p.xyz", "0\n", "names 0 particles"),
    "xyz cut": ("p.xyz", "3\n\nAu 1 2 3\n", "names 3 particles, but has 1"),
    "xyz of many frames": ("p.xyz", "1\n\nAu 1 2 3\n1\n\nAu 1 2 3\n", "several frames"),
    "xyz without pos": ("p.xyz", "1\nProperties=species:S:1\nAu\n", "no column pos"),
    "odd properties": ("p.xyz", "1\nProperties=pos:R\nAu\n", "not of the form"),
}


@pytest.mark.parametrize("case", GOOD)
def test_coordinates_are_read(case: str, tmp_path: Path) -> None:
    name, text, unit = GOOD[case]
    (tmp_path / name).write_text(text, encoding="utf-8")
    read = read_coordinates(tmp_path / name, unit)
    assert read.centres_nm == pytest.approx(POINTS)
    assert not read.other_object.any()


def test_files_of_ase_are_read(tmp_path: Path) -> None:
    """A periodic box, velocities, other columns and notes with quotes do not matter."""
    atoms = Atoms("Au2", 10 * POINTS, cell=[200, 200, 200], pbc=True)
    atoms.set_velocities(np.ones((2, 3)))
    atoms.new_array("radius", np.full(2, 31.5))
    atoms.new_array("chosen", np.array([True, False]))
    atoms.info = {"note": 'it\'s a "box"', "stress": np.eye(3)}
    write_with_ase(tmp_path / "all.xyz", atoms, format="extxyz")
    write_with_ase(tmp_path / "plain.xyz", atoms, format="xyz", comment="don't split=this")
    read = read_coordinates(tmp_path / "all.xyz")
    assert read.centres_nm == pytest.approx(POINTS)
    assert read.diameter_nm == pytest.approx([6.3, 6.3])
    assert read_coordinates(tmp_path / "plain.xyz").centres_nm == pytest.approx(POINTS)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    name, text, message = BAD[case]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError) as caught:
        read_coordinates(tmp_path / name)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["p.csv", "p.xyz"])
def test_own_tables_are_read_with_diameters_and_other_objects(name: str, tmp_path: Path) -> None:
    table = ParticleTable(POINTS, np.array([6.0, 7.0]), np.ones(2), np.array([False, True]))
    (write_csv if name == "p.csv" else write_xyz)(tmp_path / name, table)
    read = read_coordinates(tmp_path / name)
    assert read.centres_nm == pytest.approx(POINTS)
    assert read.diameter_nm == pytest.approx([6.0, 7.0])
    assert list(read.other_object) == [False, True]


def test_particles_of_other_objects_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("x_nm,y_nm,z_nm,beside\n1,2,3,TRUE\n1,2,4,False\n1,2,5,1\n1,2,6,0\n1,2,7\n")
    assert list(read_coordinates(path).other_object) == [True, False, True, False, False]


def test_errors_of_positions_may_have_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("x_nm;y_nm;z_nm;x_se_nm;y_se_nm;z_se_nm\n1;2;3;0,02;0,03;0,05\n")
    assert read_coordinates(path).error_nm == pytest.approx(np.array([[0.02, 0.03, 0.05]]))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_coordinates(tmp_path / "p.csv")


def test_one_table_as_csv_and_as_xyz_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = ParticleTable(rng.normal(0, 30, (400, 3)), rng.normal(6, 0.2, 400), rng.random(400))
    errors = rng.uniform(0.01, 0.05, (4, 400))
    table = replace(table, diameter_se_nm=errors[0], centre_se_nm=errors[1:].T)
    write_csv(tmp_path / "p.csv", table)
    write_xyz(tmp_path / "p.xyz", table)
    one, other = (read_coordinates(tmp_path / name) for name in ("p.csv", "p.xyz"))
    np.testing.assert_array_equal(one.centres_nm, other.centres_nm)
    assert one.diameter_nm is not None and one.error_nm is not None
    np.testing.assert_array_equal(one.diameter_nm, other.diameter_nm)
    np.testing.assert_array_equal(one.error_nm, other.error_nm)
