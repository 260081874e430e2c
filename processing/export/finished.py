"""Results of a finished session or of `dualtilt process`, as an export needs them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from processing.errors import InputFileError
from processing.export.about import About, completed
from processing.files.mrc import MrcStack, read_facts, read_stack
from processing.files.particles import ParticleTable, read_counted
from processing.files.volume_grid import Facts, VolumeGrid
from processing.pipeline.results_folder import PROCESSED, read_summary
from processing.results import Count, Summary

NOTHING_GIVEN = About()
NO_RESULTS = "give the folder of a finished session or of dualtilt process"
VolumeName = Literal["fused", "A"]


@dataclass(frozen=True)
class Finished:
    """The final volume of a session and its particles.

    Attributes
    ----------
    name
        ``fused``, or ``A`` where only one series was processed.
    volume
        MRC file of the volume.
    """

    name: str
    session: Path
    volume: Path
    grid: VolumeGrid
    summary: Summary
    about: About

    def read_volume(self) -> MrcStack:
        """Read the volume [z, y, x]; a large one is mapped and stays on the disk."""
        return read_stack(self.volume)

    def read_particles(self) -> ParticleTable:
        """Read the counted particles.

        Raises
        ------
        InputFileError
            The table is missing or damaged, or holds fewer particles than were counted.
        """
        path = self.session / PROCESSED / f"particles_{self.name}.csv"
        return read_counted(path, self.count.n)

    @property
    def count(self) -> Count:
        """Count of the particles in this volume."""
        counts = self.summary.counts
        return counts.A if self.name == "A" or counts.fused is None else counts.fused

    @property
    def facts(self) -> Facts:
        """Count, verdict and settings, as they stand beside the volume in other formats."""
        count, verdict = self.count, self.count.verdict
        fusion = self.summary.fusion if self.name == "fused" else None
        return {
            "software": f"dualtilt {version('dualtilt')}",
            "volume": self.name,
            "voxel_nm": self.grid.pixel_nm,
            "particles": count.n,
            "particles_low": count.n_low,
            "particles_high": count.n_high,
            "verdict": str(verdict.state) if verdict else "unknown",
            "verdict_reasons": "; ".join(verdict.reasons) if verdict else "",
            "diameter_nm": self.summary.diameter_nm.value,
            "fusion_rule": str(fusion.rule) if fusion else "none: one series",
        }


def read_finished(
    session: Path, about: About = NOTHING_GIVEN, name: VolumeName | None = None
) -> Finished:
    """Find the final volume of a session.

    Parameters
    ----------
    about
        Facts that no file of the session holds.
    name
        Volume to export: by default the fused one, or that of A if B was not recorded.

    Raises
    ------
    InputFileError
        The session has no complete result, no fused volume where one is wanted, or one that was
        cut off.
    """
    summary = read_summary(session, if_missing=NO_RESULTS)
    if name is None:
        name = "fused" if _has_series_b(session, summary) else "A"
    if name == "fused" and summary.counts.fused is None:
        raise InputFileError(
            f"{session}: no fused volume yet; wait for the end of the session, process both "
            "series with dualtilt process, or export A alone with --volume A"
        )
    volume = session / PROCESSED / ("fused.mrc" if name == "fused" else "A_sirt.mrc")
    facts = read_facts(volume)
    header = facts.header
    if facts.complete < header.sections:
        raise InputFileError(
            f"{volume}: cut off: it holds {facts.complete} of the {header.sections} sections in "
            "its header; restore it from a copy, or process the series again"
        )
    grid = VolumeGrid((header.sections, header.rows, header.columns), summary.pixel_nm)
    return Finished(name, session, volume, grid, summary, completed(about, session))


def _has_series_b(session: Path, summary: Summary) -> bool:
    return summary.counts.B is not None or (session / "B.mrc").exists()
