"""Files of the structure: a table by particle as CSV and XYZ, and g(r) and S(q) as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing.files.atomic import replace_text
from processing.series import Float64
from processing.structure.analyse import StructureAnalysis
from processing.structure.classify import CODES
from processing.structure.particle_structure import COLUMNS, ParticleStructure

DECIMALS = {"depth_nm": 2, "neighbour_distance_nm": 3}
"""Decimals of columns; others have `DECIMALS_OF_OTHERS`, as errors have."""
DECIMALS_OF_OTHERS = 4
NUMBERS = ("structure_id", "grain", *COLUMNS, "structure_again", *(f"{one}_se" for one in COLUMNS))
"""Columns of each particle's structure; those that end with `_se` are standard errors."""
INTEGERS = ("structure_id", "grain", "layer", "coordination")
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
        _columns("q_per_nm,s,error", s.q_per_nm, s.s, s.error),
    )
    paths = [folder / f"{prefix}{name}" for name in STRUCTURE_FILES]
    for path, text in zip(paths, texts, strict=True):
        replace_text(path, text)
    return paths


def _csv(table: ParticleStructure, centres_nm: Float64) -> str:
    columns = [
        [str(number) for number in range(1, len(centres_nm) + 1)],
        *([f"{value:.4f}" for value in axis] for axis in centres_nm.T),
        [str(CODES[code]) for code in table.structure],
        *_numbers(table, missing=""),
    ]
    names = ["id", "x_nm", "y_nm", "z_nm", "structure", *NUMBERS]
    return "\n".join([",".join(names), *map(",".join, zip(*columns, strict=True))]) + "\n"


def _xyz(table: ParticleStructure, centres_nm: Float64, diameter_nm: Float64 | None) -> str:
    """Return extended XYZ in angstrom; lengths in other columns are in nm, as their names say."""
    sizes = np.zeros(len(centres_nm)) if diameter_nm is None else diameter_nm
    properties = "species:S:1:pos:R:3:radius:R:1"
    properties += "".join(f":{name}:{'I' if name in INTEGERS else 'R'}:1" for name in NUMBERS)
    columns = [
        *([f"{10 * value:.3f}" for value in axis] for axis in centres_nm.T),
        [f"{5 * size:.3f}" for size in sizes],
        *_numbers(table, missing="0"),
    ]
    lines = [" ".join(["Au", *row]) for row in zip(*columns, strict=True)]
    return "\n".join([str(len(lines)), f'Properties={properties} pbc="F F F"', *lines]) + "\n"


def _numbers(table: ParticleStructure, missing: str) -> list[list[str]]:
    """Return the columns of `NUMBERS` as text."""
    numbers = {
        "structure_id": table.structure.astype(float),
        "grain": table.grain.astype(float),
        "structure_again": table.structure_again,
        **table.values,
        **{f"{name}_se": error for name, error in table.errors.items()},
    }
    return [
        [
            f"{value:.{_decimals(name)}f}" if np.isfinite(value) else missing
            for value in numbers[name]
        ]
        for name in NUMBERS
    ]


def _decimals(name: str) -> int:
    return 0 if name in INTEGERS else DECIMALS.get(name, DECIMALS_OF_OTHERS)


def _columns(names: str, *columns: list[float]) -> str:
    rows = (",".join(f"{value:.6g}" for value in row) for row in zip(*columns, strict=True))
    return "\n".join([names, *rows]) + "\n"
