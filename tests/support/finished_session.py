"""A finished session of a few voxels, for what is made from results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing import ParticleTable, Summary, write_csv, write_volume
from processing.files.atomic import replace_text
from processing.results import Count, Counts, Diameter, Fusion, FusionRule, Trust, Verdict

PIXEL_NM = 1.2
SHAPE = (9, 10, 12)
"""Voxels along z, y and x: all different, odd and even."""
VOXELS = ((3, 7, 2), (8, 1, 6))
"""Voxels (x, y, z) of the counted particles."""
TRUSTED = Verdict(state=Trust.TRUSTED)


def make_finished(session: Path, *, verdict: Verdict = TRUSTED) -> Path:
    """Write volume, particles and summary of a session; return its folder."""
    processed = session / "processed"
    processed.mkdir(parents=True)
    write_volume(processed / "fused.mrc", volume(), PIXEL_NM)
    centres_nm = PIXEL_NM * (np.array(VOXELS) - (np.array(SHAPE[::-1]) - 1) / 2)
    found = len(VOXELS)
    table = ParticleTable(centres_nm, np.full(found, 6.3), np.full(found, 0.95))
    write_csv(processed / "particles_fused.csv", table)
    replace_text(processed / "summary.json", summary(verdict).model_dump_json())
    return session


def volume() -> np.ndarray:
    """Return a volume whose voxels have different values, the particles' ones the largest."""
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    for number, (x, y, z) in enumerate(VOXELS):
        values[z, y, x] = 5000 + number
    return values


def summary(verdict: Verdict) -> Summary:
    """Return the summary of two counted particles."""
    count = Count(n=len(VOXELS), n_low=1, n_high=3, verdict=verdict)
    return Summary(
        counts=Counts(A=count, B=count, fused=count),
        verdict=verdict,
        diameter_nm=Diameter(value=6.3, source="given"),
        series={},
        fusion=Fusion(rule=FusionRule.MASKED, wavelet="haar", level=2),
        pixel_nm=PIXEL_NM,
    )
