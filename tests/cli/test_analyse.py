"""`dualtilt analyse`: its files, and one line for every bad input."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from ase.io import read as read_with_ase

from controller.app.cli.main import main
from controller.common.exit_codes import ExitCode
from processing import Count, Counts, Diameter, ParticleTable, Summary, write_csv
from processing.results import Trust, Verdict
from tests.support.spheres import packed

FILES = ("structure.csv", "structure.xyz", "structure_g_r.csv", "structure_s_q.csv")


def table(number: int | None = None) -> ParticleTable:
    points = packed(25, 7.7, order="fcc", seed=3)[:number]
    return ParticleTable(points, np.full(len(points), 6.3), np.ones(len(points)))


def session(folder: Path, state: Trust = Trust.TRUSTED) -> Path:
    particles = table()
    (folder / "processed").mkdir(parents=True)
    write_csv(folder / "processed/particles_A.csv", particles)
    verdict = Verdict(state=state, reasons=() if state is Trust.TRUSTED else ("noise",))
    number = len(particles)
    summary = Summary(
        counts=Counts(A=Count(n=number, n_low=number, n_high=number, verdict=verdict)),
        verdict=verdict,
        diameter_nm=Diameter(value=6.3, source="given"),
        series={},
        pixel_nm=1.0,
    )
    (folder / "processed/summary.json").write_text(summary.model_dump_json())
    return folder


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "mine.csv", table())
    facts = ["--position-error-nm", "0.1"]
    assert main(["analyse", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "o"), *facts]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("fcc 100 %, 1 grain\n")
    names = [f"mine_{name}" for name in (*FILES, "structure.json")]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == sorted(names)
    assert all(name in printed for name in names)
    with (tmp_path / "o/mine_structure.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table())
    assert {row["structure"] for row in rows} == {"fcc", "surface"}
    assert all(float(row["structure_again"]) == 1 for row in rows if row["structure"] == "fcc")
    assert all(float(row["neighbour_distance_nm_se"]) > 0 for row in rows)
    with (tmp_path / "o/mine_structure_s_q.csv").open() as file:
        assert all(float(row["error"]) > 0 for row in csv.DictReader(file))
    atoms = read_with_ase(tmp_path / "o/mine_structure.xyz")
    assert list(atoms.arrays["structure_id"]) == [int(row["structure_id"]) for row in rows]
    assert atoms.positions / 10 == pytest.approx(table().centres_nm, abs=1e-3)


def test_means_of_few_particles_have_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = packed(15, 7.7, order="fcc", seed=3)
    particles = ParticleTable(points, np.full(len(points), 6.3), np.ones(len(points)))
    write_csv(tmp_path / "mine.csv", particles)
    assert main(["analyse", str(tmp_path / "mine.csv"), "--out", str(tmp_path / "o")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("coordination 12.0 ± ") for line in lines)
    (shown,) = (line for line in lines if line.startswith("fcc  "))
    share, low, high = map(float, re.findall(r"\d+\.\d", shown))
    assert share == high == 100 and 0 < low < 100, shown
    assert any(line.startswith("note: only") and "in the interior" in line for line in lines)


def test_a_value_has_as_many_decimals_as_its_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "mine.csv", table())
    assert main(["analyse", str(tmp_path / "mine.csv"), "--position-error-nm", "0.2"]) == 0
    assert "a = 10.889 ± 0.019 nm\n" in capsys.readouterr().out  # 7.7 nm times the root of 2


def test_a_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(session(tmp_path, Trust.DOUBTFUL))]) == ExitCode.OK
    assert set(FILES) <= {path.name for path in (tmp_path / "processed").iterdir()}
    printed = capsys.readouterr().out
    assert "packing" in printed and "the count is doubtful, and so is the structure" in printed
    summary = Summary.model_validate_json((tmp_path / "processed/summary.json").read_text())
    assert summary.structure is not None and summary.structure.source == "A"
    assert summary.counts.A.n == len(table())
    assert summary.files["structure_csv"] == "processed/structure.csv"
    report = (tmp_path / "report.html").read_text()
    assert "<h2>Structure</h2>" in report and "S(q)" in report
    assert '"name":"structure"' in report  # the views are coloured by it


def test_a_refused_count_has_no_structure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyse", str(session(tmp_path, Trust.REFUSED))]) == ExitCode.SAFETY
    assert "the count is refused" in capsys.readouterr().err
    assert not (tmp_path / "processed/structure.csv").exists()


FIRST = table().centres_nm[0]
WRONG_LINES = {
    "far": "202,1e8,1e8,1e8,6.3,1.0,false\n",
    "huge": "202,1e300,0,0,6.3,1.0,false\n",
    "twice": f"202,{FIRST[0]},{FIRST[1]},{FIRST[2]},6.3,1.0,false\n",
    "long": f"202,{'9' * 140_000},0,0,6.3,1.0,false\n",
    "colour": "202,\x1b[31mred\x1b[0m,0,0,6.3,1.0,false\n",
    "cut": "202,500.0",
}
"""A line that is appended to the table of 201 particles, by the name of the file."""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("{dir}/none.csv",), "no such file or folder"),
        (("{dir}",), "summary.json: no such file; process the series first"),
        (("{dir}/few.csv",), "few.csv: 12 particles; the structure needs 13"),
        (("{dir}/few.csv", "--diameter-nm", "-1"), "diameter"),
        (("{dir}/far.csv",), "particle 202 is 1.73e+08 nm away from the others"),
        (("{dir}/huge.csv",), "huge.csv: line 203: a value is not finite or over 1e+09"),
        (("{dir}/twice.csv",), "particles 1 and 202 are at the same place"),
        (("{dir}/long.csv",), "long.csv: line 203: cannot be read: field larger than"),
        (("{dir}/colour.csv",), "colour.csv: line 203: x is not a number: \\x1b[31mred"),
        (("{dir}/cut.csv",), "cut.csv: line 203: cut off: it has 2 cells"),
        (("{dir}/odd\nname.csv",), "odd\\nname.csv: no such file or folder"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "few.csv", table(12))
    for name, line in WRONG_LINES.items():
        write_csv(tmp_path / f"{name}.csv", table())
        with (tmp_path / f"{name}.csv").open("a") as file:
            file.write(line)
    try:
        code = main(["analyse", *(word.format(dir=tmp_path) for word in words)])
    except SystemExit as refused:
        code = int(str(refused.code))
    error = capsys.readouterr().err
    assert code == ExitCode.USAGE
    assert says in error and "Traceback" not in error
    assert "usage:" in error or error.count("\n") == 1


@pytest.mark.parametrize("kept", [150, 150.5])
def test_a_table_that_was_cut_off_keeps_the_results(
    kept: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a table has another structure; a line may be cut in its middle."""
    folder = session(tmp_path)
    particles = folder / "processed/particles_A.csv"
    lines = particles.read_text().splitlines(keepends=True)
    assert main(["analyse", str(folder)]) == ExitCode.OK
    whole = int(kept)
    particles.write_text("".join(lines[: 1 + whole]) + lines[1 + whole][: 40 * (kept > whole)])
    before = {path: path.read_bytes() for path in (folder / "processed").iterdir()}
    assert main(["analyse", str(folder)]) == ExitCode.USAGE
    assert "particles_A.csv" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_a_refused_pair_says_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A and B have their tables where they could not be brought together."""
    (tmp_path / "processed").mkdir()
    write_csv(tmp_path / "processed/particles_B.csv", table())
    assert main(["analyse", str(tmp_path)]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert "A and B were not brought together" in error
    assert f"dualtilt analyse {tmp_path}/processed/particles_B.csv" in error


@pytest.mark.parametrize("name", ["mine_structure.csv", "mine_structure.json"])
def test_no_other_file_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_csv(tmp_path / "mine.csv", table())
    (tmp_path / name).write_text("by hand")
    assert main(["analyse", str(tmp_path / "mine.csv")]) == ExitCode.USAGE
    assert (
        f"already holds {name}, not of a finished analysis of mine.csv" in capsys.readouterr().err
    )
    assert (tmp_path / name).read_text() == "by hand"


def test_an_analysis_is_repeated(tmp_path: Path) -> None:
    write_csv(tmp_path / "mine.csv", table())
    assert [main(["analyse", str(tmp_path / "mine.csv")]) for _ in range(2)] == [0, 0]
