"""The user's private folder: where it is, and what happens if somebody else took its place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.common.runtime_folder import runtime_folder
from controller.service.service_address import known_addresses


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone, and a user without a runtime folder."""
    monkeypatch.setattr("controller.common.runtime_folder.LONGEST_PATH_BYTES", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid)
    return tmp_path


def open_to_others(path: Path) -> None:
    path.mkdir(mode=0o777)
    path.chmod(0o777)


def plain_file(path: Path) -> None:
    path.touch()


def link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("squat", [open_to_others, plain_file, link])
@pytest.mark.parametrize("has_runtime", [False, True])
def test_a_squatted_folder_is_left_alone_and_another_one_named(
    temp: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    squat: Callable[[Path], None],
    has_runtime: bool,
) -> None:
    squatted = runtime_folder()
    if has_runtime:
        (temp / "xdg").mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(temp / "xdg"))
        squatted = runtime_folder()
    squatted.rmdir()
    squat(squatted)
    other = runtime_folder()
    assert other != squatted
    assert other.stat().st_mode & 0o777 == 0o700
    assert not other.is_symlink()
    assert str(squatted) in caplog.text and str(other) in caplog.text
    assert runtime_folder() == other, "every process finds the same one"
    (other / "x.session.json").write_text("{}")
    assert known_addresses() == {}  # read, and found not to be an address


@pytest.mark.parametrize("long_temp", [False, True])
def test_a_folder_whose_path_is_too_long_for_sockets_is_left_out(
    temp: Path, monkeypatch: pytest.MonkeyPatch, long_temp: bool
) -> None:
    longest = 100 if long_temp else len(str(temp)) + 20
    monkeypatch.setattr("controller.common.runtime_folder.LONGEST_PATH_BYTES", longest)
    monkeypatch.setattr("controller.common.runtime_folder.SHORT_TEMP", temp / "short")
    (temp / "short").mkdir()
    runtime = temp / ("x" * 110)
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    if long_temp:
        monkeypatch.setattr(tempfile, "tempdir", str(runtime))
    expected = temp / "short" if long_temp else temp
    assert runtime_folder().parent == expected
    assert list(runtime.iterdir()) == []


def test_the_folder_of_another_user_is_not_used(
    temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = temp.stat().st_uid
    monkeypatch.setattr("os.getuid", lambda: uid + 1)
    theirs = temp / f"dualtilt-{uid + 1}"
    theirs.mkdir(mode=0o700)
    # nothing that this process makes belongs to that other user: a fresh folder each time
    assert runtime_folder().name.startswith(f"{theirs.name}-")
