"""Results of a batch that replace earlier ones: whatever fails, one complete set can be had."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from processing.batch import process_session as batch
from processing.batch import replace_results as replacing
from processing.batch.process_session import SessionTask, State, process_session
from processing.batch.replace_results import put_back_earlier, replace_results
from processing.errors import InputFileError
from processing.pipeline.made_with import GivenFacts
from processing.pipeline.results_folder import read_summary
from processing.pipeline.settings import ProcessSettings

OLD = {"summary.json": "old", "A.json": "old", "B.json": "old", "resolution.csv": "old"}
NEW = {"summary.json": "new", "A.json": "new", "particles_A.csv": "new"}
MINE = {"notes.txt": "mine"}
"""A file of the user, which stays."""


class KilledError(BaseException):
    """Stands for the end of the process."""


class Renames:
    """Renames of files, of which some fail."""

    def __init__(self, fails: Callable[[int], bool], error: BaseException) -> None:
        self.calls = 0
        self._fails, self._error, self._rename = fails, error, os.replace

    def __call__(self, *args: object, **kwargs: object) -> None:
        self.calls += 1
        if self._fails(self.calls):
            raise self._error
        self._rename(*args, **kwargs)  # type: ignore[arg-type]


def session_with_new_results(folder: Path) -> tuple[Path, Path]:
    """Return a session with results, and the folder of new ones."""
    unfinished = folder / "processed" / "unfinished"
    (unfinished / "processed").mkdir(parents=True)
    for name, text in {**OLD, **MINE}.items():
        (folder / "processed" / name).write_text(text)
    for name, text in NEW.items():
        (unfinished / "processed" / name).write_text(text)
    return folder, unfinished


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*") if path.is_file()}


def has_all(found: dict[str, str], complete: dict[str, str]) -> bool:
    return complete.items() <= found.items()


def complete_sets(session: Path) -> list[dict[str, str]]:
    """Return each set of files with a summary, at its place or at one where it can be found."""
    processed = session / "processed"
    places = (processed, processed / "earlier", processed / "unfinished" / "processed")
    found = [files(place) for place in places]
    return [each for each in found if "summary.json" in each]


def test_new_results_replace_the_old_ones_and_leave_other_files(tmp_path: Path) -> None:
    session, new = session_with_new_results(tmp_path)
    replace_results(session, new)
    assert files(session / "processed") == {**NEW, **MINE}
    assert [path.name for path in (session / "processed").iterdir() if path.is_dir()] == [
        "unfinished"
    ]


def test_where_one_rename_fails_the_old_results_are_in_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Renames(lambda _: False, KilledError())
    monkeypatch.setattr(os, "replace", counted)
    replace_results(*session_with_new_results(tmp_path / "all go well"))
    assert counted.calls > len(OLD) + len(NEW)
    for number in range(1, counted.calls + 1):
        session, new = session_with_new_results(tmp_path / str(number))
        error = OSError(errno.EIO, "Input/output error")
        monkeypatch.setattr(os, "replace", Renames(number.__eq__, error))
        with pytest.raises(OSError, match=r"Input/output error$"):
            replace_results(session, new)
        assert files(session / "processed") == {**OLD, **MINE}, number
        assert not (session / "processed" / "earlier").exists()


def test_killed_at_any_rename_a_complete_set_is_there_and_the_next_batch_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for killed in range(1, 200):
        session, new = session_with_new_results(tmp_path / str(killed))
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", Renames(lambda n, at=killed: n >= at, KilledError()))
            patched.setattr(replacing, "put_back_earlier", lambda _: None)
            try:
                replace_results(session, new)
            except KilledError:
                pass
            else:
                break
        assert any(has_all(each, OLD) or has_all(each, NEW) for each in complete_sets(session))
        for again in range(1, 200):  # killed once more while the results are put back
            with monkeypatch.context() as patched:
                patched.setattr(os, "replace", Renames(lambda n, at=again: n == at, KilledError()))
                try:
                    put_back_earlier(session)
                except KilledError:
                    continue
                break
        assert files(session / "processed") == {**OLD, **MINE}, killed
        assert not list((session / "processed").glob("earlier*")), killed
    assert killed > len(OLD) + len(NEW)


def test_killed_after_the_last_rename_the_new_results_stay(tmp_path: Path) -> None:
    session, new = session_with_new_results(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replacing, "remove_tree", lambda _: None)
        replace_results(session, new)
    assert files(session / "processed" / "earlier") == OLD
    put_back_earlier(session)
    assert files(session / "processed") == {**NEW, **MINE}
    assert not (session / "processed" / "earlier").exists()


def test_results_that_cannot_be_put_back_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = session_with_new_results(tmp_path / "s")
    (session / "A.mrc").write_text("a stack")
    monkeypatch.setattr(batch, "_read", lambda *_: [])
    done: list[str] = []

    def process_all(*_: object, **__: object) -> SimpleNamespace:
        done.append((session / "processed" / "summary.json").read_text())
        return SimpleNamespace(verdict=None, counts=None)

    monkeypatch.setattr(batch, "process_all", process_all)
    task = SessionTask(session, ProcessSettings(), GivenFacts(), again=True)
    with monkeypatch.context() as patched:
        error = OSError(errno.EIO, "Input/output error", "A.json")
        patched.setattr(os, "replace", Renames(lambda n: n > 2, error))
        with pytest.raises(OSError, match="Input/output error") as failed:
            process_session(task)
    where = f"the earlier results are in {session}/processed/earlier"
    assert where in str(failed.value.strerror)
    with pytest.raises(InputFileError, match="the earlier results are in"):
        read_summary(session)
    assert process_session(task).state is State.DONE
    assert done == ["old", "old"]
