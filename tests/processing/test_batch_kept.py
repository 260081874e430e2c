"""Sessions that a batch keeps as they are, or leaves to another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from processing import Count, Counts, Diameter, SeriesSummary, Summary
from processing.batch.process_session import complete_summary
from processing.batch.results_lock import results_lock
from processing.errors import ResultsInUseError
from processing.pipeline.made_with import GivenFacts, made_with
from processing.pipeline.results_folder import SeriesRecord
from processing.pipeline.settings import ProcessSettings
from processing.results import SeriesName

ANGLES = np.arange(-70.0, 75.0, 14.0)
NAMES: tuple[SeriesName, ...] = ("A", "B")
SETTINGS = ProcessSettings(diameter_nm=6.3)


@dataclass(frozen=True)
class Change:
    """A change after which a session is no longer complete, or still is."""

    id: str
    kept: bool
    settings: ProcessSettings = SETTINGS
    pixel_nm: float | None = None
    remove: str = ""
    touch: str = ""


CHANGES = [
    Change("nothing", kept=True),
    Change("another diameter", kept=False, settings=ProcessSettings(diameter_nm=6.5)),
    Change("another pixel size", kept=False, pixel_nm=1.0),
    Change("no summary", kept=False, remove="processed/summary.json"),
    Change("no record of B", kept=False, remove="processed/B.json"),
    Change("a particle list removed", kept=False, remove="processed/particles_fused.csv"),
    Change("a stack was copied again", kept=False, touch="B.mrc"),
    Change("angles were corrected", kept=False, touch="A.rawtlt"),
    Change("an mdoc was added", kept=False, touch="A.mrc.mdoc"),
    Change("B was removed", kept=False, remove="B.mrc"),
]


def complete_session(session: Path) -> Path:
    """Write input files, records and a summary as if a pair had been processed."""
    processed = session / "processed"
    processed.mkdir(parents=True)
    for name in ("A.mrc", "A.rawtlt", "B.mrc", "B.rawtlt", "processed/particles_fused.csv"):
        (session / name).touch()
    count = Count(n=13, n_low=13, n_high=13)
    diameter = Diameter(value=6.3, source="given")
    series = SeriesSummary(tilts=11, excluded=[], align_rms_px=0.1, tilt_axis_deg=0.0)
    for name in NAMES:
        record = SeriesRecord(
            pixel_nm=0.9,
            angles_deg=ANGLES.tolist(),
            count=count,
            diameter=diameter,
            summary=series,
            warnings=(),
            made_with=made_with(session, name, SETTINGS),
        )
        (processed / f"{name}.json").write_text(record.model_dump_json())
    summary = Summary(
        counts=Counts(A=count, B=count, fused=count),
        diameter_nm=diameter,
        series={"A": series, "B": series},
        pixel_nm=0.9,
        files={"particles_fused_csv": "processed/particles_fused.csv"},
    )
    (processed / "summary.json").write_text(summary.model_dump_json())
    return session


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.id)
def test_only_an_unchanged_session_is_kept(change: Change, tmp_path: Path) -> None:
    session = complete_session(tmp_path / "session")
    if change.remove:
        (session / change.remove).unlink()
    if change.touch:
        (session / change.touch).write_text("changed")
    inputs = {
        name: made_with(session, name, change.settings, GivenFacts(pixel_nm=change.pixel_nm))
        for name in NAMES
        if (session / f"{name}.mrc").exists()
    }
    assert (complete_summary(session, inputs) is not None) == change.kept


def test_two_writers_of_one_session_exclude_each_other(tmp_path: Path) -> None:
    with results_lock(tmp_path), pytest.raises(ResultsInUseError), results_lock(tmp_path):
        pass
    with results_lock(tmp_path):
        pass


def test_a_session_that_records_is_left_alone(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    tmp_path.chmod(0o755)
    with (
        FolderLock(folder),
        pytest.raises(ResultsInUseError, match="a running session"),
        results_lock(tmp_path),
    ):
        pass
