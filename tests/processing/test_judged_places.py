"""The places that the table has are judged, not those of the fit before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from processing import ParticleTable, ProcessSettings, process_series
from processing.count.kinds import FittedKind
from processing.fit.spheres import SphereFit
from processing.pipeline.own_positions import with_own_positions
from processing.progress import Progress
from tests.support.spheres import jittered, packed, tilt_series

DIAMETER, SIZE = 6.5, 64
ANGLES = np.arange(-72.0, 75.0, 8.0)
ASIDE = DIAMETER * np.array([0.3, 0.2, 0.0])
"""Displacement by which a place is wrong."""


def test_a_particle_that_its_last_position_puts_beside_its_site_is_doubtful(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def last_positions(
        table: ParticleTable,
        fit: SphereFit,
        kinds: Sequence[FittedKind],
        *,
        errors: bool,
        progress: Progress,
    ) -> ParticleTable:
        found = with_own_positions(table, fit, kinds, errors=errors, progress=progress)
        moved = np.arange(len(found)) == exit_side(found)
        return replace(found, centres_nm=found.centres_nm + moved[:, None] * ASIDE)

    monkeypatch.setattr("processing.pipeline.detect.with_own_positions", last_positions)
    crystal = packed(22, 8.0, order="fcc", seed=9)
    taken = jittered(len(ANGLES), jitter_px=1.0, angle_error_deg=0.1, counts=500, seed=1)
    series = tilt_series(crystal, ANGLES, DIAMETER, SIZE, taken)
    table = process_series(
        series, ProcessSettings(diameter_nm=DIAMETER, analysis=False)
    ).detection.table
    assert table.confidence.argmin() == exit_side(table)
    first, second = np.sort(table.confidence)[:2]
    assert first < 0.9 < second


def exit_side(table: ParticleTable) -> int:
    """Return the number of the particle that is farthest on the exit side."""
    return int(table.centres_nm[:, 2].argmin())
