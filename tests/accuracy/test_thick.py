"""The measurement of thick assemblies and its bound, on an assembly that takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accuracy import fisher, thick


def test_each_count_has_a_row_and_the_series_stay_in_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "series"
    arguments = ["--size", "30", "--step", "12", "--controls", str(folder)]
    assert thick.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert names == ["A", "A, true candidates", "B", "B, true candidates", "both"]
    assert all("| 1.0000 |" in line for line in lines if line.startswith("|"))
    stacks = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    thick.Thick(thick.Packing.FCC, 30.0, 12.0, 0.8).write(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == stacks


def test_thicker_assemblies_and_single_series_show_less() -> None:
    def shares(size_nm: float) -> tuple[float, float]:
        _, _, one, _, two, _, _ = fisher.row(size_nm, 6.0).split("|")
        return float(one), float(two)

    (thin_one, thin_two), (thick_one, thick_two) = shares(110.0), shares(500.0)
    assert thin_one == thin_two == 1.0
    assert thick_one < 0.95 < thick_two
