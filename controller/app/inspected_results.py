"""Results in a folder, as `dualtilt inspect` shows them; nothing in the folder is changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.recorded_series import recorded_series, sections_by_tilt
from controller.model.frames import tilt_name

if TYPE_CHECKING:
    from processing.results import Count, SeriesName, SeriesSummary, Summary

MISFIT_PX = 1.0
"""Residual above which a tilt is named as one to leave out (px), as during a session."""
WORST = 5
"""Number of tilts that are shown for their residuals."""
AGAIN = "processed-"
"""Beginning of the name of results that were made again, in the session's folder."""


@dataclass(frozen=True)
class SeriesOutcome:
    """Alignment and count of one series; `count` is None if it was not counted."""

    summary: SeriesSummary
    count: Count | None

    @property
    def images(self) -> int:
        """Number of images in the stack, used or not."""
        return len(self.summary.images) or self.summary.tilts + len(self.summary.excluded)

    @property
    def used_sections(self) -> list[int]:
        """Sections of the images in use."""
        excluded = set(self.summary.excluded)
        return [section for section in range(self.images) if section not in excluded]

    @property
    def worst_sections(self) -> list[int]:
        """Sections in use with the largest residuals; none if these are not stored."""
        images = self.summary.images
        if not images:
            return []
        worst = sorted(self.used_sections, key=lambda at: images[at].residual_px, reverse=True)
        return worst[:WORST]

    @property
    def misfits(self) -> list[int]:
        """Sections in use that fit badly, the worst first."""
        images = self.summary.images
        return [at for at in self.worst_sections if images[at].residual_px > MISFIT_PX]


@dataclass(frozen=True)
class Results:
    """Results of a folder; `summary` is None until all of its series are processed."""

    summary: Summary | None
    series: Mapping[SeriesName, SeriesOutcome]


def read_results(folder: Path) -> Results | None:
    """Read the results that exist; None without any.

    Raises
    ------
    InputFileError
        A file is damaged.
    OSError
        A file is a link or cannot be read.
    """
    from processing.pipeline.results_folder import PROCESSED, SUMMARY, read_record, read_summary

    names: tuple[SeriesName, ...] = ("A", "B")
    if os.path.lexists(folder / PROCESSED / SUMMARY):
        summary = read_summary(folder)
        outcomes = {
            name: SeriesOutcome(one, summary.counts.A if name == "A" else summary.counts.B)
            for name, one in summary.series.items()
        }
        return Results(summary, outcomes)
    records = {
        name: read_record(folder, name)
        for name in names
        if os.path.lexists(folder / PROCESSED / f"{name}.json")
    }
    series = {name: SeriesOutcome(one.summary, one.count) for name, one in records.items()}
    return Results(None, series) if series else None


def tilt_names(folder: Path, name: SeriesName, images: int) -> list[str]:
    """Return the name of each section's tilt, as ``A#12``; the stack has `images` sections."""
    session = session_of(folder)
    numbers = {
        section: number
        for number, sections in sections_by_tilt(name, images, session).items()
        for section in sections
    }
    return [tilt_name(name, numbers.get(at, at + 1)) for at in range(images)]


def session_of(folder: Path) -> Path | None:
    """Return the session of a folder: itself, or the one in which results were made again."""
    again = folder.absolute().name.startswith(AGAIN)
    for place in (folder, folder.absolute().parent) if again else (folder,):
        if recorded_series(place):
            return place
    return None
