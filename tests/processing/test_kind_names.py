"""Names that the user gives to the kinds of particles reach the tables and the summary."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.app.cli.processing_arguments import add_processing_arguments, chosen_settings
from controller.model.protocol import check_content
from processing.files.particles import ParticleTable, read_xyz, write_xyz
from processing.pipeline.kind_names import name_notes, named
from processing.pipeline.settings import NamedParticles, ProcessSettings
from processing.results import Diameter, ParticleKind

AU, AG = NamedParticles(name="Au"), NamedParticles(name="Ag")
LARGE = NamedParticles(name="large", diameter_nm=6.4)
SMALL = NamedParticles(name="small", diameter_nm=4.4)


@dataclass(frozen=True)
class Case:
    name: str
    found_nm: tuple[float, ...]
    """Diameter of each kind, the brightest first."""
    given: tuple[NamedParticles, ...]
    names: tuple[str, ...]
    note: str = ""


CASES = (
    Case("no names", (6.3,), (), ()),
    Case("one kind", (6.3,), (AU,), ("Au",)),
    Case("two materials in order", (6.3, 6.3), (AU, AG), ("Au", "Ag")),
    Case("two sizes by diameter", (6.3, 4.5), (SMALL, LARGE), ("large", "small")),
    Case("two sizes without diameters", (6.3, 4.5), (AG, AU), ("Ag", "Au")),
    Case(
        "one of two is there, by diameter",
        (4.5,),
        (LARGE, SMALL),
        ("small",),
        "series A: 1 kind of particles was found, but 2 named (large, small)",
    ),
    Case(
        "two kinds, one name",
        (6.3, 6.3),
        (AU,),
        (),
        "series A: 2 kinds of particles were found, but 1 named (Au)",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_names_go_to_the_kinds(case: Case) -> None:
    kinds = [ParticleKind(diameter_nm=each, particles=5) for each in case.found_nm]
    diameter = Diameter(
        value=case.found_nm[0], source="estimated", kinds=kinds if len(kinds) > 1 else []
    )
    assert named(diameter, case.given).names == case.names
    assert "".join(name_notes("series A", diameter, case.given)) == case.note


@pytest.mark.parametrize(
    ("names", "species"),
    [((), ["Au", "Au"]), (("Au", "Ag"), ["Au", "Ag"]), (("Pt",), ["Pt", "Au"])],
)
def test_the_names_are_the_species_of_xyz_files(
    names: tuple[str, ...], species: list[str], tmp_path: Path
) -> None:
    table = ParticleTable(
        np.arange(6.0).reshape(2, 3), np.full(2, 6.3), np.ones(2), kind=np.array([1, 2])
    )
    write_xyz(tmp_path / "two.xyz", table, names)
    lines = (tmp_path / "two.xyz").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines[2:]] == species
    assert list(read_xyz(tmp_path / "two.xyz").kind) == [1, 2]


def test_the_verbs_take_names(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_processing_arguments(parser)
    chosen = chosen_settings(parser.parse_args(["--names", "Au,Ag"]))
    assert ProcessSettings(**chosen).particles == (AU, AG)
    for wrong in ("Au,", "A u", "1", "Au,Ag,Pt"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--names", wrong])
        assert "one or two names" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("particles", "said"),
    [
        ([{"name": "A u"}], ".1.name: must be a letter, then up to 15 letters"),
        ([{"name": each} for each in ("Au", "Ag", "Pt")], ": must have at most 2 items, not 3"),
        ([{"nane": "Au"}], ".1.nane: no such setting; did you mean name?"),
    ],
)
def test_wrong_names_in_a_protocol_are_refused_in_words(
    particles: list[dict[str, str]], said: str
) -> None:
    wrong = check_content({"name": "gold", "processing": {"particles": particles}}).wrong
    assert any(f"processing.particles{said}" in line for line in wrong)
