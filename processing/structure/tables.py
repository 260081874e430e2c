"""Files of the structure: a table by particle as CSV and XYZ, and g(r) and S(q) as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing.files.atomic import replace_text
from processing.series import Float64
from processing.structure.analyse import ParticleStructure, StructureAnalysis
from processing.structure.classify import CODES
from processing.structure.grains import Ints

INTEGERS = ("grain", "layer", "coordination")
DECIMALS = {
    "depth_nm": 2,
    "neighbour_distance_nm": 3,
    "q4": 4,
    "q6": 4,
    "mean_q4": 4,
    "mean_q6": 4,
    "mean_w4": 4,
    "mean_w6": 4,
    "misfit": 4,
}
"""Columns of numbers, with their decimals."""
STRUCTURE_FILES = ("structure.csv", "structure.xyz", "structure_g_r.csv", "structure_s_q.csv")


def write_structure(
    folder: Path,
    analysis: StructureAnalysis,
    centres_nm: Float64,
    diameter_nm: Float64 | None,
    *,
    prefix: str = "",
) -> list[Path]:
    """Write the `STRUCTURE_FILES` of an analysis, their names behind a prefix.

    `centres_nm` [n, 3] and `diameter_nm` [n] are those that were analysed.
    """
    g, s = analysis.pair_correlation, analysis.structure_factor
    texts = (
        _csv(analysis.particles, centres_nm),
        _xyz(analysis.particles, centres_nm, diameter_nm),
        _columns("r_nm,g,error", g.r_nm, g.g, g.error),
        _columns("q_per_nm,s", s.q_per_nm, s.s),
    )
    paths = [folder / f"{prefix}{name}" for name in STRUCTURE_FILES]
    for path, text in zip(paths, texts, strict=True):
        replace_text(path, text)
    return paths


def _csv(table: ParticleStructure, centres_nm: Float64) -> str:
    names = ["id", "x_nm", "y_nm", "z_nm", "structure", "structure_id", *INTEGERS, *DECIMALS]
    columns = [
        [str(number) for number in range(1, len(centres_nm) + 1)],
        *([f"{value:.4f}" for value in axis] for axis in centres_nm.T),
        [str(CODES[code]) for code in table.structure],
        *_numbers(table, missing=""),
    ]
    return "\n".join([",".join(names), *map(",".join, zip(*columns, strict=True))]) + "\n"


def _xyz(table: ParticleStructure, centres_nm: Float64, diameter_nm: Float64 | None) -> str:
    """Return extended XYZ in angstrom; lengths in other columns are in nm, as their names say."""
    sizes = np.zeros(len(centres_nm)) if diameter_nm is None else diameter_nm
    properties = "species:S:1:pos:R:3:radius:R:1:structure_id:I:1"
    properties += "".join(f":{name}:I:1" for name in INTEGERS)
    properties += "".join(f":{name}:R:1" for name in DECIMALS)
    columns = [
        *([f"{10 * value:.3f}" for value in axis] for axis in centres_nm.T),
        [f"{5 * size:.3f}" for size in sizes],
        *_numbers(table, missing="0"),
    ]
    lines = [" ".join(["Au", *row]) for row in zip(*columns, strict=True)]
    return "\n".join([str(len(lines)), f'Properties={properties} pbc="F F F"', *lines]) + "\n"


def _numbers(table: ParticleStructure, missing: str) -> list[list[str]]:
    """Return the columns from `structure_id` on as text."""
    whole: list[Ints] = [table.structure, *(getattr(table, name) for name in INTEGERS)]
    return [
        *([str(value) for value in column] for column in whole),
        *(
            [f"{value:.{decimals}f}" if np.isfinite(value) else missing for value in column]
            for column, decimals in ((getattr(table, one), d) for one, d in DECIMALS.items())
        ),
    ]


def _columns(names: str, *columns: list[float]) -> str:
    rows = (",".join(f"{value:.6g}" for value in row) for row in zip(*columns, strict=True))
    return "\n".join([names, *rows]) + "\n"
