"""Volumes of A and B in one frame: their fusion, its candidates, and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np

from processing.combine.fuse import fuse
from processing.combine.pose import mutual_pairs
from processing.device import device
from processing.pipeline.candidates import Candidates, find_candidates
from processing.pipeline.detect import Detection, detect_by_weight
from processing.pipeline.search_start import SearchStart
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent
from processing.results import FusionRule
from processing.scratch import Allocate
from processing.series import Float32, Float64


@dataclass(frozen=True, eq=False)
class PairVolumes:
    """Volumes of A and B in the frame of A, and the settings to fuse and to search them."""

    a: Float32
    b: Float32
    diameter_nm: float
    pixel_nm: float
    settings: ProcessSettings
    allocate: Allocate

    def fused(self, rule: FusionRule, progress: Progress) -> Float32:
        """Fuse both volumes."""
        return fuse(
            self.a,
            self.b,
            rule,
            level=self.settings.level,
            allocate=self.allocate,
            progress=progress,
        )

    def candidates(
        self, volume: Float32, progress: Progress, start: SearchStart | None = None
    ) -> Candidates:
        """Find the candidates of a fused volume."""
        return find_candidates(
            volume,
            self.diameter_nm,
            self.pixel_nm,
            iterations=self.settings.ssr_iterations,
            start=start,
            device=device(self.settings.device),
            allocate=self.allocate,
            progress=progress,
        )


def count_control(pair: PairVolumes, candidates: Candidates, rule: FusionRule) -> Detection:
    """Count the particles of a control rule; `candidates` belong to the rule in use."""
    if rule != pair.settings.fusion_rule:
        candidates = pair.candidates(pair.fused(rule, silent), silent)
    return detect_by_weight(candidates, pair.diameter_nm)


def finished_controls(
    awaited: dict[FusionRule, Future[Detection]], progress: Progress
) -> dict[FusionRule, Detection]:
    """Wait for the controls, which run one after the other."""
    found: dict[FusionRule, Detection] = {}
    for rule, future in awaited.items():
        found[rule] = future.result()
        progress("control volumes", len(found) / len(awaited))
    return found


def moved_to_known(
    candidates: Candidates, known_nm: Sequence[Float64], within_nm: float
) -> Candidates:
    """Move candidates to where the fits of the single series found them, to start there.

    A candidate that several series found starts at the mean of these positions, one that none
    found stays where it is.

    Parameters
    ----------
    known_nm
        For each series the centres [n, 3] (x, y, z) of its particles, in A's frame.
    within_nm
        Largest distance between two centres of the same particle.
    """
    clusters = candidates.clusters
    own_nm = clusters.centres_px * candidates.pixel_nm
    total, times = np.zeros_like(own_nm), np.zeros((len(own_nm), 1))
    for centres_nm in known_nm:
        here, there = mutual_pairs(own_nm, centres_nm, within_nm)
        total[here] += centres_nm[there]
        times[here] += 1
    moved_nm = np.where(times > 0, total / np.maximum(times, 1), own_nm)
    moved = replace(clusters, centres_px=moved_nm / candidates.pixel_nm)
    return replace(candidates, clusters=moved)
