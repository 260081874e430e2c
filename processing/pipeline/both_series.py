"""Particles of both series: their search in the fused volume, and the fit to the images of both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.spatial.transform import Rotation

from processing.combine.pose import Pose
from processing.combine.pose_fit import PAIRED_WITHIN
from processing.combine.register import relative_size
from processing.count.interval import missed_by_both, widen_by_fused, widen_by_missed
from processing.device import device
from processing.files.particles import ParticleTable
from processing.pipeline.detect import Detection, detect_by_fit
from processing.pipeline.detect_bodies import detect_bodies
from processing.pipeline.pair_volumes import (
    PairVolumes,
    count_control,
    finished_controls,
    moved_to_known,
)
from processing.pipeline.propose_shape import with_proposed_shape
from processing.pipeline.search_start import SearchStart
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.uncertain_in_both import with_uncertain_places
from processing.pipeline.verdict import LARGEST_SIZE_CHANGE
from processing.progress import Progress, within
from processing.results import Cause, Count, FusionRule
from processing.series import Float32, Float64, TiltSeries
from processing.shapes.bodies import NO_BODIES, Bodies, without_overlaps
from processing.shapes.body import Body

SURE = 0.9
"""Smallest confidence of a body that the fit to both series begins with."""
CONTROL_SHARE = 0.12
"""Part of the progress of the fit that one control rule takes."""


@dataclass(frozen=True, eq=False)
class BothSeries:
    """Results of both series, and the pose of B in the frame of A.

    Attributes
    ----------
    table_b
        Particles of B alone, in the frame of A.
    diameter_nm
        Common diameter.
    b_is_fitted
        False if the particles of B were selected by their weight in its volume alone.
    """

    a: SeriesResult
    b: SeriesResult
    pose: Pose
    table_b: ParticleTable
    diameter_nm: float
    b_is_fitted: bool

    @property
    def images(self) -> list[tuple[TiltSeries, Pose | None]]:
        """Aligned images of A and of B, each with its pose in the frame of A; None for A."""
        return [(self.a.aligned, None), (self.b.aligned, self.pose)]

    @property
    def same_nm(self) -> float:
        """Largest distance of two places of one particle."""
        return PAIRED_WITHIN * self.diameter_nm

    @property
    def known_nm(self) -> list[Float64]:
        """Centres of the particles of A and of B, [n, 3] each."""
        return [self.a.detection.table.centres_nm, self.table_b.centres_nm]

    @property
    def fitted_nm(self) -> list[Float64]:
        """Centres of those of these particles that were fitted."""
        return self.known_nm if self.b_is_fitted else self.known_nm[:1]

    def input_doubts(self) -> list[str]:
        """Return the doubts about the input of each series, which its own verdict holds."""
        verdicts = [result.detection.count.verdict for result in (self.a, self.b)]
        lines = [line for verdict in verdicts if verdict for line in verdict.lines(Cause.INPUT)]
        return list(dict.fromkeys([*lines, *self.size_doubts()]))

    def size_doubts(self) -> list[str]:
        """Return a line if the object has another size in B: by more than beams shrink it."""
        points_a, points_b = (one.detection.table.centres_nm for one in (self.a, self.b))
        change = 1 / relative_size(points_a, points_b, self.pose, self.diameter_nm) - 1
        if abs(change) <= LARGEST_SIZE_CHANGE:
            return []
        word = "larger" if change > 0 else "smaller"
        return [
            f"the object is {abs(change):.0%} {word} in B than in A: check that both series have "
            "the same pixel size"
        ]

    def count_alone(self, count: Count, table: ParticleTable, both: Detection) -> Count:
        """Return the count of one series, its interval widened by what both series show."""
        return widen_by_fused(count, table.centres_nm, both.table.centres_nm, self.same_nm)

    def with_missed(self, both: Detection) -> Detection:
        """Return the detection, its interval widened by the particles that both series miss."""
        missed = missed_by_both(
            self.known_nm[0], self.known_nm[1], both.table.centres_nm, self.same_nm
        )
        return replace(both, count=widen_by_missed(both.count, missed))

    def with_uncertain(self, both: Detection) -> Detection:
        """Return the detection with the doubts that both series have at its places."""
        if not self.b_is_fitted:
            return both  # weights in a volume say nothing about places
        return with_uncertain_places(both, (self.a.detection.table, self.table_b))

    def angle_reasons(self) -> tuple[str, ...]:
        """Return the signs that the tilt angles of either series are wrong."""
        return (*self.a.aligned.angle_reasons, *self.b.aligned.angle_reasons)


def find_bodies(
    seen: BothSeries, volume: Float32, body: Body, settings: ProcessSettings, progress: Progress
) -> Detection:
    """Find bodies of a given shape in the fused volume [z, y, x] and the images of both series.

    Raises
    ------
    TooManyCandidatesError
        There are more bodies than the images can decide on.
    """
    return detect_bodies(
        volume,
        seen.images,
        body,
        known=_on_entrance_sides(seen, body),
        doubts=seen.input_doubts(),
        device=device(settings.device),
        progress=progress,
    )


def _on_entrance_sides(seen: BothSeries, body: Body) -> Bodies:
    """Return the bodies that A and B show on the side where their beam enters, without doubts.

    There the images of one series are sharp, and its fit has turned each body rightly.
    """
    found = NO_BODIES
    # the beam of A enters at large z, that of B at small z in the frame of A
    for table, side in ((seen.a.detection.table, 1.0), (seen.table_b, -1.0)):
        if table.turned:
            height = side * table.centres_nm[:, 2]
            sure = table.select((table.confidence > SURE) & (height > np.median(height)))
            turns = Rotation.from_quat(sure.quaternion)
            found = found.followed_by(Bodies(sure.centres_nm, turns, sure.confidence))
    return without_overlaps(body, found)


def find_spheres(
    seen: BothSeries,
    pair: PairVolumes,
    volume: Float32,
    search: SearchStart | None,
    rounds: int,
    progress: Progress,
) -> tuple[Detection, dict[FusionRule, Detection]]:
    """Find spheres in the fused volume [z, y, x] and the images of both series; count the controls.

    Parameters
    ----------
    search
        Start of the search from an earlier result in the same frame; None to start from nothing.
    rounds
        Largest number of rounds of the fit.

    Raises
    ------
    TooManyCandidatesError
        There are far more candidates than the field can hold.
    """
    settings = pair.settings
    candidates = pair.candidates(volume, within(progress, 0.0, 0.1), search)
    placed = candidates  # a start has moved them already
    if search is None:
        placed = moved_to_known(candidates, seen.fitted_nm, seen.same_nm)
    fit_share = 1.0 - CONTROL_SHARE * len(settings.control_rules)
    # the fit leaves a core idle now and then, and needs no volume: the controls go on beside
    with ThreadPoolExecutor(1) as beside:
        control_of = partial(count_control, pair, candidates)
        awaited = {rule: beside.submit(control_of, rule) for rule in settings.control_rules}
        detection = detect_by_fit(
            placed,
            seen.images,
            pair.diameter_nm,
            rounds=rounds,
            own_diameters=settings.own_diameters,
            position_errors=settings.analysis,
            second_size=settings.second_size,
            propose=settings.thorough,
            doubts=seen.input_doubts(),
            device=device(settings.device),
            progress=within(progress, 0.1, fit_share),
        )
        controls = finished_controls(awaited, within(progress, fit_share, 1.0))
    proposed = with_proposed_shape(detection, volume, pair.pixel_nm, pair.diameter_nm, alone=False)
    return proposed, controls
