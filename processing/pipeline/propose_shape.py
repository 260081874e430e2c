"""Proposal of another shape where the spheres that were found explain the images badly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from processing.count.bridges import find_bridges
from processing.pipeline.detect import Detection
from processing.results import Cause, Trust, Verdict
from processing.series import Float32

UNFIT = {Cause.NOT_SPHERES, Cause.MERGED}
"""Causes of doubt for which another shape is looked for."""
MANY_BRIDGED = 0.25
"""Share of the spheres without a gap to a neighbour above which they are parts of particles."""
LONGEST = 12.0
"""Length of a chain beyond which it is no particle, in diameters."""


def with_proposed_shape(
    detection: Detection, volume: Float32, pixel_nm: float, diameter_nm: float, *, alone: bool
) -> Detection:
    """Return a detection of spheres whose verdict names the shape that may fit better.

    A trusted verdict stays as it is, and so do state and interval of any other.

    Parameters
    ----------
    alone
        True for one series: its exit side is blurred, and is not looked at.
    """
    table, verdict = detection.table, detection.count.verdict
    if verdict is None or verdict.state is Trust.TRUSTED or not UNFIT & set(verdict.causes):
        return detection
    height = table.centres_nm[:, 2]
    sharp = height >= np.median(height) if alone and len(table) else np.ones(len(table), bool)
    found = find_bridges(volume, table.centres_nm, diameter_nm, pixel_nm, sharp)
    if found.particle_share < MANY_BRIDGED or found.chain_nm > LONGEST * diameter_nm:
        return detection
    line = (
        f"{found.particle_share:.0%} of the spheres have no gap to a neighbour: they may be parts "
        f"of rods; try --shape rod:{diameter_nm:.2g}x{found.chain_nm:.2g} with the true sizes"
    )
    proposed = Verdict(
        state=verdict.state,
        reasons=(*verdict.reasons, line),
        causes=(*verdict.causes, Cause.NOT_SPHERES),
    )
    return replace(detection, count=detection.count.model_copy(update={"verdict": proposed}))
