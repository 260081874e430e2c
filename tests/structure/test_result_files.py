"""The table of files in docs/files.md names all that a session and its results can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from processing.pipeline.results_folder import result_names
from tests.support.documented_files import undocumented

OF_A_SESSION = (
    "A.mrc",
    "A.mrc.mdoc",
    "B.rawtlt",
    "accuracy.json",
    "ballast",
    "events.jsonl",
    "journal.jsonl",
    "lock",
    "maps/A-low.mrc",
    "previews/frame.npy",
    "protocol.toml",
    "quarantine/A.mrc",
    "rejected/A.mrc",
    "report.html",
    "run/worker-live.log",
    "simulator/world.json",
    "status.json",
    "truth.csv",
)


@pytest.mark.parametrize("name", [*OF_A_SESSION, *(f"processed/{name}" for name in result_names())])
def test_a_file_is_in_the_table(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert undocumented(tmp_path) == []


def test_a_file_that_the_table_does_not_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "processed").mkdir()
    (tmp_path / "processed" / "new.mrc").touch()
    assert undocumented(tmp_path) == ["processed/new.mrc"]
