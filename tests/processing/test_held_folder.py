"""Files below a held folder: an error names the path that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from processing.files.atomic import make_folder
from processing.files.held_folder import held, open_to_read


@pytest.mark.parametrize("below", ["none.csv", "deeper/none.csv"])
def test_a_missing_file_is_named_with_its_folders(below: str, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    with held(tmp_path), pytest.raises(FileNotFoundError) as caught:
        open_to_read(tmp_path / below).close()
    assert caught.value.filename == str(tmp_path / below)


def test_a_folder_that_cannot_be_made_is_named_with_its_folders(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with held(tmp_path), pytest.raises(OSError, match="taken") as caught:
        make_folder(tmp_path / "taken" / "results")
    assert str(caught.value.filename).startswith(str(tmp_path))
