"""Replace the results of a session by new ones, and keep a complete set whatever happens.

The old files are set aside before the first new one is moved in, and removed after the last one:

1. The old files go to `processed/earlier.moving`, the summary first. All new ones are complete.
2. `processed/earlier.moving` is renamed to `processed/earlier`: all old ones are complete there.
3. The new files are moved in, the summary last. Now they are complete.
4. `processed/earlier` is removed.

Whichever folder exists tells how far a process came that was killed.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from processing.files.atomic import make_folder, move_file, remove_file, remove_tree, sync_folder
from processing.files.held_folder import open_to_read, reached
from processing.pipeline.results_folder import (
    EARLIER,
    MOVING,
    PROCESSED,
    SUMMARY,
    earlier_results,
    result_names,
)


def replace_results(session: Path, complete: Path) -> None:
    """Replace the results of a session by those of another folder, which is on the same disk.

    Whatever happens, a folder with a summary is complete. Files of other names stay, and no link
    is followed below a folder that is held.

    Raises
    ------
    OSError
        A file cannot be moved. The old results are back in their place; if that failed, too, the
        message names the folder of those that are not.
    """
    results = session / PROCESSED
    try:
        _set_aside(results)
        _move_files(complete / PROCESSED, results)
    except BaseException:
        put_back_earlier(session)
        raise
    with suppress(OSError):  # the new results are complete; the next batch removes the old ones
        remove_tree(results / EARLIER)


def put_back_earlier(session: Path) -> None:
    """Put old results back that a failed or killed replacement left aside; there may be none.

    If the new results were complete already, the old ones are removed.

    Raises
    ------
    OSError
        A file cannot be moved; the message names the folder where it is.
    """
    results = session / PROCESSED
    try:
        if _is_folder(results / EARLIER):
            if _has_summary(results):
                remove_tree(results / EARLIER)
                return
            for name in result_names():
                remove_file(results / name)
            move_file(results / EARLIER, results / MOVING)
        if _is_folder(results / MOVING):
            _move_files(results / MOVING, results)
            remove_tree(results / MOVING)
    except OSError as error:
        if error.errno != errno.ELOOP:
            error.strerror = f"{error.strerror}{earlier_results(results)}"
        raise


def _set_aside(results: Path) -> None:
    make_folder(results / MOVING)
    for name in result_names():
        with suppress(FileNotFoundError):
            move_file(results / name, results / MOVING / name)
    sync_folder(results / MOVING)
    move_file(results / MOVING, results / EARLIER)
    sync_folder(results)


def _move_files(source: Path, target: Path) -> None:
    """Move all files of the results that exist, the summary last."""
    for name in reversed(result_names()):
        with suppress(FileNotFoundError):
            move_file(source / name, target / name)
    sync_folder(target)


def _is_folder(path: Path) -> bool:
    """Tell whether a folder exists; below a folder that is held, a link is refused (ELOOP)."""
    try:
        with reached(path / SUMMARY):
            return path.is_dir()
    except FileNotFoundError:
        return False


def _has_summary(results: Path) -> bool:
    try:
        open_to_read(results / SUMMARY).close()
    except FileNotFoundError:
        return False
    return True
