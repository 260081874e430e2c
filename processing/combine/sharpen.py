"""The fused particles' centres, refined in the images of both series at once.

A fused volume is a compromise between two blurred ones. The images are not: each particle is
rendered into every tilt of A and of B and moved to where both show it (bundle adjustment, see
`processing.align.particles`); the two series' answers are averaged in A's frame.
"""

from __future__ import annotations

from processing.align.alignment import unaligned
from processing.align.particles import refine_against_particles
from processing.combine.pose import Pose, fit_pose
from processing.progress import Progress, silent, within
from processing.series import Float64, TiltSeries

ROUNDS = 2
"""Most of the gain; neighbours that overlap in projection make many rounds unstable."""
FEWEST_PARTICLES = 20
"""Fewer do not hold the poses of the images."""


def sharpen_centres(
    aligned_a: TiltSeries,
    aligned_b: TiltSeries,
    centres_nm: Float64,
    pose: Pose,
    diameter_nm: float,
    *,
    progress: Progress = silent,
) -> Float64:
    """Centres [n, 3] (x, y, z) in A's frame, refined.

    Parameters
    ----------
    aligned_a, aligned_b
        Aligned, without background, saturation undone.
    centres_nm
        [n, 3], as the fused volume gives them.
    pose
        B onto A.
    """
    if len(centres_nm) < FEWEST_PARTICLES:
        return centres_nm
    by_a = refine_against_particles(
        aligned_a,
        unaligned(aligned_a),
        centres_nm,
        diameter_nm,
        rounds=ROUNDS,
        progress=within(progress, 0.0, 0.5),
    ).centres_nm
    by_b = refine_against_particles(
        aligned_b,
        unaligned(aligned_b),
        pose.inverse().apply(centres_nm),
        diameter_nm,
        rounds=ROUNDS,
        progress=within(progress, 0.5, 1.0),
    ).centres_nm
    return (by_a + fit_pose(by_a, by_b, with_scale=True).apply(by_b)) / 2
