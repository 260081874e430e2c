"""Files replaced as a whole: partial files, locks, durability, secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from processing.files import atomic


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
