"""Process the series of one folder, unless that was done before with the same settings."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from processing.batch.find_series import find_series
from processing.batch.replace_results import put_back_earlier, replace_results
from processing.batch.results_lock import results_lock
from processing.device import device
from processing.errors import (
    InputFileError,
    ProcessingError,
    RegistrationRefusedError,
    ResultsInUseError,
)
from processing.files.atomic import make_folder, remove_tree
from processing.files.examine import ReadingOptions, examine_series, tilt_series_of
from processing.files.held_folder import open_to_read
from processing.files.recorded_images import require_recorded_images
from processing.files.text import read_small
from processing.pipeline.check_diameter import require_possible_diameter
from processing.pipeline.check_series import require_tilt_series
from processing.pipeline.made_with import GivenFacts, MadeWith, made_with
from processing.pipeline.process_all import process_all
from processing.pipeline.results_folder import PROCESSED, SUMMARY, read_record
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent
from processing.results import Counts, SeriesName, Summary, Trust
from processing.series import TiltSeries

UNFINISHED = "unfinished"
"""Folder in `processed` for results that are not complete yet."""


class State(StrEnum):
    """Outcome of one session of a batch."""

    DONE = "done"
    """Processed now."""
    KEPT = "kept"
    """Processed before from the same files with the same settings; left as it is."""
    REFUSED = "refused"
    """B is not the flipped A."""
    IN_USE = "in use"
    """Another batch processes it, or it still records."""
    FAILED = "failed"


@dataclass(frozen=True)
class SessionTask:
    """One session to be processed."""

    session: Path
    settings: ProcessSettings
    given: GivenFacts
    again: bool
    """True to process a session that is complete."""


@dataclass(frozen=True)
class SessionOutcome:
    """Outcome of one session; counts only if it has results."""

    session: Path
    state: State
    counts: Counts | None = None
    verdict: Trust | None = None
    seconds: float = 0.0
    reason: str = ""


def process_session(task: SessionTask, progress: Progress = silent) -> SessionOutcome:
    """Process one session; results appear in its `processed` folder when all are complete.

    Raises
    ------
    OSError, MemoryError
        Perhaps another attempt succeeds.
    """
    started_s = time.monotonic()
    summary: Summary | None = None
    try:
        paths = find_series(task.session)
        with results_lock(task.session):
            state, summary = _results(task, paths, progress)
    except ResultsInUseError as error:
        return SessionOutcome(task.session, State.IN_USE, reason=str(error))
    except RegistrationRefusedError as error:
        state, reason = State.REFUSED, str(error)
    except ProcessingError as error:
        state, reason = State.FAILED, str(error)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        state, reason = State.FAILED, f"{error.filename}: {error.strerror}"
    else:
        reason = "; ".join(summary.verdict.reasons) if summary.verdict else ""
    return SessionOutcome(
        task.session,
        state,
        summary.counts if summary else None,
        summary.verdict.state if summary and summary.verdict else None,
        time.monotonic() - started_s,
        " ".join(reason.split()),
    )


def _results(
    task: SessionTask, paths: Mapping[SeriesName, Path], progress: Progress
) -> tuple[State, Summary]:
    inputs = {name: made_with(task.session, name, task.settings, task.given) for name in paths}
    unfinished = task.session / PROCESSED / UNFINISHED
    put_back_earlier(task.session)
    _remove(unfinished)  # of an attempt that was killed
    if not task.again and (summary := complete_summary(task.session, inputs)) is not None:
        return State.KEPT, summary
    device(task.settings.device)
    for folder in (unfinished, unfinished / PROCESSED):
        make_folder(folder)  # refuses a link before hours of work
    series = _read(paths, task)
    try:
        summary = process_all(series, unfinished, task.settings, inputs=inputs, progress=progress)
        replace_results(task.session, unfinished)
    finally:
        _remove(unfinished)
    return State.DONE, summary


def _remove(unfinished: Path) -> None:
    """Remove what an attempt left; what cannot be removed is overwritten or refused later."""
    with suppress(OSError):
        remove_tree(unfinished)


def complete_summary(session: Path, inputs: Mapping[SeriesName, MadeWith]) -> Summary | None:
    """Return the summary of a session whose results are complete and made with these inputs."""
    try:
        with open_to_read(session / PROCESSED / SUMMARY) as file:
            summary = Summary.model_validate_json(read_small(file))
        records = {name: read_record(session, name).made_with for name in inputs}
    except (FileNotFoundError, UnicodeDecodeError, ValidationError, InputFileError):
        return None
    combined = len(inputs) == 1 or summary.counts.fused is not None
    same = records == dict(inputs) and set(summary.series) == set(inputs)
    present = all((session / path).exists() for path in summary.files.values())
    return summary if combined and same and present else None


def _read(paths: Mapping[SeriesName, Path], task: SessionTask) -> list[TiltSeries]:
    """Read and check all series before any of them is processed."""
    given = task.given
    options = ReadingOptions(None, given.tilt_axis_deg, given.tilt_sense, given.pixel_nm)
    series = [tilt_series_of(examine_series(path, options), name) for name, path in paths.items()]
    for one, path in zip(series, paths.values(), strict=True):
        require_recorded_images(path, one.excluded)
        require_tilt_series(one)
        require_possible_diameter(one, task.settings.known_diameter_nm)
    return series
