"""Places of both series together that neither series alone is sure of.

One series is sure of the side where its beam enters, and the other series of the opposite side. In
the middle of an assembly that is very thick, or tilted in coarse steps, both may be wrong. Spheres
in wrong places then explain the images of both series together as well as right ones do, without a
residual that would tell them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from processing.count.interval import widen_by_wrong_places
from processing.count.wrong_places import NEIGHBOURS
from processing.files.particles import ParticleTable
from processing.pipeline.detect import Detection
from processing.pipeline.verdict import MOST_MISPLACED
from processing.results import Cause, Trust, Verdict
from processing.series import Float64

SURE_QUANTILE = 0.95
"""Quantile of the confidences that stands for the surest particles of a series. A doubt that lowers
all of them, such as one of several sizes, says nothing about places."""


def with_uncertain_places(both: Detection, alone: Sequence[ParticleTable]) -> Detection:
    """Return the particles of both series with the doubts that each series has at their places.

    Parameters
    ----------
    alone
        Particles of A and of B, in the frame of A.
    """
    verdict = both.count.verdict
    if verdict is None or verdict.state is Trust.REFUSED or not len(both.table):
        return both
    wrong = wrong_in_all(both.table.centres_nm, alone)
    share = float(wrong.mean())
    count = widen_by_wrong_places(both.count, wrong)
    if share > MOST_MISPLACED:
        line = f"neither series alone is sure of the places of {share:.1%} of the particles"
        verdict = Verdict(
            state=Trust.DOUBTFUL,
            reasons=(*verdict.reasons, line),
            causes=(*verdict.causes, Cause.UNDERSAMPLED),
        )
        count = count.model_copy(update={"verdict": verdict})
    table = replace(both.table, confidence=both.table.confidence * (1 - wrong))
    return replace(both, table=table, count=count)


def wrong_in_all(places_nm: Float64, tables: Sequence[ParticleTable]) -> Float64:
    """Return the chance [n] that all series are wrong around places [n, 3], each for itself."""
    chance = np.ones(len(places_nm))
    for table in tables:
        if len(table):
            sure = max(float(np.quantile(table.confidence, SURE_QUANTILE)), 1e-3)
            doubt = 1 - np.minimum(table.confidence / sure, 1.0)
            around = range(1, min(NEIGHBOURS, len(table)) + 1)
            near = cKDTree(table.centres_nm).query(places_nm, k=list(around))[1]
            chance *= doubt[near].mean(axis=1)
    return chance
