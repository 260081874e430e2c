"""A finished session of a few voxels, for what is made from results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing import Summary, write_volume
from processing.files.atomic import replace_text
from processing.results import Count, Counts, Diameter, Fusion, FusionRule, Trust, Verdict

PIXEL_NM = 1.2
SHAPE = (9, 10, 12)
"""Voxels along z, y and x: all different, odd and even."""
VOXELS = ((3, 7, 2), (8, 1, 6))
"""Voxels (x, y, z) of the counted particles."""
BESIDE = (10, 4, 4)
"""Voxel of a particle of a neighbouring object: it is listed, but not counted."""
TRUSTED = Verdict(state=Trust.TRUSTED)


def make_finished(session: Path, *, verdict: Verdict = TRUSTED) -> Path:
    """Write volume, particles and summary of a session; return its folder."""
    processed = session / "processed"
    processed.mkdir(parents=True)
    write_volume(processed / "fused.mrc", volume(), PIXEL_NM)
    rows = [row(number, voxel, "false") for number, voxel in enumerate(VOXELS, start=1)]
    rows.append(row(len(rows) + 1, BESIDE, "true"))
    heading = "id,x_nm,y_nm,z_nm,diameter_nm,confidence,beside"
    replace_text(processed / "particles_fused.csv", "\n".join([heading, *rows]) + "\n")
    replace_text(processed / "summary.json", summary(verdict).model_dump_json())
    return session


def volume() -> np.ndarray:
    """Return a volume whose voxels have different values, the particles' ones the largest."""
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    for number, (x, y, z) in enumerate(VOXELS):
        values[z, y, x] = 5000 + number
    return values


def row(number: int, voxel: tuple[int, int, int], beside: str) -> str:
    """Return the line of a particle at the centre of a voxel."""
    centre = (np.array(SHAPE[::-1]) - 1) / 2
    places = [f"{at:.4f}" for at in PIXEL_NM * (np.array(voxel) - centre)]
    return ",".join([str(number), *places, "6.3000", "0.9500", beside])


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
