"""Folders with particles and volumes of an assembly, for the report's views."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from processing.files.mrc import write_volume

HOSTILE = "</script><img src=x onerror=window.broken=1>"
DIAMETER_NM = 6.0


def places(n: int = 200) -> np.ndarray:
    """Return the centres of a lattice of particles, nm."""
    along = np.arange(6) * 7.5 - 18.75
    return np.stack(np.meshgrid(along, along, along), axis=-1).reshape(-1, 3)[:n]


def write_table(folder: Path, name: str, centres: np.ndarray, **columns: Any) -> None:
    """Write a particle table with more columns than those of every table."""
    values: dict[str, Any] = {
        "id": range(1, len(centres) + 1),
        "x_nm": centres[:, 0],
        "y_nm": centres[:, 1],
        "z_nm": centres[:, 2],
        "diameter_nm": [DIAMETER_NM] * len(centres),
        "confidence": np.linspace(0.5, 1, len(centres)),
        **columns,
    }
    lines = [
        ",".join(values),
        *(",".join(map(str, row)) for row in zip(*values.values(), strict=True)),
    ]
    (folder / "processed").mkdir(exist_ok=True)
    (folder / "processed" / f"particles_{name}.csv").write_text("\n".join(lines) + "\n")


def session(folder: Path) -> Path:
    """Make a folder with the particles of A, B and both."""
    centres = places()
    write_table(folder, "A", centres[:190])
    write_table(folder, "B", centres[5:] + 0.5)
    structure = [HOSTILE if place % 2 else "fcc" for place in range(200)]
    write_table(folder, "fused", centres, structure=structure, grain=np.arange(200) % 3)
    (folder / "processed" / "summary.json").write_text(
        json.dumps({"counts": {"fused": {"n": 200, "n_low": 199, "n_high": 202}}})
    )
    return folder


def ball(folder: Path, side: int, pixel_nm: float, middle_nm: np.ndarray) -> Path:
    """Write a volume with a ball of 20 nm radius about `middle_nm` (x, y, z)."""
    along = ((np.arange(side) - (side - 1) / 2) * pixel_nm).astype(np.float32)
    x, y, z = (along - middle for middle in middle_nm.astype(np.float32))
    inside = x**2 + y[:, None] ** 2 + z[:, None, None] ** 2 < 20**2
    write_volume(folder / "ball.mrc", inside.astype(np.float32), pixel_nm)
    return folder / "ball.mrc"


def with_volumes(folder: Path) -> Path:
    """Make a folder with particles, and with volumes of A, B and both."""
    session(folder)
    for name in ("A_sirt", "B_registered", "fused"):
        ball(folder, 40, 1.5, np.zeros(3)).replace(folder / "processed" / f"{name}.mrc")
    return folder
